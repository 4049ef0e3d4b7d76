"""A Tunable whose rows are one field of a table's rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Tunable
from foundation.draws import Draws

if TYPE_CHECKING:
    import torch


class OneField:
    """`inner`, trained on `field` of each row."""

    def __init__(self, inner: Tunable, field: str) -> None:
        self.inner, self.field = inner, field

    def module(self) -> "torch.nn.Module":
        return self.inner.module()

    def size(self, row: Mapping[str, Any]) -> int:
        return self.inner.size(row[self.field])

    def collate(
        self, rows: Sequence[Mapping[str, Any]], draws: Draws, augment: float
    ) -> "dict[str, torch.Tensor]":
        return self.inner.collate([row[self.field] for row in rows], draws, augment)

    def loss(self, batch: "dict[str, torch.Tensor]") -> "tuple[torch.Tensor, int]":
        return self.inner.loss(batch)

    def targets(self) -> Sequence[str]:
        return self.inner.targets()

    def save(self, folder: Path) -> None:
        self.inner.save(folder)

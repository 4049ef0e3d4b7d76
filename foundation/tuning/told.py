"""A head on what a network makes of rows: how labels and values are learnt in every domain."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start
from foundation.draws import Draws
from foundation.tuning.heads import SAMPLE, Goal, Head

if TYPE_CHECKING:
    import torch

    Batch = dict[str, torch.Tensor]

KEPT = 100_000
"""Vectors that are kept in memory of a network that stays as it is."""
Row = Mapping[str, Any]


class Told(ABC):
    """A network, its vectors of rows, and a linear head that tells their label or value.

    A domain says what of a row is looked at (`item`), how such items become tensors (`batch`), what
    vectors the network makes of those (`encoded`), and what is written (`save`). With method=head
    the network stays as it is, and each item passes once; `together` of them at a time.
    """

    together = 64

    def __init__(self, start: Start, network: "torch.nn.Module") -> None:
        self.start, self.network = start, network
        self.adapted: Any = None
        self._vectors: dict[str, torch.Tensor] = {}

    @abstractmethod
    def item(self, row: Row) -> str:
        """What of a row the network looks at; equal ones have equal vectors."""

    @abstractmethod
    def batch(self, items: Sequence[str]) -> "Batch":
        """Items -> tensors, a row each."""

    @abstractmethod
    def encoded(self, batch: "Batch") -> "torch.Tensor":
        """What `batch` gave -> vectors [rows, units]."""

    @abstractmethod
    def size(self, row: Row) -> int:
        """A row's length, by which batches are bucketed."""

    @abstractmethod
    def targets(self) -> Sequence[str]:
        """Names of the linear layers that LoRA adapts."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write weights, config and head as a folder that `model.path=` loads."""

    def fresh(self, kind: str, most: int = SAMPLE, alike: bool = False) -> Head:
        """A head for the rows' `kind`, label or value, on the spread of some `most` rows' vectors.

        alike: see `Head`.
        """
        goal = Goal.of(self.start.rows, kind)
        step = max(1, len(self.start.rows) // most)
        return Head(goal, self._frozen(list(islice(self.start.rows, 0, None, step))), alike)

    def lay(self, head: Head) -> None:
        """Lay a head on the network; called once, when the network is ready."""
        import torch

        self.head, self.goal, self.labels = head, head.goal, head.goal.labels
        self.whole = torch.nn.ModuleDict({"base": self.network, "head": head.layer})

    def module(self) -> "torch.nn.Module":
        return self.head.layer if self.start.method == "head" else self.whole

    def base(self) -> "torch.nn.Module":
        return self.network

    def wanted(self, row: Row) -> float:
        return self.goal.wanted(row)

    def collate(self, rows: Sequence[Row], draws: Draws, augment: float) -> "Batch":
        """The tensors of rows, or their vectors where the network stays as it is.

        Rows that are only told have no targets.
        """
        known = rows[0].get("label" if self.labels else "value") is not None
        batch = {"targets": self.goal.tensor(rows)} if known else {}
        if self.start.method == "head":
            return {**batch, "vectors": self._frozen(rows)}
        return {**batch, **self.batch([self.item(row) for row in rows])}

    def loss(self, batch: "Batch") -> "tuple[torch.Tensor, int]":
        """Summed cross entropy or squared error, and the number of rows."""
        return self.goal.loss(self._given(batch), batch["targets"])

    def predict(self, batch: "Batch") -> "torch.Tensor":
        return self.goal.shown(self._given(batch))

    def _given(self, batch: "Batch") -> "torch.Tensor":
        return self.head(batch["vectors"] if "vectors" in batch else self.encoded(batch))

    def _frozen(self, rows: Sequence[Row]) -> "torch.Tensor":
        """Vectors of the network as it is, the latest ones kept."""
        import torch

        items = [self.item(row) for row in rows]
        new = {i: row for i, row in zip(items, rows, strict=True) if i not in self._vectors}
        ordered = sorted(new, key=lambda item: self.size(new[item]))
        device = next(self.network.parameters()).device
        with torch.no_grad():
            for first in range(0, len(ordered), self.together):
                some = ordered[first : first + self.together]
                batch = {name: value.to(device) for name, value in self.batch(some).items()}
                found = self.encoded(batch).float().cpu()
                self._vectors.update(zip(some, found, strict=True))
        vectors = torch.stack([self._vectors[item] for item in items])
        while len(self._vectors) > KEPT:
            del self._vectors[next(iter(self._vectors))]
        return vectors

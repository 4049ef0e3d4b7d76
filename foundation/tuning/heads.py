"""A linear head on vectors: labels by their logits, or values."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foundation.errors import InputError

if TYPE_CHECKING:
    import torch

SAMPLE = 2000
"""Rows that tell the middle and the spread of vectors and values."""


class Goal:
    """What rows are told: one of `labels`, or where there are none a value.

    middle, spread: of the values of the rows, so that what is learnt has a spread of 1.
    """

    def __init__(self, labels: Sequence[str], middle: float = 0.0, spread: float = 1.0) -> None:
        self.labels, self.middle, self.spread = tuple(labels), middle, spread
        self._numbers = {label: float(number) for number, label in enumerate(self.labels)}

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], kind: str) -> "Goal":
        """The goal of rows whose field `label` or `value` (`kind`) it is."""
        if kind == "label":
            labels = {str(row["label"]) for row in rows}
            if len(labels) < 2:
                raise InputError(f"task.data has only the label '{''.join(labels)}': give two")
            return cls(sorted(labels))
        count, total, squares = 0, 0.0, 0.0
        for row in rows:
            value = float(row["value"])
            count, total, squares = count + 1, total + value, squares + value * value
        spread = math.sqrt(max(0.0, squares / count - (total / count) ** 2))
        if not spread:
            raise InputError(f"task.data has only the value {total / count:g}: nothing to learn")
        return cls((), total / count, spread)

    @property
    def width(self) -> int:
        """Numbers that the head gives a row."""
        return len(self.labels) or 1

    def wanted(self, row: Mapping[str, Any]) -> float:
        """The number of a row's label, or its value."""
        return self._numbers[row["label"]] if self.labels else float(row["value"])

    def tensor(self, rows: Sequence[Mapping[str, Any]]) -> "torch.Tensor":
        """What the loss compares with: label numbers, or values of spread 1."""
        import torch

        if self.labels:
            return torch.tensor([int(self.wanted(row)) for row in rows])
        return torch.tensor([(self.wanted(row) - self.middle) / self.spread for row in rows])

    def loss(self, given: "torch.Tensor", wanted: "torch.Tensor") -> "tuple[torch.Tensor, int]":
        """Summed cross entropy, or squared error, of what a head gives [rows, width]."""
        from torch.nn import functional

        if self.labels:
            return functional.cross_entropy(given.float(), wanted, reduction="sum"), len(wanted)
        return functional.mse_loss(given.float()[:, 0], wanted, reduction="sum"), len(wanted)

    def shown(self, given: "torch.Tensor") -> "torch.Tensor":
        """Probabilities [rows, labels], or values [rows]."""
        if self.labels:
            return given.float().softmax(-1)
        return given.float()[:, 0] * self.spread + self.middle


class Head:
    """A linear layer on vectors that are first brought to a middle of 0 and a spread of 1."""

    def __init__(self, goal: Goal, vectors: "torch.Tensor", alike: bool = False) -> None:
        """vectors: of some rows [rows, units], which tell the middle and the spread.

        alike: all units have one spread, as those of vectors of one length.
        """
        import torch

        self.goal = goal
        spread = vectors.std(0, correction=0)
        if alike:
            spread = spread.square().mean().sqrt().expand_as(spread)
        self.middle, self.spread = vectors.mean(0), spread + 0.01 * spread.mean() + 1e-6
        self.layer = torch.nn.Linear(vectors.shape[1], goal.width)
        torch.nn.init.zeros_(self.layer.weight)
        torch.nn.init.zeros_(self.layer.bias)

    @classmethod
    def of(cls, goal: Goal, weight: Any, bias: Any) -> "Head":
        """A head whose weights on the plain vectors are these arrays."""
        import torch

        made = cls(goal, torch.zeros(1, weight.shape[1]))
        made.middle, made.spread = torch.zeros(weight.shape[1]), torch.ones(weight.shape[1])
        with torch.no_grad():
            made.layer.weight.copy_(torch.as_tensor(weight))
            made.layer.bias.copy_(torch.as_tensor(bias))
        return made

    def __call__(self, vectors: "torch.Tensor") -> "torch.Tensor":
        """Vectors [rows, units] -> [rows, width]."""
        device = vectors.device
        scaled = (vectors.float() - self.middle.to(device)) / self.spread.to(device)
        given: torch.Tensor = self.layer(scaled)
        return given

    def weights(self) -> "dict[str, torch.Tensor]":
        """Weight [width, units] and bias [width] on the plain vectors, giving logits or values."""
        weight = self.layer.weight.detach().float().cpu() / self.spread
        bias = self.layer.bias.detach().float().cpu() - weight @ self.middle
        if not self.goal.labels:
            weight = weight * self.goal.spread
            bias = bias * self.goal.spread + self.goal.middle
        return {"weight": weight.contiguous(), "bias": bias.contiguous()}

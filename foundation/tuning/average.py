"""An exponential moving average of weights (Polyak and Juditsky 1992), warmed up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Average:
    """The average of a module's trained parameters; `decay` 0 to below 1.

    After n steps the decay is at most (1 + n) / (10 + n), so that the start is soon forgotten.
    """

    def __init__(self, module: "torch.nn.Module", decay: float) -> None:
        self.decay = decay
        self._trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
        self.weights = {name: p.detach().clone() for name, p in self._trained.items()}

    def update(self, step: int) -> None:
        """Move towards the weights after `step` steps."""
        import torch

        share = 1 - min(self.decay, (1 + step) / (10 + step))
        now = [p.detach() for p in self._trained.values()]
        torch._foreach_lerp_(list(self.weights.values()), now, share)

    def load(self, weights: "dict[str, torch.Tensor]") -> None:
        """Take the place of the average."""
        for name, value in self.weights.items():
            value.copy_(weights[name])

    def show(self) -> None:
        """The module has the averaged weights from here on."""
        self._put(self.weights)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The module has the averaged weights inside the block."""
        kept = {name: p.detach().clone() for name, p in self._trained.items()}
        self._put(self.weights)
        try:
            yield
        finally:
            self._put(kept)

    def _put(self, weights: "dict[str, torch.Tensor]") -> None:
        for name, parameter in self._trained.items():
            parameter.data.copy_(weights[name])

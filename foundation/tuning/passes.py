"""How a batch passes through a model: in parts, shared by processes, with what memory there is."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from foundation.adapter import Recomputes, Tunable
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.tuning.recipe import Recipe
from foundation.tuning.sharding import in_shares

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

Batch = dict[str, "torch.Tensor"]


class Passes:
    """Gradients of batches of `rows`.

    whole: the loss as a module's forward, as accelerate has prepared it. Augmentation and dropout
    depend on the seed, the step and the place in the batch alone.
    """

    def __init__(
        self, tunable: Tunable, whole: Any, accelerator: "Accelerator", rows: Sequence[Any],
        recipe: Recipe, seed: int,
    ) -> None:  # fmt: skip
        self._tunable, self._whole, self._accelerator = tunable, whole, accelerator
        self._rows, self._recipe, self._seed = rows, recipe, seed
        self.parts = recipe.accumulate
        batch = min(recipe.batch, len(rows))
        if batch < self.parts * accelerator.num_processes:
            raise RequestError(
                f"a batch of {batch} rows cannot be passed in {self.parts} parts by "
                f"{accelerator.num_processes} processes: raise recipe.batch"
            )
        self._recomputes = False
        if recipe.recompute:
            self._recompute()

    def collate(self, step: int, ids: Any) -> list[Batch]:
        """This process's parts of a batch: of rows in order of size, so that parts are alike."""
        world = self._accelerator.num_processes
        stride = self.parts * world
        made = []
        for first in range(self._accelerator.process_index, stride, world):
            places = range(first, len(ids), stride)
            draws = Draws(self._seed, [step * self._recipe.batch + place for place in places])
            rows = [self._rows[int(ids[place])] for place in places]
            made.append(self._tunable.collate(rows, draws, self._recipe.augment))
        return made

    def gradients(self, step: int, ids: Any, parts: list[Batch]) -> tuple[float, int]:
        """Gradients of the mean loss a unit of the whole batch; the summed loss and its units.

        parts: what `collate` made of the rows `ids`. Where memory lacks it is saved, and the batch
        passes again.
        """
        import torch

        while True:
            try:
                return self._passed(step, parts)
            except torch.OutOfMemoryError:
                self._tunable.module().zero_grad(set_to_none=True)
                # A batch prepared before memory was saved is prepared again, and no more is saved.
                if len(parts) >= self.parts and not self._save_memory(len(ids)):
                    raise
                parts = self.collate(step, ids)

    def placed(self, batch: Batch) -> Batch:
        """A batch on the device."""
        return {name: value.to(self._accelerator.device) for name, value in batch.items()}

    def _passed(self, step: int, parts: list[Batch]) -> tuple[float, int]:
        import torch

        world = self._accelerator.num_processes
        value, units = 0.0, 0
        for number, part in enumerate(parts):
            self._sow(step, number * world + self._accelerator.process_index)
            with self._alone(number + 1 < len(parts)):
                with self._accelerator.autocast():
                    loss, count = self._whole(self.placed(part))
                self._accelerator.backward(loss)
            value, units = value + loss.item(), units + count
        if world > 1:
            both = torch.tensor([value, units], dtype=torch.float64)
            both = self._accelerator.reduce(both.to(self._accelerator.device), "sum")
            value, units = float(both[0]), int(both[1])
        # Processes average their gradients, which are to be summed.
        found = [p.grad for p in self._tunable.module().parameters() if p.grad is not None]
        torch._foreach_mul_(found, world / max(1, units))
        return value, units

    def _alone(self, more: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients at the last part only."""
        if in_shares(self._whole):
            self._whole.set_requires_gradient_sync(not more)
            return nullcontext()
        return self._accelerator.no_sync(self._whole) if more else nullcontext()

    def _sow(self, step: int, part: int) -> None:
        """Seed torch's generators for a part of a step."""
        import torch

        # torch.manual_seed would queue a call a step for a CUDA that may never come.
        seed = (self._seed * 1_000_003 + step + part * 0x9E3779B97F4A7C15) % 2**64
        torch.default_generator.manual_seed(seed)
        if self._accelerator.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    def _save_memory(self, rows: int) -> bool:
        """After a lack of memory: compute activations again, then pass the batch in more parts."""
        if self._accelerator.num_processes > 1:
            return False
        if isinstance(self._tunable, Recomputes) and not self._recomputes:
            self._recompute()
            return True
        self.parts *= 2
        return self.parts <= rows

    def _recompute(self) -> None:
        if not isinstance(self._tunable, Recomputes):
            raise RequestError("recipe.recompute=true: this model cannot compute activations again")
        self._tunable.recompute()
        self._recomputes = True


def whole(tunable: Tunable) -> "torch.nn.Module":
    """The loss as a module's forward, which is what several processes share the gradients of."""
    import torch

    class Whole(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = tunable.module()

        def forward(self, batch: Batch) -> tuple[torch.Tensor, int]:
            return tunable.loss(batch)

    return Whole()

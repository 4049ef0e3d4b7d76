"""The training loop: the same for every domain."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Predicts, Tunable
from foundation.draws import Draws
from foundation.errors import FoundationError, RunFolderError
from foundation.tuning import checkpoint
from foundation.tuning.average import Average
from foundation.tuning.optimizers import optimizer
from foundation.tuning.order import Order
from foundation.tuning.passes import Batch, Passes, whole
from foundation.tuning.recipe import MAY_CHANGE, Recipe
from foundation.tuning.sharding import full, in_shares, sharded

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

Report = Callable[[int, int, dict[str, float]], None]
BEST = "best.safetensors"


class Trainer:
    """Trains a Tunable on rows and goes on from the newest checkpoint of `folder`.

    rows and held_out: the domain's data rows. The curve is a row for each `recipe.log` steps:
    step, loss (a unit, mean since the last row), held_out (a unit) or None, rate, units a second.
    precision: what "auto" was measured to be; a resumed training keeps what it began with.
    frozen: parameters that are the model's own and in no checkpoint. The data order, the
    augmentation and the dropout of step n depend on seed and n alone, so that a resumed training
    gives the curve of an uninterrupted one. Under a launcher of several processes (torchrun,
    accelerate launch) each passes its share of every batch; with `recipe.parallel=fsdp` they hold
    the weights in shares while `run` lasts, and each has all of them again after it.
    """

    def __init__(
        self,
        tunable: Tunable,
        rows: Sequence[Any],
        held_out: Sequence[Any],
        recipe: Recipe,
        folder: Path,
        seed: int = 0,
        precision: str = "float32",
        frozen: Collection[str] = (),
        sizes: "Sequence[int] | NDArray[np.integer[Any]] | None" = None,
    ) -> None:
        import numpy as np
        from accelerate import Accelerator, DistributedDataParallelKwargs
        from accelerate.state import AcceleratorState

        if recipe.precision == "auto":
            precision = checkpoint.progress(folder).get("precision", precision)
        if not len(rows):
            raise RunFolderError("task.data holds no row that can be trained on")
        self.tunable, self.rows, self.held_out = tunable, rows, held_out
        self.recipe, self.folder, self.seed = recipe, folder, seed
        self.precision, self.frozen = precision, frozenset(frozen)
        mixed = "bf16" if precision == "bfloat16" else "no"
        # accelerate would hold a process to the precision of its first training.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(
            mixed_precision=mixed,
            cpu=_device(tunable) == "cpu",
            # Not every weight takes part in every loss: BERT's pooler does not.
            kwargs_handlers=[DistributedDataParallelKwargs(find_unused_parameters=True)],
        )
        self.module = tunable.module()
        self.sharded = recipe.parallel == "fsdp" and self.accelerator.num_processes > 1
        plain = whole(tunable)
        self.whole: Any = plain if self.sharded else self.accelerator.prepare_model(plain)
        self.optimizer = optimizer(self.module, tunable.targets(), recipe)
        self.average = Average(self.module, recipe.average) if recipe.average else None
        if sizes is None:  # four bytes a row: there may be more rows than memory holds
            sizes = np.fromiter(map(tunable.size, rows), np.int32, len(rows))
        self.order = Order(sizes, recipe.batch, seed)
        self.passes = Passes(tunable, self.whole, self.accelerator, rows, recipe, seed)
        self.step = 0
        self._loss, self._units = 0.0, 0  # since the last row of the curve
        self.best: dict[str, Any] = {}
        self.curve: list[dict[str, Any]] = []
        self._resume()

    @property
    def finished(self) -> bool:
        """Whether the last step is done, or no better weights came for long enough."""
        since = self.best.get("since", 0)
        patient = not self.recipe.patience or since < self.recipe.patience
        return self.step >= self.recipe.steps or not patient

    def run(self, report: Report | None = None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the end; False when `stop` asked to end before. Saves anyway.

        With patience, the module then has the best weights.
        """
        with self._spread():
            self._train(report, stop)
        if self.finished and self.best:
            checkpoint.load_weights(self.module, self.folder / BEST, self.frozen)
        elif self.finished and self.average is not None:
            self.average.show()
        return self.finished

    @contextmanager
    def _spread(self) -> Iterator[None]:
        """The weights in shares where that is asked for, and an optimizer of the shares."""
        if not self.sharded:
            yield
            return
        with sharded(self.whole, self.accelerator.device.type):
            self.optimizer = optimizer(self.module, self.tunable.targets(), self.recipe)
            if self._saved.exists():
                checkpoint.load_optimizer(self._saved, self.optimizer)
            yield

    def _train(self, report: Report | None, stop: Callable[[], bool]) -> None:
        began, since = self._units, time.perf_counter()
        for ids, parts in self._batches():
            if self.finished or stop():
                break
            loss, units = self._advance(ids, parts)
            self._loss, self._units, self.step = (
                self._loss + loss,
                self._units + units,
                self.step + 1,
            )
            if self.average is not None:
                self.average.update(self.step)
            if self.step % self.recipe.log == 0 or self.step == self.recipe.steps:
                row = self._measure((self._units - began) / (time.perf_counter() - since))
                began, since = 0, time.perf_counter()
                if report:
                    report(self.step, self.recipe.steps, row)
            if self.step % self.recipe.checkpoint == 0:
                self.save()
        self.save()

    def save(self) -> None:
        """Write a checkpoint of this step, unless there is one."""
        # Every process asks whether there is one before any has written it.
        there = self._saved.exists()
        self.accelerator.wait_for_everyone()
        if there:
            return
        weights = checkpoint.weights_of(self.module, self.frozen)
        tensors, rest = checkpoint.flatten(self.optimizer.state_dict())
        state = full(tensors), rest
        if self.accelerator.is_main_process:
            progress = {
                "recipe": asdict(self.recipe),
                "seed": self.seed,
                "precision": self.precision,
                "curve": self.curve,
                "since_row": [self._loss, self._units],
                "best": self.best,
            }
            checkpoint.save(
                self.folder, self.step, weights, state, progress, self.recipe.keep,
                None if self.average is None else self.average.weights,
            )  # fmt: skip
        self.accelerator.wait_for_everyone()

    def evaluate(self, rows: Sequence[Any]) -> float:
        """Mean loss a unit over rows, in eval mode."""
        total, units = 0.0, 0
        for _, batch in self._measured(rows):
            loss, count = (self.whole if in_shares(self.whole) else self.tunable.loss)(batch)
            total, units = total + loss.item(), units + count
        return total / max(1, units)

    def losses(self, rows: Sequence[Any]) -> "torch.Tensor":
        """The loss a unit of each row, in eval mode."""
        import torch

        found = torch.zeros(len(rows))
        for ids, batch in self._measured(rows, 1):
            loss, count = self.tunable.loss(batch)
            found[ids[0]] = loss.item() / max(1, count)
        return found

    def predict(self, rows: Sequence[Any]) -> "torch.Tensor":
        """What a Tunable with a head makes of rows, in their order: [rows] or [rows, labels]."""
        import torch

        assert isinstance(self.tunable, Predicts)
        places, found = [], []
        for ids, batch in self._measured(rows):
            places += ids
            found.append(self.tunable.predict(batch).float().cpu())
        return torch.cat(found)[torch.argsort(torch.tensor(places))]

    def _measured(
        self, rows: Sequence[Any], most: int | None = None
    ) -> Iterator[tuple[list[int], Batch]]:
        """Batches of like length without gradients, and the rows in each, at most `most`."""
        import torch

        most = most or self.recipe.batch
        self.module.eval()
        sizes = [self.tunable.size(row) for row in rows]
        ordered = sorted(range(len(rows)), key=lambda i: sizes[i])
        with torch.no_grad():
            for first in range(0, len(rows), most):
                ids = ordered[first : first + most]
                batch = self.tunable.collate([rows[i] for i in ids], Draws(self.seed, ids), 0.0)
                with self.accelerator.autocast():
                    yield ids, self.passes.placed(batch)
        if in_shares(self.whole):
            self.whole.reshard()  # which else waits for a way back
        self.module.train()

    @property
    def _saved(self) -> Path:
        return self.folder / f"step-{self.step:08d}"

    def _batches(self) -> Iterator[tuple[Any, list[Batch]]]:
        """Row numbers of a batch and its collated parts, one batch prepared ahead in a thread."""
        from concurrent.futures import ThreadPoolExecutor

        numbers = self.order.batches(self.step)
        with ThreadPoolExecutor(1) as ahead:
            ids = next(numbers)
            pending = ahead.submit(self.passes.collate, self.step, ids)
            for step, following in enumerate(numbers, self.step + 1):
                ready, now = pending.result(), ids
                ids, pending = following, ahead.submit(self.passes.collate, step, following)
                yield now, ready

    def _advance(self, ids: Any, parts: list[Batch]) -> tuple[float, int]:
        """One optimizer step; the summed loss and its units, of all processes."""
        value, units = self.passes.gradients(self.step, ids, parts)
        if value != value:
            raise FoundationError(
                f"the loss is not a number at step {self.step}: lower recipe.rate "
                f"({self.recipe.rate}); the last checkpoint is in {self.folder}"
            )
        self.accelerator.clip_grad_norm_(self.module.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate_at(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return value, units

    def _measure(self, speed: float) -> dict[str, Any]:
        row: dict[str, Any] = {
            "step": self.step,
            "loss": self._loss / max(1, self._units),
            "rate": self.recipe.rate_at(self.step - 1),
            "units_per_second": speed,
            "held_out": None,
        }
        due = self.step % self.recipe.validate == 0 or self.step == self.recipe.steps
        if due and len(self.held_out):
            with nullcontext() if self.average is None else self.average.shown():
                row["held_out"] = self.evaluate(self.held_out)
                self._remember(row["held_out"])
        self.curve.append(row)
        self._loss, self._units = 0.0, 0
        return row

    def _remember(self, held_out: float) -> None:
        """Keep the weights that measure best, where the training may end with them."""
        if not self.recipe.patience:
            return
        if held_out < self.best.get("held_out", float("inf")):
            self.best = {"held_out": held_out, "step": self.step, "since": 0}
            weights = checkpoint.weights_of(self.module, self.frozen)
            if self.accelerator.is_main_process:
                checkpoint.save_weights(weights, self.folder / BEST)
        else:
            self.best = {**self.best, "since": self.best["since"] + 1}

    def _resume(self) -> None:
        found = checkpoint.saved(self.folder)
        if not found:
            return
        progress = checkpoint.progress(self.folder)
        changed = Recipe(**progress["recipe"]).changed(self.recipe)
        held = sorted(set(changed) - set(MAY_CHANGE))
        if held or progress["seed"] != self.seed:
            raise RunFolderError(
                f"{self.folder} was begun with other settings ({', '.join(held) or 'seed'}): "
                "resume with the same ones, or start in a new folder"
            )
        checkpoint.load_weights(self.module, found[-1] / "model.safetensors", self.frozen)
        if not self.sharded:  # else once there are shares
            checkpoint.load_optimizer(found[-1], self.optimizer)
        self.step, self.curve = progress["step"], progress["curve"]
        self._loss, self._units = progress.get("since_row", (0.0, 0))
        self.best = progress.get("best", {})
        if self.average is not None:
            self.average.load(checkpoint.average(found[-1]))


def _device(tunable: Tunable) -> str:
    return next(tunable.module().parameters()).device.type

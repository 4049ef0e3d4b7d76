"""The training loop: the same for every domain."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Tunable
from foundation.draws import Draws
from foundation.errors import FoundationError, RunFolderError
from foundation.tuning import checkpoint
from foundation.tuning.order import Order
from foundation.tuning.recipe import Recipe

if TYPE_CHECKING:
    import torch

Report = Callable[[int, int, dict[str, float]], None]


class Trainer:
    """Trains a Tunable on rows and goes on from the newest checkpoint of `folder`.

    rows and held_out: the domain's data rows. The curve is a row for each `recipe.log` steps:
    step, loss (a unit, mean since the last row), held_out (a unit) or None, rate, units a second.
    precision: what "auto" was measured to be; a resumed training keeps what it began with.
    The data order, the augmentation and the dropout of step n depend on seed and n alone, so that a
    resumed training gives the curve of an uninterrupted one.
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
    ) -> None:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        if recipe.precision == "auto":
            precision = checkpoint.progress(folder).get("precision", precision)
        if not rows:
            raise RunFolderError("task.data holds no row that can be trained on")
        self.tunable, self.rows, self.held_out = tunable, rows, held_out
        self.recipe, self.folder, self.seed = recipe, folder, seed
        self.precision = precision
        mixed = "bf16" if precision == "bfloat16" else "no"
        # accelerate would hold a process to the precision of its first training.
        AcceleratorState._reset_state(reset_partial_state=True)
        self.accelerator = Accelerator(mixed_precision=mixed, cpu=_device(tunable) == "cpu")
        self.module = self.accelerator.prepare_model(tunable.module())
        self.optimizer = _optimizer(self.module, recipe)
        self.order = Order([tunable.size(row) for row in rows], recipe.batch, seed)
        self.step = 0
        self._loss, self._units = 0.0, 0  # since the last row of the curve
        self.curve: list[dict[str, Any]] = []
        self._resume()

    def run(self, report: Report | None = None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train to the recipe's last step; False when `stop` asked to end before. Saves anyway."""
        began, since = self._units, time.perf_counter()
        for batch in self._batches():
            if self.step >= self.recipe.steps or stop():
                break
            loss, units = self._advance(batch)
            self._loss, self._units, self.step = (
                self._loss + loss,
                self._units + units,
                self.step + 1,
            )
            if self.step % self.recipe.log == 0 or self.step == self.recipe.steps:
                row = self._measure((self._units - began) / (time.perf_counter() - since))
                began, since = 0, time.perf_counter()
                if report:
                    report(self.step, self.recipe.steps, row)
            if self.step % self.recipe.checkpoint == 0:
                self.save()
        self.save()
        return self.step >= self.recipe.steps

    def save(self) -> None:
        """Write a checkpoint of this step, unless there is one."""
        if (self.folder / f"step-{self.step:08d}").exists():
            return
        progress = {
            "recipe": asdict(self.recipe),
            "seed": self.seed,
            "precision": self.precision,
            "curve": self.curve,
            "since_row": [self._loss, self._units],
        }
        module = self.accelerator.unwrap_model(self.module)
        checkpoint.save(self.folder, self.step, module, self.optimizer, progress, self.recipe.keep)

    def evaluate(self, rows: Sequence[Any]) -> float:
        """Mean loss a unit over rows, in eval mode."""
        import torch

        self.module.eval()
        total, units = 0.0, 0
        ordered = sorted(range(len(rows)), key=lambda i: self.tunable.size(rows[i]))
        with torch.no_grad():
            for first in range(0, len(rows), self.recipe.batch):
                ids = ordered[first : first + self.recipe.batch]
                batch = self.tunable.collate([rows[i] for i in ids], Draws(self.seed, ids), 0.0)
                with self.accelerator.autocast():
                    loss, count = self.tunable.loss(self._placed(batch))
                total, units = total + loss.item(), units + count
        self.module.train()
        return total / max(1, units)

    def _batches(self) -> Iterator[dict[str, "torch.Tensor"]]:
        """Collated batches from the present step on, one prepared ahead in a thread."""
        from concurrent.futures import ThreadPoolExecutor

        numbers = self.order.batches(self.step)
        with ThreadPoolExecutor(1) as ahead:
            pending = ahead.submit(self._collate, self.step, next(numbers))
            for step, ids in enumerate(numbers, self.step + 1):
                ready, pending = pending.result(), ahead.submit(self._collate, step, ids)
                yield ready

    def _collate(self, step: int, ids: Any) -> dict[str, "torch.Tensor"]:
        numbers = [step * self.recipe.batch + i for i in range(len(ids))]
        rows = [self.rows[i] for i in ids]
        return self.tunable.collate(rows, Draws(self.seed, numbers), self.recipe.augment)

    def _advance(self, batch: dict[str, "torch.Tensor"]) -> tuple[float, int]:
        """One optimizer step; the summed loss and its units."""
        import torch

        # torch.manual_seed would queue a call a step for a CUDA that may never come.
        seed = (self.seed * 1_000_003 + self.step) % 2**64
        torch.default_generator.manual_seed(seed)
        if self.accelerator.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        rate = self.recipe.rate_at(self.step)
        with self.accelerator.autocast():
            loss, units = self.tunable.loss(self._placed(batch))
        self.accelerator.backward(loss / max(1, units))
        self.accelerator.clip_grad_norm_(self.module.parameters(), self.recipe.clip)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        value = loss.item()
        if value != value:
            raise FoundationError(
                f"the loss is not a number at step {self.step}: lower recipe.rate "
                f"({self.recipe.rate}); the last checkpoint is in {self.folder}"
            )
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
        if due and self.held_out:
            row["held_out"] = self.evaluate(self.held_out)
        self.curve.append(row)
        self._loss, self._units = 0.0, 0
        return row

    def _placed(self, batch: dict[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
        return {name: value.to(self.accelerator.device) for name, value in batch.items()}

    def _resume(self) -> None:
        found = checkpoint.saved(self.folder)
        if not found:
            return
        progress = checkpoint.load(found[-1], self.module, self.optimizer)
        changed = Recipe(**progress["recipe"]).changed(self.recipe)
        # A trapezoid may be lengthened and its bookkeeping changed; what shapes the past may not.
        held = sorted(set(changed) - {"steps", "decay", "checkpoint", "validate", "log", "keep"})
        if held or progress["seed"] != self.seed:
            raise RunFolderError(
                f"{self.folder} was begun with other settings ({', '.join(held) or 'seed'}): "
                "resume with the same ones, or start in a new folder"
            )
        self.step, self.curve = progress["step"], progress["curve"]
        self._loss, self._units = progress.get("since_row", (0.0, 0))


def _device(tunable: Tunable) -> str:
    return next(tunable.module().parameters()).device.type


def _optimizer(module: "torch.nn.Module", recipe: Recipe) -> "torch.optim.Optimizer":
    import torch

    return torch.optim.AdamW(
        [p for p in module.parameters() if p.requires_grad],
        lr=recipe.rate,
        betas=(0.9, 0.98),
        weight_decay=recipe.weight_decay,
        fused=True,
    )

"""Ways to adapt a model, each cross-validated on the same folds, in the order of their cost."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing
from foundation.errors import InputError
from foundation.model import Model
from foundation.registry import resolve
from foundation.spec import Tuning
from foundation.tuning import prepare
from foundation.tuning.folds import deal
from foundation.tuning.heads import Goal
from foundation.tuning.measuring import measured, scores
from foundation.tuning.rows import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.nn import Module

    from foundation.tuning.trainer import Trainer

RESAMPLES = 2000
UNTUNED = "untuned"
"""The way of leaving a model as it is, which rows without labels and values are tried with."""
TRAINS = ("head", "lora", "full")
"""Ways that train a model, those that train little of it first."""


@dataclass(frozen=True)
class Outcome:
    """What a way was worth. score: mean of the rows' scores, with its 95 % interval by resampling
    rows; behind: how much less than the best way's, paired by row, with its interval.

    seconds: of one fit and its answers. reason: why it was not measured to the end.
    """

    way: str
    score: float | None = None
    low: float | None = None
    high: float | None = None
    behind: float | None = None
    behind_low: float | None = None
    behind_high: float | None = None
    seconds: float | None = None
    trained: int | None = None
    figures: Mapping[str, float] | None = None
    reason: str | None = None


class Comparison:
    """Cross-validates ways on the rows of `data`; what is done is kept in `folder`.

    Rows with a label score by whether it is told, those with a value by the error, and others by
    their loss a unit. goal: of labels or values; None of other rows.
    deadline: a moment of time.monotonic() that no fold is begun behind, if it would end later.
    """

    def __init__(
        self,
        model: Model,
        tuning: Tuning,
        data: Rows,
        folder: Path,
        *,
        folds: int,
        seed: int,
        rank: int,
        recipe: Mapping[str, Any],
        deadline: float | None,
    ) -> None:
        self.model, self.tuning, self.data, self.folder = model, tuning, data, folder
        self.folds, self.seed, self.rank, self.recipe = folds, seed, rank, dict(recipe)
        self.deadline = deadline
        self.steps: int | None = None  # of LoRA and full, where not as their recipes have it
        self.rows = list(data)
        kind = next((name for name in ("label", "value") if self.rows[0].get(name)), None)
        self.goal = Goal.of(self.rows, kind) if kind else None
        group: Callable[[Any], str] = resolve(tuning.group) if tuning.group else str
        self.fold = deal(self.rows, [group(row) for row in self.rows], folds, seed)
        folder.mkdir(exist_ok=True)

    def measure(self, way: str, report: Callable[[str], None]) -> "Outcome":
        """One way on all folds; its predictions are then in `folder`."""
        seconds: list[float] = []
        trained = 0
        for number in range(self.folds):
            path = self.folder / f"{way}-{number}.npz"
            if not path.exists():
                if self._late(max(seconds, default=0.0)):
                    done = f"after {number} of {self.folds} folds" if number else "before it began"
                    return Outcome(way, reason=f"task.minutes were over {done}")
                try:
                    self._fit(way, number, path)
                except InputError as error:
                    return Outcome(way, reason=str(error))
            took, trained, _ = _read(path)
            seconds.append(took)
            report(way)
        found = self.scores(self.predictions(way), self.rows)
        low, high = _interval(found, self.seed)
        mean = sum(seconds) / len(seconds)
        figures = self._figures(way)
        return Outcome(
            way, float(found.mean()), low, high, seconds=mean, trained=trained, figures=figures
        )

    def compared(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """The recommended one first, then the best ones, each with how far it is behind the best.

        The best one is recommended. Where `tuning.apart` is not so of a row, that is the best of
        the ways that train no model and, of TRAINS, the least that is not clearly behind.
        """
        done = [each for each in outcomes if each.score is not None]
        done.sort(key=lambda each: (-(each.score or 0.0), each.seconds or 0.0))
        rows = {each.way: self.scores(self.predictions(each.way), self.rows) for each in done}
        found = []
        for each in done:
            gap = rows[done[0].way] - rows[each.way]
            low, high = _interval(gap, self.seed)
            told = {"behind": float(gap.mean()), "behind_low": low, "behind_high": high}
            found.append(replace(each, **told))  # type: ignore[arg-type]
        if found and found[0].way in TRAINS and self._flattered:
            near = [each for each in found if each.way in TRAINS and (each.behind_low or 0) <= 0]
            least = min(near, key=lambda each: TRAINS.index(each.way))
            first = next(each for each in found if each is least or each.way not in TRAINS)
            found.remove(first)
            found.insert(0, first)
        return [*found, *(each for each in outcomes if each.score is None)]

    @property
    def _flattered(self) -> bool:
        apart = resolve(self.tuning.apart) if self.tuning.apart else None
        return apart is not None and not all(map(apart, self.rows))

    def predictions(self, way: str) -> "NDArray[Any]":
        """What fits without a row's fold said: chances [rows, labels], values or losses [rows]."""
        import numpy as np

        found: Any = None
        for number in range(self.folds):
            _, _, given = _read(self.folder / f"{way}-{number}.npz")
            if found is None:
                found = np.zeros((len(self.rows), *given.shape[1:]))
            found[self.fold == number] = given
        result: NDArray[Any] = found
        return result

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that rows are told by; none where they are not."""
        return self.goal.labels if self.goal else ()

    def answers(self, way: str, rows: Rows, asked: Rows, scratch: Path) -> "NDArray[Any]":
        """What a fit to `rows` says of the rows `asked`, as `predictions` has it."""
        given, _ = self._answered(way, rows, asked, scratch)
        return given

    def said(self, trainer: "Trainer", asked: Rows) -> "NDArray[Any]":
        """What a trained head says, in the order of all labels; a fold may lack some."""
        import numpy as np

        given: NDArray[Any] = trainer.predict(asked).numpy()
        known: Any = trainer.tunable
        if not self.labels or tuple(known.labels) == self.labels:
            return given
        found = np.zeros((len(asked), len(self.labels)))
        found[:, [self.labels.index(label) for label in known.labels]] = given
        return found

    def scores(self, given: "NDArray[Any]", rows: Sequence[Any]) -> "NDArray[Any]":
        """A score of each row, the more the better."""
        if self.goal is None:
            return -given
        wanted = [self.goal.wanted(row) for row in rows]
        return scores(given, wanted, bool(self.goal.labels))

    def train(self, way: str, rows: Rows, folder: Path) -> "Trainer":
        """A method's trainer at its last step; of UNTUNED before its first."""
        import torch

        from foundation.tuning.trainer import Trainer

        untuned, way = way == UNTUNED, "full" if way == UNTUNED else way
        recipe = prepare.recipe_of(self.recipe, way, self.tuning)
        if self.steps is not None and way != "head":
            recipe["steps"] = self.steps
        training = replace(prepare.training_of(recipe, len(rows)), patience=0, checkpoint=10**9)
        spec, placement = self.model.spec, self.model.placement
        if placement.threads:
            torch.set_num_threads(placement.threads)
        tunable, frozen = prepare.begin(self.tuning, spec, way, recipe, rows, self.seed, self.rank)
        tunable.module().to(placement.device)
        dtype = prepare.precision_of(training, placement)
        trainer = Trainer(tunable, rows, (), training, folder, self.seed, dtype, frozen)
        if not untuned:
            trainer.run()
        return trainer

    def _fit(self, way: str, number: int, path: Path) -> None:
        import tempfile

        import numpy as np

        inside = np.flatnonzero(self.fold != number)
        outside = np.flatnonzero(self.fold == number)
        began = time.perf_counter()
        with tempfile.TemporaryDirectory(dir=self.folder) as scratch:
            rows, asked = self.data.take(inside), self.data.take(outside)
            given, trained = self._answered(way, rows, asked, Path(scratch))
        took = time.perf_counter() - began
        with replacing(path) as part, part.open("wb") as file:
            np.savez(file, given=given, seconds=took, trained=trained)

    def _answered(
        self, way: str, rows: Rows, asked: Rows, scratch: Path
    ) -> "tuple[NDArray[Any], int]":
        """What a fit says, and how many weights it trained."""
        if way in self.tuning.baselines:
            if self.goal is None:
                raise InputError(f"{way} needs rows with a label or a value: see task.columns")
            told = resolve(self.tuning.baselines[way])
            return told(self.model, list(rows), list(asked), self.goal.labels), 0
        trainer = self.train(way, rows, scratch)
        weights = 0 if way == UNTUNED else _trained(trainer.module)
        if self.goal is None:
            return trainer.losses(asked).numpy(), weights
        return self.said(trainer, asked), weights

    def _figures(self, way: str) -> dict[str, float]:
        given = self.predictions(way)
        if self.goal is None:
            return {"loss": float(given.mean())}
        wanted = [self.goal.wanted(row) for row in self.rows]
        return measured(given, wanted, bool(self.goal.labels))

    def _late(self, more: float) -> bool:
        return self.deadline is not None and time.monotonic() + more > self.deadline


def _trained(module: "Module") -> int:
    return sum(each.numel() for each in module.parameters() if each.requires_grad)


def _read(path: Path) -> "tuple[float, int, NDArray[Any]]":
    import numpy as np

    with np.load(path) as kept:
        return float(kept["seconds"]), int(kept["trained"]), kept["given"]


def _interval(values: "NDArray[Any]", seed: int) -> tuple[float, float]:
    """95 %, by resampling rows (Efron 1979)."""
    import numpy as np

    random = np.random.default_rng(seed)
    picks = random.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[picks].mean(1), [2.5, 97.5])
    return float(low), float(high)

"""A score that is paid for: within a budget, each output once, every call written before use."""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.adapter import Score
from foundation.durable import replacing
from foundation.results import Result
from foundation.runs import Run

PREFIX = "score_"
"""Of the columns that hold a score's parts."""


@dataclass(frozen=True)
class Call:
    """One output that was scored, at a step of the training."""

    output: str
    score: float
    step: int


def columns(score: Score) -> dict[str, str]:
    """The columns of a call beside the output."""
    parts = {f"{PREFIX}{name}": "float64" for name in score.names}
    return {"score": "float64", "step": "int64", **parts}


class Oracle:
    """Asks `score` of outputs that it was not asked of before, at most `budget` in all.

    Calls are rows of `run`, in the order in which they were made: a resumed run knows them all, and
    an output that is drawn again costs nothing. origin: model, revision and seed. A process that is
    killed while outputs are being scored has lost those of one step, which are then scored again.
    """

    def __init__(self, score: Score, run: Run, budget: int, origin: Mapping[str, Any]) -> None:
        self.score, self.run, self.budget, self._origin = score, run, budget, origin
        self.calls = [
            Call(row["output"], row["score"], row["step"])
            for batch in run.rows()
            for row in batch.select(["output", "score", "step"]).to_pylist()
        ]
        self._known = {call.output: call.score for call in self.calls}

    @property
    def latest(self) -> int:
        """The last step that brought something new; -1 before the first."""
        return max((call.step for call in self.calls[-1:]), default=-1)

    @property
    def spent(self) -> bool:
        """Whether no further output can be scored."""
        return len(self.calls) >= self.budget

    def __call__(self, outputs: Sequence[str], step: int) -> list[float | None]:
        """The score of each output; None for those that the budget does not reach."""
        new = [each for each in dict.fromkeys(outputs) if each not in self._known]
        new = new[: self.budget - len(self.calls)]
        if new:
            self._ask(new, step)
        return [self._known.get(each) for each in outputs]

    def _ask(self, new: Sequence[str], step: int) -> None:
        for output, found in zip(new, self.score(new), strict=True):
            parts = dict(zip(self.score.names, found.parts, strict=True))
            lacking = ", ".join(name for name, value in parts.items() if value is None)
            reason = f"no value of {lacking}" if lacking else None
            checks = {f"{PREFIX}{name}": value for name, value in parts.items()}
            checks |= {"score": found.score, "step": step}
            number = len(self.calls)
            self.run.append(
                Result(number, None, output, not lacking, reason, checks=checks, **self._origin)
            )
            self.calls.append(Call(output, found.score, step))
            self._known[output] = found.score
        self.run.flush()

    def before(self, step: int) -> Sequence[Call]:
        """The calls of earlier steps than `step`, which a resumed training sees as it did then."""
        if self.latest < step:
            return self.calls
        return [call for call in self.calls if call.step < step]

    def best(self, count: int) -> list[int]:
        """The numbers of the best calls, the best first and of equal ones the earliest."""
        numbers = range(len(self.calls))
        return heapq.nlargest(count, numbers, key=lambda n: (self.calls[n].score, -n))

    def write(self, path: Path, noun: str) -> None:
        """All calls as a table: the output under the name `noun`, score, parts and step."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        from foundation.table import schema

        whole = schema(self.run.columns)
        parts = [f"{PREFIX}{name}" for name in self.score.names]
        table = pa.Table.from_batches(self.run.rows(), whole)
        table = table.select(["output", "score", *parts, "step"])
        with replacing(path) as part:
            pq.write_table(table.rename_columns([noun, *table.column_names[1:]]), part)


def top_mean(scores: Sequence[float], top: int = 10) -> float:
    """The mean of the `top` best scores, or of all where there are fewer; 0 of none."""
    best = heapq.nlargest(top, scores)
    return sum(best) / len(best) if best else 0.0


def top_area(scores: Sequence[float], budget: int, top: int = 10, every: int = 100) -> float:
    """The area under the mean of the `top` best scores against calls, as a share of the budget.

    scores: in the order of the calls. The mean is taken after each `every` calls and joined by
    trapezoids from 0 on; a run that ended early keeps its last mean to the end of the budget (Gao
    et al. 2022, PMO).
    """
    scores = scores[:budget]
    marks = [*range(every, len(scores), every), len(scores)]
    area, last, before = 0.0, 0.0, 0
    for mark in marks:
        now = top_mean(scores[:mark], top)
        area += (mark - before) * (now + last) / 2
        last, before = now, mark
    return (area + (budget - len(scores)) * last) / budget

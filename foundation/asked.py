"""What is asked of a model in one run: how its results begin and end, and what is recorded."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import registry
from foundation.adapter import Notes
from foundation.durable import sha256
from foundation.engines import Work
from foundation.engines.ranges import Range
from foundation.errors import InputError
from foundation.results import Result, ResultSet, Summary
from foundation.runs import Run

if TYPE_CHECKING:
    from foundation.model import Model
    from foundation.requests import Settings
    from foundation.spec import Delta

ENDLESS = 2**62


@dataclass(frozen=True)
class Asked:
    """A task of a model with its settings.

    given: the settings as they were typed, which a resumed run must share. screens: see
    foundation.trust.screens. part: the one range of the requests that is made. config: recorded
    beside the settings. stop: asked between steps for a signal's number.
    """

    model: "Model"
    task: str
    given: Mapping[str, Any]
    settings: "Settings"
    seed: int
    screens: Mapping[str, Mapping[str, Any]]
    part: Range | None
    config: Mapping[str, Any]
    stop: Callable[[], int | None]

    @cached_property
    def span(self) -> range:
        """The ids of the run, or of a range of it; up to ENDLESS where no one knows how many."""
        if self.part is None:
            return range(self.settings.total or ENDLESS)
        if not self.settings.rereadable:
            raise InputError(
                f"{self.settings.input} can be read but once and has no ranges: give a file"
            )
        total = self.settings.counted()
        if total is None:
            raise InputError("task.count=inf has no ranges: give a number")
        return range(*self.part.bounds(total))

    @property
    def total(self) -> int | None:
        """How many results there will be, where that is known."""
        return len(self.span) if self.span.stop < ENDLESS else None

    def identity(self) -> dict[str, Any]:
        """What a resumed run must share with the one that was begun."""
        model, given, spec = self.model, self.given, self.model.spec
        identity: dict[str, Any] = {
            "model": spec.name,
            "source": spec.source,
            "revision": spec.revision,
            "weights": model.weights.digest,
            "dtype": model.dtype,
            "task": self.task,
            "settings": {k: v for k, v in given.items() if v is not None and k != "name"},
            "seed": self.seed,
            "batch": model.rows(self.settings),
        }
        if spec.deltas:
            identity["deltas"] = [asdict(delta) | _digest(delta) for delta in spec.deltas]
        if spec.bits:
            identity["bits"] = spec.bits
        if spec.options:
            identity["options"] = dict(spec.options)
        files = self.settings.task.files
        named = {name: given[name] for name in files if given.get(name) is not None}
        if named:
            paths = {name: Path(str(path)).expanduser() for name, path in named.items()}
            identity["files"] = {name: sha256(path) for name, path in paths.items()}
        if self.screens:
            identity["screens"] = self.screens
        return identity

    def columns(self) -> dict[str, str]:
        """The table's own columns; a vector's width is known when the model is loaded."""
        wanted = self.settings.checks
        columns = {
            name: kind
            for name, kind in self.settings.task.columns.items()
            if wanted is None or name in wanted
        }
        engine = self.model.engine
        for name, kind in columns.items():
            if kind == "vector":
                width = None if engine is None else engine.width()
                width = width or getattr(self.model.adapter, "width")  # noqa: B009
                columns[name] = f"vector<{width}>"
        return columns

    def begin(self, results: ResultSet) -> Iterator[Result]:
        """The results that the run folder lacks, as they come."""

        def stopping() -> bool:
            results.stopped = results.stopped or self.stop()
            return results.stopped is not None

        model, run = self.model, results.run
        if run.total is not None and len(run.done) == run.total:
            return
        end = self.span.stop if self.total is not None else None
        items = (i for i in self.settings.requests(self.span.start, end) if i.id not in run.done)
        work = self._work(run)
        if model.engine is None:
            yield from model.answers(work, items, stopping, results.events, results.cancelled)
            return
        results.events += model.happened()
        left = None if run.total is None else run.total - len(run.done)
        placement = replace(model.placement, dtype=model.dtype)
        answers = model.engine.results(
            model.spec, placement, work, items, left, model.lost(work), stopping, results.events
        )
        for result in answers:
            run.columns = run.columns or self.columns()
            yield result

    def _work(self, run: Run) -> Work:
        rows, plan = self.model.rows(self.settings), self.model.plan
        return Work(
            self.task,
            self.settings.checks,
            min(rows, plan.rows) if plan else rows,
            self.seed,
            run.folder,
            screens=self.screens,
            output=None if run.mirror is None else run.mirror.address,
        )

    def finish(self, results: ResultSet) -> Summary:
        """Join the parts and write the domain's files and the record; a range keeps its parts."""
        from foundation import join
        from foundation.table import schema

        run, domain = results.run, self.model.domain
        if run.mirror is not None:
            run.mirror.fetch(run.folder)  # what workers brought there
        run.columns = run.columns or self.columns()
        table = run.folder / "results.parquet"
        if len(run.done) and not run.usable:
            raise InputError(f"no input could be used; the first: {run.refusal}")
        if self.part is not None:
            run.seal({**self._range(self.part), "identity": run.config, "columns": run.columns})
            run.record(self._record(results, []))
            return summary(domain.noun, run)
        unique = self.settings.task.unique_by if self.settings.unique else None
        join.write(run.rows(), schema(run.columns), table, unique)
        files = [table]
        if domain.write is not None:
            files += registry.resolve(domain.write)(run.folder, self.task, table)
        if isinstance(self.model.loaded, Notes):
            results.notes += self.model.loaded.notes()
        run.record(self._record(results, files))
        run.discard_parts()
        return summary(domain.noun, run, tuple(files))

    def _range(self, part: Range) -> dict[str, Any]:
        ends = {"first": self.span.start, "end": self.span.stop}
        return {"number": part.number, "of": part.of, **ends, "total": self.settings.counted()}

    def _record(self, results: ResultSet, files: list[Path]) -> dict[str, Any]:
        from foundation import record

        run, model = results.run, self.model
        spec = asdict(replace(model.spec, sha256={}, options=dict(model.spec.options), facts={}))
        del spec["facts"]  # whoever needs them reads them from the model's files
        return {
            "task": self.task,
            "model": spec,
            "digests": dict(model.weights.files),
            "identity": run.config,
            "config": self.config,
            "placement": asdict(model.placement) | {"dtype": model.dtype},
            "plan": None if model.plan is None else model.plan.values(),
            "engine": None if model.engine is None else model.engine.described(),
            "versions": record.versions(),
            "machine": record.machine(),
            "seconds": {**model.seconds, "run": time.perf_counter() - results.began},
            "counts": {"rows": len(run.done), "valid": run.valid, "refused": run.refused},
            "usage": results.usage,
            "events": results.events,
            "notes": results.notes,
            "peak_memory": record.peak_memory(),
            "files": [str(path.relative_to(run.folder)) for path in files],
        }


def summary(noun: str, run: Run, files: tuple[Path, ...] = ()) -> Summary:
    """The last line: what was made, how much of it is valid, where it is."""
    made = len(run.done)
    share = f", {run.valid / made:.1%} valid" if made else ""
    inputs = "input" if run.refused == 1 else "inputs"
    refused = f", {run.refused:,} {inputs} refused" if run.refused else ""
    line = f"{made:,} {noun}{share}{refused}: {run.folder}"
    return Summary(made, run.valid, run.folder, files, line)


def _digest(delta: "Delta") -> dict[str, str]:
    from foundation.hub import resolve

    return {"digest": resolve(delta.path).digest}

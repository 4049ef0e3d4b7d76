"""`task=adapt`: which way to adapt a model to a few rows is best, and the best one's model."""

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import record, registry
from foundation.commands import Job
from foundation.durable import replacing
from foundation.errors import InputError, RequestError, UnknownName
from foundation.model import Model
from foundation.placement import place
from foundation.progress import progress
from foundation.runs import Run
from foundation.spec import ModelSpec, Tuning
from foundation.tuning import outcome
from foundation.tuning.comparing import TRAINS, UNTUNED, Comparison, Outcome
from foundation.tuning.data import Data, Wanted, gather
from foundation.tuning.prepare import Prepared, columns_of
from foundation.tuning.rows import Rows
from foundation.tuning.telling import Unlabelled

if TYPE_CHECKING:
    from foundation.tuning.trainer import Trainer

KNOWN = ("data", "asked", "columns", "methods", "minutes", "folds", "rank")


def run(job: Job) -> str:
    """Cross-validate what fits the budget, tell it in a table, and train the best on all rows."""
    spec = registry.spec_from(job.group("model"))
    tuning = registry.domain(spec.domain).tuning
    if tuning is None:
        raise InputError(f"models of {spec.domain} are not tuned")
    ways, given = _asked(job, tuning)
    held = Run(job.folder, {}, _identity(job, given))
    model = Model(spec, place(job.group("placement"), spec.dtype))
    try:
        if held.finished:
            return f"finished already: {job.folder / 'adapt.csv'}"
        began = time.monotonic()
        wanted = Wanted(str(given["data"]), None, given["columns"], 0.0, job.config["seed"])
        data = gather(tuning, wanted, job.folder / "data")
        asked = _rows_asked(tuning, data, given, job.folder / "asked")
        job.remember()
        comparison = Comparison(
            model, tuning, data.rows, job.folder / "adapt", folds=given["folds"],
            seed=job.config["seed"], rank=given["rank"], recipe=job.group("recipe"),
            deadline=None if given["minutes"] is None else began + 60 * given["minutes"],
        )  # fmt: skip
        found = _compare(comparison, ways or _possible(comparison))
        best = next((each for each in found if each.score is not None), None)
        if best is None:
            raise InputError(f"nothing could be tried; {found[0].way}: {found[0].reason}")
        _write(found, job.folder / "adapt.csv")
        command = _command(job, spec, tuning, best.way, given)
        saved = best.way not in (UNTUNED, *tuning.baselines)
        trainer = _save(comparison, best, job.folder, spec, data) if saved else None
        if asked:
            tell = partial(_answers, comparison, best.way, trainer)
            asked.write(tell, comparison.labels, job.folder / "answers.csv")
        print(table(found, _score(comparison)))
        if best.behind:
            print(f"{best.way} is not clearly behind, and which rows lie near each other is not "
                  "known: folds then flatter what trains more")  # fmt: skip
        print(f"recommended: {command}")
        seconds = time.monotonic() - began
        held.record(_record(job, found, command, len(data.rows), data.refused, seconds))
        held.discard_parts()
        kept = "model" if saved else "answers.csv" if asked else "adapt.csv"
        tried = sum(each.score is not None for each in found)
        return f"{best.way} is best of {tried}: {job.folder / kept}"
    finally:
        model.close()
        held.close()


def _asked(job: Job, tuning: Tuning) -> tuple[list[str], dict[str, Any]]:
    """The ways to try, cheapest first (none: all that rows allow), and the settings, checked."""
    given = job.task()
    for key in given:
        if key not in KNOWN:
            raise UnknownName("setting", f"task.{key}", [f"task.{k}" for k in KNOWN])
    if given.get("data") is None:
        raise InputError("task=adapt needs rows: give task.data=<file or folder>")
    known = [UNTUNED, *tuning.baselines, *(way for way in TRAINS if way in tuning.methods)]
    ways = given.get("methods") or []
    ways = [ways] if isinstance(ways, str) else list(ways)
    for way in ways:
        if way not in known:
            raise UnknownName("method", str(way), known, "(task.methods)")
    for key, least in (("folds", 2), ("rank", 1)):
        value = given.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RequestError(f"task.{key} must be a whole number of at least {least}")
    minutes = given.get("minutes")
    if minutes is not None and (not isinstance(minutes, int | float) or not minutes > 0):
        raise RequestError(f"task.minutes must be above 0, got '{minutes}'")
    return sorted(ways, key=known.index), {**given, "columns": columns_of(given)}


def _possible(comparison: Comparison) -> list[str]:
    """All ways that the rows allow, cheapest first: without labels or values there is no head."""
    methods = [way for way in TRAINS if way in comparison.tuning.methods]
    if comparison.goal:
        return [*comparison.tuning.baselines, *methods]
    return [UNTUNED, *(way for way in methods if way != "head")]


def _rows_asked(
    tuning: Tuning, data: Data, given: Mapping[str, Any], folder: Path
) -> Unlabelled | None:
    """The rows of task.asked, read before anything is tried: what is wrong is told early."""
    if given.get("asked") is None:
        return None
    if not any(data.rows[0].get(kind) for kind in ("label", "value")):
        raise InputError("task.asked needs rows with a label or a value in task.data to learn from")
    return Unlabelled(tuning, str(given["asked"]), given["columns"], folder)


def _answers(comparison: Comparison, way: str, trainer: "Trainer | None", rows: Rows) -> Any:
    if trainer is not None:
        return comparison.said(trainer, rows)
    with tempfile.TemporaryDirectory() as scratch:
        return comparison.answers(way, comparison.data, rows, Path(scratch))


def _score(comparison: Comparison) -> str:
    """What the ways are compared by."""
    if comparison.goal is None:
        return "-loss"
    return "accuracy" if comparison.goal.labels else "-error"


def _identity(job: Job, given: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed comparison must share; it may go on with more minutes."""
    kept = {key: given[key] for key in ("data", "columns", "folds", "rank")}
    model = job.group("model")
    return {
        "task": "adapt",
        **{f"model.{key}": model.get(key) for key in ("name", "source", "path")},
        **{f"task.{key}": value for key, value in kept.items()},
        "recipe": job.group("recipe"),
        "seed": job.config["seed"],
    }


def _compare(comparison: Comparison, ways: Sequence[str]) -> list[Outcome]:
    done = 0
    with progress(len(ways) * comparison.folds, "fits") as report:

        def show(way: str) -> None:
            nonlocal done
            done += 1
            report(done, way=way)

        return comparison.compared([comparison.measure(way, show) for way in ways])


def _command(job: Job, spec: ModelSpec, tuning: Tuning, way: str, given: Mapping[str, Any]) -> str:
    """What to type to do the recommended thing again."""
    words = ["foundation", f"model={spec.name}"]
    model = job.group("model")
    if model.get("path"):
        words.append(f"model.path={model['path']}")
    columns = ", ".join(f"{field}: {name}" for field, name in given["columns"].items())
    if way == UNTUNED:
        return " ".join(words)
    if way not in TRAINS:
        asked = given["asked"] or "<rows to be told>"
        again = f"task=adapt task.methods=[{way}] task.data={{data}} task.asked={asked}"
        return " ".join([*words, tuning.commands.get(way, again).format(data=given["data"])])
    words += ["task=tune", f"task.method={way}", f"task.data={given['data']}"]
    if columns:
        words.append(f"'task.columns={{{columns}}}'")
    return " ".join([*words, "task.validation=0"])


def _save(
    comparison: Comparison, best: Outcome, folder: Path, spec: ModelSpec, data: Data
) -> "Trainer":
    """The best way's model, trained on all rows; its figures are those of the folds."""
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(exist_ok=True)
    trainer = comparison.train(best.way, comparison.data, checkpoints)
    outcome.write_curve(trainer.curve, folder)
    prepared = Prepared(
        trainer.tunable, data.rows, (), trainer.recipe, data.refused, data.reasons, data.digests
    )
    outcome.save(trainer, prepared, folder, {
        "model": spec.name, "source": spec.source, "revision": spec.revision,
        "licence": spec.licence, "method": best.way, "recipe": asdict(trainer.recipe),
        "seed": comparison.seed, "data": dict(data.digests), "data_licence": None,
        "labels": list(comparison.labels), "leaks": [], "before": None,
        "figures": {f"cross-validated {k}": v for k, v in (best.figures or {}).items()},
    })  # fmt: skip
    return trainer


def _write(found: Sequence[Outcome], path: Path) -> None:
    import csv

    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        names = [name for name in asdict(found[0]) if name != "figures"]
        figures = sorted({name for each in found for name in each.figures or {}})
        rows = csv.DictWriter(file, [*names, *figures])
        rows.writeheader()
        for each in found:
            values = asdict(each)
            rows.writerow({**(values.pop("figures") or {}), **values})


def table(found: Sequence[Outcome], score: str) -> str:
    """The outcomes as people read them; score: what the column of the scores is called."""
    from foundation.commands.models import table as aligned

    lines = [("way", score, "95 %", "behind the best", "seconds a fit", "trained weights")]
    for each in found:
        if each.score is None:
            lines.append((each.way, "-", each.reason or "", "", "", ""))
            continue
        behind = f"{each.behind:.3f} ({each.behind_low:.3f} to {each.behind_high:.3f})"
        lines.append((
            each.way, f"{each.score:.3f}", f"{each.low:.3f} to {each.high:.3f}", behind,
            f"{each.seconds:.1f}", f"{each.trained:,}" if each.trained else "",
        ))  # fmt: skip
    return aligned(lines)


def _record(
    job: Job, found: Sequence[Outcome], command: str, rows: int, refused: int, seconds: float
) -> dict[str, Any]:
    return {
        "task": "adapt",
        "config": dict(job.config),
        "versions": record.versions(),
        "machine": record.machine(),
        "seconds": {"run": seconds},
        "counts": {"rows": rows, "refused": refused},
        "metrics": {each.way: each.score for each in found if each.score is not None},
        "ways": [asdict(each) for each in found],
        "recommended": command,
        "peak_memory": record.peak_memory(),
    }

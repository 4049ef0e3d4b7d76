"""`task=tune`: train a model by a recipe; checkpoints as it goes, at the end `model/`."""

import itertools
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import hub, record, registry
from foundation.adapter import Placement, Tunable
from foundation.commands import Job
from foundation.durable import replacing
from foundation.errors import InputError, Interrupted, RequestError, UnknownName
from foundation.placement import place
from foundation.precision import fastest
from foundation.progress import progress
from foundation.registry import resolve
from foundation.runs import Run
from foundation.signals import Stop
from foundation.sources import model_source, source
from foundation.spec import ModelSpec
from foundation.tuning.recipe import Recipe

if TYPE_CHECKING:
    from foundation.tuning.trainer import Trainer

KNOWN = ("data", "held_out", "column", "start")
NEEDED = ("tunable", "field", "shape", "sources")
OWN = ("name", *NEEDED, "read", "held_out_rows")
MAY_CHANGE = ("steps", "decay", "checkpoint", "validate", "log", "keep")
TRAINING = tuple(field.name for field in fields(Recipe))


@dataclass(frozen=True)
class Rows:
    """Rows to train and measure on, and the digests of the files they are from."""

    trained: list[Any]
    held_out: list[Any]
    refused: int
    digests: Mapping[str, str]


def run(job: Job) -> str:
    """Train by the chosen recipe, or go on from the newest checkpoint of the run folder."""
    recipe, spec = _recipe(job), registry.spec_from(job.group("model"))
    training = Recipe(**{key: recipe[key] for key in TRAINING if key in recipe})
    placement = place(job.group("placement"), spec.dtype)
    held = Run(job.folder, {}, _identity(job, recipe))
    try:
        if held.finished:
            return f"finished already: {job.folder / 'model'}"
        began = time.perf_counter()
        rows = _rows(job, recipe, spec)
        trainer = _trainer(job, recipe, training, spec, rows, placement)
        job.remember()
        _train(trainer, training, job.folder)
        _save(trainer.tunable, job.folder / "model")
        row = trainer.curve[-1]
        held.record(_record(job, rows, row, trainer.step, time.perf_counter() - began))
        held.discard_parts()
        return (
            f"{trainer.step:,} steps on {len(rows.trained):,} rows, loss {row['loss']:.4g}"
            f"{_measured(row)}: {job.folder / 'model'}"
        )
    finally:
        held.close()


def _recipe(job: Job) -> dict[str, Any]:
    """The recipe, with nothing unknown in it and nothing missing."""
    recipe = job.group("recipe")
    for key in job.task():
        if key not in KNOWN:
            raise UnknownName("setting", f"task.{key}", [f"task.{k}" for k in KNOWN])
    for key in recipe:
        if key not in (*OWN, *TRAINING):
            raise UnknownName("setting", f"recipe.{key}", [f"recipe.{k}" for k in TRAINING])
    if any(key not in recipe for key in NEEDED):
        raise InputError("task=tune needs a recipe: give recipe=<name>; foundation --help has them")
    if job.task().get("start") not in (None, "model"):
        raise RequestError(f"task.start must be null or model, got '{job.task()['start']}'")
    return recipe


def _identity(job: Job, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed training must share: all but what the trainer lets a training change."""
    return {
        "task": "tune",
        "model": job.group("model").get("source") if job.task().get("start") else None,
        **{f"task.{key}": job.task().get(key) for key in KNOWN},
        **{f"recipe.{key}": value for key, value in recipe.items() if key not in MAY_CHANGE},
        "seed": job.config["seed"],
    }


def _rows(job: Job, recipe: Mapping[str, Any], spec: ModelSpec) -> Rows:
    read = registry.domain(spec.domain).read
    if read is None:
        raise InputError(f"{spec.domain} reads no files to train on")
    found: dict[str, list[Any]] = {"data": [], "held_out": []}
    digests: dict[str, str] = {}
    refused = 0
    limits = {"data": None, "held_out": recipe.get("held_out_rows")}
    for name, limit in limits.items():
        value, where = job.task().get(name), f"task.{name}"
        if value is None:
            value, where = recipe["sources"].get(name), f"recipe.sources.{name}"
        if value is None:
            continue
        local = hub.fetch([source(value, where)])[0]
        digests |= local.files
        for row in itertools.islice(resolve(read)(local.path, job.task().get("column")), limit):
            if row.get("error") or row.get(recipe["field"]) is None:
                refused += 1
            else:
                found[name].append(row[recipe["field"]])
    if not found["data"]:
        raise InputError("there is no row to train on: give task.data=<file>")
    return Rows(found["data"], found["held_out"], refused, digests)


def _trainer(
    job: Job,
    recipe: Mapping[str, Any],
    training: Recipe,
    spec: ModelSpec,
    rows: Rows,
    placement: Placement,
) -> "Trainer":
    import torch

    from foundation.tuning.trainer import Trainer

    if placement.threads:
        torch.set_num_threads(placement.threads)
    if job.task().get("start") == "model":
        if "read" not in recipe:
            raise InputError(f"recipe '{recipe.get('name')}' cannot start from a model's weights")
        tunable: Tunable = resolve(recipe["read"])(hub.fetch([model_source(spec)])[0].path)
    else:
        tunable = resolve(recipe["tunable"]).begin(
            rows.trained, dict(recipe["shape"]), job.config["seed"]
        )
    tunable.module().to(placement.device)
    precision = training.precision
    if precision == "auto":
        precision = fastest(placement.device) if placement.dtype == "auto" else placement.dtype
    folder = job.folder / "checkpoints"
    folder.mkdir(exist_ok=True)
    return Trainer(
        tunable, rows.trained, rows.held_out, training, folder, job.config["seed"], precision
    )


def _train(trainer: "Trainer", training: Recipe, folder: Path) -> None:
    with Stop() as stop, progress(training.steps, "steps", done=trainer.step) as report:

        def show(step: int, _steps: int, row: dict[str, float]) -> None:
            report(step, **{k: v for k, v in row.items() if k in ("loss", "held_out") and v})

        finished = trainer.run(show, lambda: stop() is not None)
        number = stop()
    _write_curve(trainer.curve, folder / "curve.parquet")
    if not finished:
        raise Interrupted(
            number or 0,
            f"stopped after {trainer.step:,} of {training.steps:,} steps; "
            f"go on with: foundation resume={folder}",
        )


def _write_curve(curve: list[dict[str, Any]], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {"step": pa.int64()} | dict.fromkeys(
        ("loss", "held_out", "rate", "units_per_second"), pa.float64()
    )
    with replacing(path) as part:
        pq.write_table(pa.Table.from_pylist(curve, schema=pa.schema(names.items())), part)


def _save(tunable: Tunable, folder: Path) -> None:
    """Write the model's folder under another name and rename it, so that it is whole or absent."""
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    tunable.save(part)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)


def _record(
    job: Job, rows: Rows, last: Mapping[str, Any], steps: int, seconds: float
) -> dict[str, Any]:
    counts = {"rows": len(rows.trained), "refused": rows.refused, "steps": steps}
    return {
        "task": "tune",
        "config": dict(job.config),
        "digests": dict(rows.digests),
        "versions": record.versions(),
        "machine": record.machine(),
        "seconds": {"run": seconds},
        "counts": counts | {"held_out": len(rows.held_out)},
        "metrics": {k: last[k] for k in ("loss", "held_out") if last[k] is not None},
        "peak_memory": record.peak_memory(),
    }


def _measured(row: Mapping[str, Any]) -> str:
    return "" if row["held_out"] is None else f", held out {row['held_out']:.4g}"

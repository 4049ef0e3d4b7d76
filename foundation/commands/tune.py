"""`task=tune`: train a model; checkpoints as it goes, at the end `model/`."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import record, registry
from foundation.adapter import Placement
from foundation.commands import Job
from foundation.errors import InputError, Interrupted, RequestError, UnknownName
from foundation.failures import tell
from foundation.placement import calibration, place
from foundation.placement.devices import Here
from foundation.placement.plan import chosen, leased
from foundation.progress import progress
from foundation.runs import Run
from foundation.signals import Stop
from foundation.spec import ModelSpec
from foundation.tuning import outcome, prepare
from foundation.tuning.data import Data, Wanted
from foundation.tuning.prepare import METHODS, Prepared
from foundation.tuning.recipe import MAY_CHANGE, Recipe

if TYPE_CHECKING:
    from foundation.tuning.trainer import Trainer

KNOWN = (
    "data", "held_out", "column", "start", "method", "columns", "validation", "rank", "leakage",
    "licence",
)  # fmt: skip


def run(job: Job) -> str:
    """Train by the recipe or method, or go on from the newest checkpoint of the run folder."""
    spec = registry.spec_from(job.group("model"))
    recipe, method = _recipe(job, spec)
    asked = place(job.group("placement"), spec.dtype)
    placement, lease = leased(asked, None, f"tune {recipe.get('name') or spec.name}", tell)
    try:
        if int(os.environ.get("RANK", "0")):
            return _beside(job, spec, recipe, method, placement)
        return _first(job, spec, recipe, method, placement)
    finally:
        if lease is not None:
            lease.release()


def _first(
    job: Job, spec: ModelSpec, recipe: Mapping[str, Any], method: str | None, placement: Placement
) -> str:
    """What the only process does, or the first of several: train, and write what comes of it."""
    held = Run(job.folder, {}, _identity(job, recipe))
    try:
        if held.finished:
            return f"finished already: {job.folder / 'model'}"
        began = time.perf_counter()
        prepared, leaks = _prepared(job, spec, recipe, method)
        trainer = trained_by(job, prepared, placement)
        job.remember()
        untuned = None if "tunable" in recipe else outcome.before(trainer, job.folder / "data")
        since, before = time.perf_counter(), trainer.step
        _train(trainer, prepared.training, job.folder)
        rows = (trainer.step - before) * prepared.training.batch
        calibration.keep(
            machine=calibration.machine_name(chosen(placement, Here())),
            model=str(recipe.get("name") or spec.name),
            task="tune",
            kind=placement.device.partition(":")[0],
            dtype=trainer.precision,
            rows=prepared.training.batch,
            work=0.0,
            results=rows,
            seconds=time.perf_counter() - since,
        )
        figures = outcome.figures(trainer, prepared)
        facts = _facts(job, spec, recipe, method, prepared, figures, leaks)
        facts["before"] = untuned
        outcome.save(trainer, prepared, job.folder, facts)
        held.record(_record(job, prepared, facts, trainer, time.perf_counter() - began))
        held.discard_parts()
        return _told(trainer, prepared, facts, job.folder)
    finally:
        held.close()


def _beside(
    job: Job, spec: ModelSpec, recipe: Mapping[str, Any], method: str | None, placement: Placement
) -> str:
    """What processes other than the first of several do: train along, and write nothing."""
    while not (job.folder / outcome.READY).exists():  # the first one reads the data
        time.sleep(0.1)
    prepared, _ = _prepared(job, spec, recipe, method)
    _train(trained_by(job, prepared, placement), prepared.training, job.folder)
    return ""


def _recipe(job: Job, spec: ModelSpec) -> tuple[dict[str, Any], str | None]:
    """The recipe and the method, with nothing unknown asked for."""
    given = job.task()
    for key in given:
        if key not in KNOWN:
            raise UnknownName("setting", f"task.{key}", [f"task.{k}" for k in KNOWN])
    if given.get("start") not in (None, "model"):
        raise RequestError(f"task.start must be null or model, got '{given['start']}'")
    method = given.get("method")
    if method is not None and method not in METHODS:
        raise UnknownName("method", str(method), METHODS, "(task.method)")
    tuning = registry.domain(spec.domain).tuning
    recipe = prepare.recipe_of(job.group("recipe"), method, tuning)
    if "tunable" in recipe:
        if method not in (None, "pretrain", "full"):
            raise InputError(f"recipe '{recipe.get('name')}' trains all weights: no task.method")
    elif given.get("data") is None:
        raise InputError("task=tune needs data: give task.data=<file or folder>")
    return recipe, method


def _identity(job: Job, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed training must share: all but what the trainer lets a training change."""
    given = job.task()
    model = job.group("model")
    own = "tunable" not in recipe or given.get("start")
    return {
        "task": "tune",
        "model": model.get("source") if own else None,
        **({"model.path": model["path"]} if own and model.get("path") else {}),
        **{f"task.{key}": given.get(key) for key in KNOWN if given.get(key) is not None},
        **{f"recipe.{key}": value for key, value in recipe.items() if key not in MAY_CHANGE},
        "seed": job.config["seed"],
    }


def _prepared(
    job: Job, spec: ModelSpec, recipe: Mapping[str, Any], method: str | None
) -> tuple[Prepared, list[dict[str, Any]]]:
    """The Tunable with its rows, and what the held-out rows share with the others."""
    if "tunable" in recipe:
        given = {**job.task(), **({"start": "model"} if method == "full" else {})}
        return prepare.from_recipe(spec, recipe, given, job.config["seed"]), []
    wanted = wanted_of(job.task(), job.config["seed"])
    rank = job.task().get("rank") or 8
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise RequestError(f"task.rank must be a whole number of at least 1, got '{rank}'")
    prepared, data = prepare.from_data(spec, str(method), recipe, wanted, job.folder / "data", rank)
    return prepared, _leaks(job, spec, data)


def _leaks(job: Job, spec: ModelSpec, data: Data) -> list[dict[str, Any]]:
    from foundation.tuning import leakage

    tuning = registry.domain(spec.domain).tuning
    assert tuning is not None
    allowed = job.task().get("leakage")
    return leakage.checked(tuning, data, leakage.LEAST if allowed is None else allowed, job.folder)


def wanted_of(given: Mapping[str, Any], seed: int) -> Wanted:
    """What is asked of the data, checked."""
    columns = prepare.columns_of(given)
    share = given.get("validation")
    share = 0.1 if share is None else share
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < 1:
        raise RequestError(f"task.validation must lie between 0 and below 1, got '{share}'")
    if given.get("column"):
        raise InputError("task.column is for starters' recipes: use task.columns={<field>: <name>}")
    return Wanted(str(given["data"]), given.get("held_out"), columns, share, seed)


def trained_by(job: Job, prepared: Prepared, placement: Placement) -> "Trainer":
    """The trainer of what is prepared, which goes on from the run folder's checkpoint."""
    import torch

    from foundation.tuning.trainer import Trainer

    if placement.threads:
        torch.set_num_threads(placement.threads)
    prepared.tunable.module().to(placement.device)
    precision = prepare.precision_of(prepared.training, placement)
    folder = job.folder / "checkpoints"
    folder.mkdir(exist_ok=True)
    (job.folder / outcome.READY).touch()
    return Trainer(
        prepared.tunable, prepared.rows, prepared.held_out, prepared.training, folder,
        job.config["seed"], precision, prepared.frozen,
    )  # fmt: skip


def _train(trainer: "Trainer", training: Recipe, folder: Path) -> None:
    with Stop() as stop, progress(training.steps, "steps", done=trainer.step) as report:

        def show(step: int, _steps: int, row: dict[str, float]) -> None:
            report(step, **{k: v for k, v in row.items() if k in ("loss", "held_out") and v})

        finished = trainer.run(show, lambda: stop() is not None)
        number = stop()
    if trainer.accelerator.is_main_process:
        outcome.write_curve(trainer.curve, folder)
    if not finished:
        raise Interrupted(
            number or 0,
            f"stopped after {trainer.step:,} of {training.steps:,} steps; "
            f"go on with: foundation resume={folder}",
        )


def _facts(
    job: Job,
    spec: ModelSpec,
    recipe: Mapping[str, Any],
    method: str | None,
    prepared: Prepared,
    figures: Mapping[str, float],
    leaks: list[dict[str, Any]],
) -> dict[str, Any]:
    """What the card and the record tell of a tuned model."""
    own = "tunable" not in recipe or job.task().get("start")
    return {
        "model": spec.name,
        "source": spec.source if own else None,
        "revision": spec.revision,
        "licence": spec.licence,
        "method": method or "pretrain",
        "recipe": {k: v for k, v in recipe.items() if k not in ("sources", "tunable", "read")},
        "seed": job.config["seed"],
        "data": dict(prepared.digests),
        "data_licence": job.task().get("licence"),
        "labels": list(prepared.labels),
        "figures": dict(figures),
        "leaks": leaks,
    }


def _record(
    job: Job, prepared: Prepared, facts: Mapping[str, Any], trainer: "Trainer", seconds: float
) -> dict[str, Any]:
    last = trainer.curve[-1]
    counts = {"rows": len(prepared.rows), "refused": prepared.refused, "steps": trainer.step}
    return {
        "task": "tune",
        "config": dict(job.config),
        "digests": dict(prepared.digests),
        "versions": record.versions(),
        "machine": record.machine(),
        "precision": trainer.precision,
        "seconds": {"run": seconds},
        "counts": counts | {"held_out": len(prepared.held_out)},
        "metrics": {k: last[k] for k in ("loss", "held_out") if last[k] is not None}
        | ({} if facts["before"] is None else {"held_out_before": facts["before"]})
        | dict(facts["figures"]),
        "best": trainer.best,
        "leaks": facts["leaks"],
        "peak_memory": record.peak_memory(),
    }


def _told(trainer: "Trainer", prepared: Prepared, facts: Mapping[str, Any], folder: Path) -> str:
    """The last line on the screen."""
    row = trainer.curve[-1]
    held_out = trainer.best.get("held_out", row["held_out"])
    measured = ", no row held out" if held_out is None else f", held out {held_out:.4g}"
    if facts["before"] is not None:
        measured += f" ({facts['before']:.4g} before)"
    more = "".join(f", {name} {value:.4g}" for name, value in facts["figures"].items())
    refused = f", {prepared.refused:,} rows refused" if prepared.refused else ""
    return (
        f"{trainer.step:,} steps on {len(prepared.rows):,} rows{refused}, "
        f"loss {row['loss']:.4g}{measured}{more}: {folder / 'model'}"
    )

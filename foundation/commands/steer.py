"""`task=steer`: train a model towards what a score rewards, and keep the best it made."""

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import hub, record, registry
from foundation.adapter import Score, Start, Tunable
from foundation.commands import Job
from foundation.commands.tune import trained_by
from foundation.errors import InputError, Interrupted, RequestError, UnknownName
from foundation.failures import tell
from foundation.placement import place
from foundation.placement.plan import leased
from foundation.progress import progress
from foundation.registry import resolve
from foundation.results import Result
from foundation.runs import Run
from foundation.signals import Stop
from foundation.sources import model_source
from foundation.spec import Domain, ModelSpec, Steering
from foundation.tuning import outcome, prepare
from foundation.tuning.card import steered_card
from foundation.tuning.oracle import Oracle, columns, top_area, top_mean
from foundation.tuning.prepare import Prepared

if TYPE_CHECKING:
    from foundation.tuning.trainer import Trainer

KNOWN = ("calls", "best")
IDLE = 100
"""Steps in a row without a new output, after which nothing new is expected."""
TOP = 10


def run(job: Job) -> str:
    """Steer until the calls are spent; or go on from the run folder's calls and checkpoint."""
    spec = registry.spec_from(job.group("model"))
    domain = registry.domain(spec.domain)
    steering = domain.steering
    if steering is None:
        raise InputError(f"models of {spec.domain} are not steered")
    calls, best = _asked(job)
    recipe = _recipe(job, steering)
    objective = job.group("objective")
    if not objective:
        raise InputError("task=steer needs objective=<name>, or a YAML of yours (--config-dir)")
    score: Score = resolve(steering.score)(objective)
    placement, lease = leased(place(job.group("placement"), spec.dtype), None, "steer", tell)
    held = Run(job.folder, columns(score), _identity(job, recipe), total=calls)
    try:
        if held.finished:
            return f"finished already: {job.folder / 'results.parquet'}"
        began = time.perf_counter()
        local = hub.fetch([model_source(spec)])[0]
        origin = {"model": spec.name, "revision": spec.revision or local.digest[:16]}
        oracle = Oracle(score, held, calls, {**origin, "seed": job.config["seed"]})
        start = Start(spec, local.path, "steer", (), job.config["seed"], 0,
                      dict(recipe.get("options") or {}))  # fmt: skip
        tunable: Tunable = resolve(steering.begin)(start, oracle)
        training = prepare.training_of(recipe, 0)
        prepared = Prepared(tunable, range(training.batch), (), training)
        trainer = trained_by(job, prepared, placement)
        job.remember()
        _train(trainer, oracle, job.folder)
        if not oracle.calls:
            raise InputError(f"{spec.name} drew nothing that could be scored")
        figures = _figures(oracle)
        facts = _facts(job, spec, recipe, figures)
        text = steered_card(facts, len(oracle.calls))
        outcome.save_model(tunable, job.folder, facts, text)
        files = _write(domain, steering, oracle, best, job.folder)
        held.record(_record(job, trainer, oracle, figures, files, time.perf_counter() - began))
        held.discard_parts()
        return _told(domain, oracle, figures, job.folder)
    finally:
        held.close()
        if lease is not None:
            lease.release()


def _asked(job: Job) -> tuple[int, int]:
    """Calls and rows that were asked for."""
    given = job.task()
    for key in given:
        if key not in KNOWN:
            raise UnknownName("setting", f"task.{key}", [f"task.{k}" for k in KNOWN])
    for key in KNOWN:
        value = given.get(key)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise RequestError(f"task.{key} must be a whole number of at least 1, got '{value}'")
    return given["calls"], given["best"]


def _recipe(job: Job, steering: Steering) -> dict[str, Any]:
    """The steering's own recipe, with what was chosen or typed in its place."""
    import yaml

    chosen = job.group("recipe")
    if "tunable" in chosen:
        raise InputError(f"recipe '{chosen.get('name')}' trains on data: it is for task=tune")
    path = next(
        folder / "recipe" / f"{steering.recipe}.yaml"
        for folder in registry.conf_folders()
        if (folder / "recipe" / f"{steering.recipe}.yaml").is_file()
    )
    plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    options = {**plain["options"], **(chosen.get("options") or {})}
    recipe = {**plain, **chosen, "options": options}
    for key in recipe:
        if key not in (*prepare.TRAINING, "name", "options"):
            raise UnknownName("setting", f"recipe.{key}", [f"recipe.{k}" for k in prepare.TRAINING])
    if recipe.get("accumulate", 1) != 1:
        raise RequestError("recipe.accumulate must be 1: a step's draws are scored together")
    return recipe


def _identity(job: Job, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed run must share with the one that was begun."""
    model = job.group("model")
    return {
        "task": "steer",
        **{f"model.{key}": model.get(key) for key in ("name", "source", "revision", "path")},
        "objective": job.group("objective"),
        "recipe": dict(recipe),
        "calls": job.task()["calls"],
        "seed": job.config["seed"],
    }


def _train(trainer: "Trainer", oracle: Oracle, folder: Path) -> None:
    """Train until the calls are spent and learnt from, or nothing new comes."""

    def done() -> bool:
        # A resumed training first learns again from what it had paid for.
        since = trainer.step - oracle.latest
        return (oracle.spent and since > 0) or since > IDLE

    with Stop() as stop, progress(oracle.budget, "calls", done=len(oracle.calls)) as report:

        def show(_step: int, _steps: int, _row: dict[str, Any]) -> None:
            scores = [call.score for call in oracle.calls]
            report(len(scores), latest=_mean(scores[-100:]), top_10=top_mean(scores, TOP))

        trainer.run(show, lambda: stop() is not None or done())
        number = None if done() else stop()
    outcome.write_curve(trainer.curve, folder)
    if number is not None:
        raise Interrupted(
            number,
            f"stopped after {len(oracle.calls):,} of {oracle.budget:,} calls; "
            f"go on with: foundation resume={folder}",
        )


def _figures(oracle: Oracle) -> dict[str, float]:
    """What the calls were worth: the best, means of the best, and the area by PMO's rule."""
    scores = [call.score for call in oracle.calls]
    return {
        "best": max(scores),
        "top 10": top_mean(scores, TOP),
        "top 100": top_mean(scores, 100),
        "area of top 10": top_area(scores, oracle.budget, TOP),
    }


def _write(
    domain: Domain, steering: Steering, oracle: Oracle, count: int, folder: Path
) -> list[Path]:
    """All calls, and the best as rows with the checks of a plain task, and the domain's files."""
    import pyarrow.parquet as pq

    from foundation.durable import replacing
    from foundation.table import to_table

    item = domain.noun.rstrip("s")
    calls = folder / "oracle_calls.parquet"
    oracle.write(calls, item)
    task = domain.tasks[steering.task]
    numbers = oracle.best(count)
    paid = {row["id"]: row for batch in oracle.run.rows() for row in batch.to_pylist()}
    chosen = [paid[number] for number in numbers]
    names = list(columns(oracle.score))
    checked: list[dict[str, Any]] = [{"valid": True, "reason": None}] * len(chosen)
    if task.check is not None:
        checked = resolve(task.check)([row["output"] for row in chosen], None)
    rows = [
        Result(
            place, None, row["output"], checks_of["valid"], checks_of["reason"], row["seed"],
            row["model"], row["revision"],
            {"call": row["id"], **{name: row[name] for name in names}, **checks_of},
        )
        for place, (row, checks_of) in enumerate(zip(chosen, checked, strict=True))
    ]  # fmt: skip
    own = {name: kind for name, kind in task.columns.items() if name in checked[0]}
    table = folder / "results.parquet"
    with replacing(table) as part:
        pq.write_table(
            to_table(rows, {**columns(oracle.score), "call": "int64", **own}), part,
            compression="zstd",
        )  # fmt: skip
    files = [] if domain.write is None else resolve(domain.write)(folder, steering.task, table)
    return [table, calls, *files]


def _facts(
    job: Job, spec: ModelSpec, recipe: Mapping[str, Any], figures: Mapping[str, float]
) -> dict[str, Any]:
    """What the card and tuned.json tell."""
    return {
        "model": spec.name,
        "source": spec.source,
        "revision": spec.revision,
        "licence": spec.licence,
        "method": "steer",
        "labels": [],
        "objective": job.group("objective"),
        "recipe": {**recipe, "calls": job.task()["calls"]},
        "seed": job.config["seed"],
        "figures": dict(figures),
    }


def _record(
    job: Job,
    trainer: "Trainer",
    oracle: Oracle,
    figures: Mapping[str, float],
    files: list[Path],
    seconds: float,
) -> dict[str, Any]:
    return {
        "task": "steer",
        "config": dict(job.config),
        "recipe": asdict(trainer.recipe),
        "versions": record.versions(),
        "machine": record.machine(),
        "precision": trainer.precision,
        "seconds": {"run": seconds},
        "counts": {"calls": len(oracle.calls), "steps": trainer.step},
        "metrics": dict(figures),
        "peak_memory": record.peak_memory(),
        "files": [path.name for path in files],
    }


def _told(domain: Domain, oracle: Oracle, figures: Mapping[str, float], folder: Path) -> str:
    """The last line on the screen."""
    first = [call.score for call in oracle.calls[:100]]
    spent = "" if oracle.spent else f" of {oracle.budget:,}, nothing new came"
    return (
        f"{len(oracle.calls):,} {domain.noun} scored{spent}: the best {figures['best']:.3f}, "
        f"top 10 {figures['top 10']:.3f} (of the first 100: {top_mean(first, TOP):.3f}): {folder}"
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0

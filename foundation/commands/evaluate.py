"""`task=evaluate suite=<name>`: measure a model; the figures go into record.json."""

import time
from collections.abc import Mapping
from typing import Any

from foundation import registry
from foundation.commands import Job
from foundation.engines.ranges import chosen
from foundation.errors import InputError, UnknownName
from foundation.failures import tell
from foundation.model import Model
from foundation.placement import place
from foundation.progress import progress
from foundation.record import machine, peak_memory, versions
from foundation.registry import resolve
from foundation.runs import Run


def run(job: Job) -> str:
    """Run the chosen suite on the chosen model."""
    spec = registry.spec_from(job.group("model"))
    suite = _suite(job, registry.domain(spec.domain).suites, spec.domain)
    engine = job.group("engine")
    if chosen(engine) is not None or engine.get("output"):
        raise InputError(
            "engine.range and engine.output are for a task of requests, not task=evaluate: "
            "leave them out"
        )
    model = Model(spec, place(job.group("placement"), spec.dtype), job.engine())
    model.say = tell
    held = Run(job.folder, {}, _identity(job, suite))
    try:
        if held.finished:
            return f"finished already: {job.folder / 'record.json'}"
        job.remember()
        began = time.perf_counter()
        measure = resolve(registry.domain(spec.domain).suites[suite["name"]])
        with progress(None, "steps") as report:
            metrics = measure(model, suite, job.folder, job.config["seed"], report)
        held.record(_record(job, model, metrics, time.perf_counter() - began))
        held.discard_parts()
        return f"{shown(metrics)}: {job.folder / 'record.json'}"
    finally:
        held.close()
        model.close()


def shown(metrics: Mapping[str, Any]) -> str:
    """The figures in one line: of one that was measured more than once the mean, no tables."""
    values = {k: v.get("mean") if isinstance(v, Mapping) else v for k, v in metrics.items()}
    values = {k: v for k, v in values.items() if v is not None}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in values.items()
    )


def _suite(job: Job, suites: Mapping[str, str], domain: str) -> dict[str, Any]:
    """The chosen suite, with nothing unknown in it."""
    suite = job.group("suite")
    if "name" not in suite:
        known = ", ".join(sorted(suites)) or f"{domain} has none yet"
        raise InputError(f"task=evaluate needs a suite: give suite=<name> ({known})")
    if suite["name"] not in suites:
        raise UnknownName("suite", suite["name"], suites, f"of {domain}")
    for key in job.task():
        raise UnknownName("setting", f"task.{key}", [f"suite.{k}" for k in suite if k != "name"])
    _check_limit(suite.get("limit"))
    return suite


def _identity(job: Job, suite: Mapping[str, Any]) -> dict[str, Any]:
    """What a resumed evaluation must share."""
    model = job.group("model")
    return {
        "task": "evaluate",
        **{f"model.{key}": model.get(key) for key in ("name", "source", "revision", "path")},
        **{f"suite.{key}": value for key, value in suite.items()},
        "seed": job.config["seed"],
    }


def _record(job: Job, model: Model, metrics: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    return {
        "task": "evaluate",
        "config": dict(job.config),
        "model": job.config["model"],
        "revision": model.revision,
        "versions": versions(),
        "machine": machine(),
        "seconds": {**model.seconds, "run": seconds},
        "metrics": dict(metrics),
        "peak_memory": peak_memory(),
    }


def _check_limit(limit: Any) -> None:
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InputError(f"suite.limit must be a whole number of at least 1, got '{limit}'")

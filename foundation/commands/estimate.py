"""`task=estimate`: memory, disk and time of a task, before a byte of its weights is loaded."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from foundation import registry
from foundation.adapter import Placement
from foundation.commands import Job
from foundation.commands.models import table
from foundation.durable import write_json
from foundation.errors import InputError, PlacementError
from foundation.model import usual_batch
from foundation.placement import amounts, calibration
from foundation.placement.amounts import shown
from foundation.placement.choice import place
from foundation.placement.device import Device
from foundation.placement.devices import Described, Here
from foundation.placement.estimate import Estimate, estimate
from foundation.placement.plan import chosen, likely
from foundation.requests import settings
from foundation.spec import ModelSpec


def run(job: Job) -> str:
    """Print the table and leave it as estimate.json in the run folder."""
    spec = registry.spec_from(job.group("model"))
    given = job.task()
    price = _price(given.pop("price", None))
    of = given.pop("of", None) or ("tune" if job.group("recipe") else None)
    placement, device = target(job.group("placement"), spec)
    if of == "tune":
        from foundation.placement.training import estimate_training

        made = estimate_training(job, spec, placement, device)
    else:
        made = of_task(spec, of, given, placement, device)
    path = job.folder / "estimate.json"
    write_json(path, made.values() | {"price_of_1000": _cost(made, price)})
    return f"{told(made, price)}\n{verdict(made)}: {path}"


def of_model(
    name: str, task: str | None = None, *, placement: str | Mapping[str, Any] = "auto", **given: Any
) -> Estimate:
    """What a task of a model needs, by the names the command line uses; nothing is loaded.

    placement: as for `load`; {"device": "cuda", "memory": "80GB"} is a machine that need not be
    here. given: the task's settings.
    """
    spec = registry.spec(name)
    group = {"device": placement} if isinstance(placement, str) else placement
    return of_task(spec, task, dict(given), *target(group, spec))


def target(group: Mapping[str, Any], spec: ModelSpec) -> tuple[Placement, Device]:
    """The placement and the device it means; one that is not here is known by placement.memory."""
    memory = amounts.parsed(group.get("memory"), "placement.memory")
    try:
        placement = place(group, spec.dtype)
        device = chosen(placement, Here())
    except PlacementError as error:
        kind = str(group.get("device", "")).partition(":")[0]
        if kind not in ("cuda", "mps"):
            raise
        if memory is None:
            raise PlacementError(
                f"{error}; to estimate for a machine that has one, tell its memory: "
                "placement.memory=80GB"
            ) from None
        machine = Described(kind, memory)
        placement, device = place(group, spec.dtype, machine), machine.devices()[0]
    if memory is not None and not device.title.startswith("described"):
        device = replace(device, total=memory, free=memory, title="described")
    return replace(placement, dtype=_dtype(placement, device)), device


def _dtype(placement: Placement, device: Device) -> str:
    """The dtype it would run in: that of any GPU of the last years where none is here to ask."""
    if placement.dtype != "auto":
        return placement.dtype
    if device.kind == "cuda" and device.title == "described":
        return "bfloat16"
    from foundation.precision import fastest

    return fastest(likely(placement.device))


def of_task(
    spec: ModelSpec, of: str | None, given: dict[str, Any], placement: Placement, device: Device
) -> Estimate:
    """The estimate of one of the model's tasks, by default its first."""
    task = of or spec.tasks[0]
    if task not in spec.tasks:
        can = ", ".join([*spec.tasks, "tune"])
        raise InputError(f"task.of={task}: {spec.name} can {can}")
    domain = registry.domain(spec.domain)
    try:
        made = settings(domain, task, given)
        items, rows = made.requests() if made.rereadable else iter(()), made.batch
    except InputError as error:
        if " needs " not in str(error):
            raise
        items, rows = iter(()), given.get("batch")  # nothing was given: the model's usual request
    adapter, machine = registry.resolve(spec.adapter), calibration.machine_name(device)
    rows = rows or usual_batch(spec)
    return estimate(spec, adapter, task, items, rows, placement, device, machine)


def told(made: Estimate, price: float | None = None) -> str:
    """The estimate as a table."""
    here = "on this machine" if made.here else "to be fetched"
    rows = [
        ("what", "how much", "notes"),
        ("disk", "unknown" if made.disk is None else shown(made.disk), here),
        ("weights", shown(made.weights), f"{(made.parameters or 0) / 1e6:,.1f} M in {made.dtype}"),
        ("while loading", shown(made.mapped), "mapped files, given back where memory is short"),
        ("while running", shown(made.batch), f"beyond the weights, a batch of {made.rows}"),
        ("peak", shown(made.peak), f"of {shown(made.room)} of {made.device}"),
        ("host memory", shown(made.host), "with Python and torch"),
        ("1,000 results", _span(made.seconds), made.basis),
    ]
    cost = _cost(made, price)
    if cost is not None:
        rows.append(("their price", f"{cost:.3g}", f"at {price:g} an hour (task.price)"))
    return table(rows)


def verdict(made: Estimate) -> str:
    """Whether it fits, and what would have to change."""
    if made.fits:
        return f"{made.model} fits {made.device}"
    return f"{made.model} does not fit {made.device}; what would: {'; '.join(made.advice)}"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 3600:.3g} h"


def _cost(made: Estimate, price: float | None) -> float | None:
    return None if price is None or made.seconds is None else price * made.seconds / 3600


def _price(value: Any) -> float | None:
    if value is not None and (type(value) not in (int, float) or not value >= 0):
        raise InputError(f"task.price must be what an hour costs, at least 0, got '{value}'")
    return None if value is None else float(value)

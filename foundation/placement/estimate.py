"""What a model will need, before a byte of its weights is loaded."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from foundation.adapter import Adapter, Cost, Placement
from foundation.hub.facts import described
from foundation.placement import calibration
from foundation.placement.amounts import shown
from foundation.placement.device import Device
from foundation.requests import Item
from foundation.spec import ModelSpec

LOOKED_AT = 16
"""Requests whose cost is asked; the dearest of them stands for all."""
CUDA = 500_000_000
"""Bytes that a process's context and libraries take of a GPU, about."""
PROCESS = 450_000_000
"""Bytes of Python and torch themselves, about; no estimate counts them but `host`."""


@dataclass(frozen=True)
class Estimate:
    """Bytes, and seconds where they can be told.

    disk: of all the model's files, None where not known; here: whether they are on this machine.
    weights, batch: of the device. peak: the most of it at once. host: of the machine. mapped: of
    files while they are read, which need not stay in memory.
    seconds: of 1,000 results; basis: how that is known. room: what the device can give.
    """

    model: str
    task: str
    device: str
    dtype: str
    rows: int
    disk: int | None
    here: bool
    parameters: int | None
    weights: int
    mapped: int
    batch: int
    peak: int
    host: int
    room: int
    seconds: float | None
    basis: str
    advice: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether the device has room for the peak."""
        return self.peak <= self.room

    def values(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self) | {"fits": self.fits}


def beside(device: Device) -> int:
    """Bytes that are gone from a device before a model is there."""
    return 0 if device.kind == "cpu" else CUDA


def costs(spec: ModelSpec, adapter: type[Adapter], items: Iterable[Item]) -> Cost:
    """The dearest of the first requests in each respect; the mean of their work."""
    first = [item.request for item in islice(items, LOOKED_AT) if item.request is not None]
    found = [adapter.cost(spec, request) for request in first] or [adapter.cost(spec)]
    mosts = [cost.most for cost in found if cost.most is not None]
    return Cost(
        weights=max(cost.weights for cost in found),
        memory=max(cost.memory for cost in found),
        size=max(cost.size for cost in found),
        fixed=max(cost.fixed for cost in found),
        mapped=max(cost.mapped for cost in found),
        most=max(mosts) if mosts else None,
        work=sum(cost.work for cost in found) / len(found),
    )


def estimate(
    spec: ModelSpec,
    adapter: type[Adapter],
    task: str,
    items: Iterable[Item],
    rows: int,
    placement: Placement,
    device: Device,
    machine: str = "",
) -> Estimate:
    """What a task of a model needs on a device with batches of `rows`; nothing is loaded.

    placement.dtype is the one it would run in. machine: names whose calibration counts.
    """
    known = described(replace(spec, dtype=placement.dtype))
    items = list(islice(items, LOOKED_AT))
    cost = costs(known, adapter, items)
    extra = beside(device)
    peak = cost.peak(rows) + extra
    room = device.total if placement.memory is None else min(device.total, placement.memory)
    seconds, basis = calibration.seconds(
        machine, spec.name, task, device.kind, placement.dtype, rows, cost.work
    )
    host = PROCESS + (cost.resident(rows) if device.kind == "cpu" else cost.mapped or cost.weights)
    made = Estimate(
        model=spec.name,
        task=task,
        device=device.name or device.key,
        dtype=placement.dtype,
        rows=rows,
        disk=known.facts.get("bytes"),
        here=bool(known.facts.get("here")),
        parameters=known.parameters,
        weights=cost.weights,
        mapped=cost.mapped,
        batch=cost.peak(rows) - cost.weights,
        peak=peak,
        host=host,
        room=room,
        seconds=seconds,
        basis=basis,
    )
    lower = replace(known, dtype="bfloat16")
    half = costs(lower, adapter, items) if placement.dtype == "float32" else None
    bits = None
    if "bits" in spec.capabilities and spec.bits is None:
        bits = costs(replace(known, bits=4), adapter, items)
    return replace(made, advice=tuple(_advice(made, cost, half, bits, extra)))


def _advice(
    made: Estimate, cost: Cost, half: Cost | None, bits: Cost | None, extra: int
) -> Iterable[str]:
    """What would have to change for it to fit; nothing where it does."""
    if made.fits:
        return
    room = made.room - extra
    for name, one in (("", cost), ("placement.dtype=bfloat16", half)):
        if one is None:
            continue
        batch = largest_batch(one, room, made.rows)
        if batch:
            changes = [name] if name else []
            changes += [f"task.batch={batch}"] if batch < made.rows else []
            yield f"{' '.join(changes)}: {shown(one.peak(batch) + extra)}"
            return
    least = half or cost
    layer = least.weights // 16
    away = least.fixed + least.memory + 2 * layer + extra
    if away <= made.room:
        where = "disk" if made.device == "cpu" else "host"
        words = " placement.dtype=bfloat16" if half else ""
        yield f"placement.offload={where}{words} task.batch=1: about {shown(away)}, much slower"
    if bits is not None and bits.peak(1) + extra <= made.room:
        yield f"model.bits=4 task.batch=1: about {shown(bits.peak(1) + extra)}"
    quarter = (made.parameters or 0) // 2
    if bits is None and quarter and quarter + least.peak(1) - least.weights + extra <= made.room:
        yield f"a model quantised to 4 bits: about {shown(quarter)} of weights"
    yield f"a device with {shown(least.peak(1) + extra)}, batch 1"


def largest_batch(cost: Cost, room: int, most: int) -> int:
    """The largest batch up to `most` that fits; 0 where not even one row does."""
    if cost.peak(1) > room:
        return 0
    low, high = 1, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost.peak(middle) <= room else (low, middle - 1)
    return low

"""How long results take on this machine: kept from its own runs, a small file for each kind."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from foundation.durable import write_json
from foundation.hub.cache import cache_folder
from foundation.placement.device import Device

LEAST_ROWS = 8
"""Results of a run that tell something; fewer are the start of the model's first batch."""
WEIGHT = 0.3
"""Of a new run beside what was known."""


def machine_name(device: Device) -> str:
    """What a calibration holds for: a GPU, or the processor and the cores this process may use."""
    from foundation.placement import host
    from foundation.record import processor

    return f"{processor()}, {host.cores()} cores" if device.kind == "cpu" else device.title


def keep(
    machine: str, model: str, task: str, kind: str, dtype: str, rows: int, work: float,
    results: int, seconds: float,
) -> None:  # fmt: skip
    """Remember that `results` took `seconds` without loading; work: operations of each, or 0."""
    if results < LEAST_ROWS or seconds <= 0:
        return
    path = _path(machine, model, task, kind, dtype, rows)
    each = seconds / results
    with suppress(OSError):  # what cannot be kept is measured another time
        before = _read(path)
        if before:
            each = WEIGHT * each + (1 - WEIGHT) * before["seconds"]
        path.parent.mkdir(parents=True, exist_ok=True)
        values = {"machine": machine, "model": model, "task": task, "kind": kind, "dtype": dtype}
        write_json(path, {**values, "batch": rows, "seconds": each, "work": work})


def seconds(
    machine: str, model: str, task: str, kind: str, dtype: str, rows: int, work: float
) -> tuple[float | None, str]:
    """Seconds of 1,000 results and how they are known; None where they are not.

    From runs of this model here; else from the operations that other models did here in a second.
    """
    exact = _read(_path(machine, model, task, kind, dtype, rows))
    if exact:
        return 1000 * exact["seconds"], f"runs of it here with a batch of {rows}"
    kept = [k for k in _all() if k["machine"] == machine and k["kind"] == kind]
    same = [k for k in kept if (k["model"], k["task"], k["dtype"]) == (model, task, dtype)]
    if same:
        near = min(same, key=lambda k: abs(k["batch"] - rows))
        return 1000 * near["seconds"], f"runs of it here with a batch of {near['batch']}"
    rates = sorted(k["work"] / k["seconds"] for k in kept if k["work"] and k["dtype"] == dtype)
    if work and rates:
        rate = rates[len(rates) // 2]
        return 1000 * work / rate, f"{rate / 1e9:,.3g} GFLOP/s of other models here: a rough guess"
    return None, "no run here yet: unknown"


def _path(*parts: object) -> Path:
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return cache_folder() / "calibration" / f"{digest[:32]}.json"


def _read(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["seconds"] > 0 and values["work"] >= 0:
            return dict(values)
    return {}


def _all() -> Iterator[dict[str, Any]]:
    with suppress(OSError):
        for path in sorted((cache_folder() / "calibration").glob("*.json")):
            values = _read(path)
            if values:
                yield values

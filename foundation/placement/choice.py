"""What the user asked for, checked: names of devices, dtypes, amounts of memory."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from foundation.adapter import Placement
from foundation.errors import PlacementError
from foundation.placement import amounts
from foundation.placement.device import Device, Machine

DTYPES = ("auto", "float32", "bfloat16", "float16")
OFFLOADS = ("host", "disk", "never")
NAMES = "auto, cpu, cuda, cuda:<number>, cuda:<number>,<number>, mps, lease"
_CUDA = re.compile(r"cuda(?::(\d+(?:,\d+)*))?")


def place(
    wanted: str | Mapping[str, Any] = "auto", dtype: str = "auto", machine: Machine | None = None
) -> Placement:
    """`auto`, `cpu`, `cuda`, `cuda:1`, `cuda:0,1`, `mps` or `lease` -> a Placement that is there.

    dtype: the model's own, which one in `wanted` overrules; "auto" stays until the model is loaded,
    when it becomes what is measured to be fast on the device. machine: this one if None.
    A lease names its device when it is taken, and is `lease` until then.
    """
    values = {"name": wanted} if isinstance(wanted, str) else dict(wanted)
    name = str(values.get("device") or values.get("name") or "auto")
    placement = Placement(
        device=name,
        dtype=_one_of("dtype", values.get("dtype"), DTYPES, dtype),
        threads=_threads(values.get("threads")),
        memory=amounts.parsed(values.get("memory"), "placement.memory"),
        offload=_one_of("offload", values.get("offload"), OFFLOADS, None),
        lower_precision=bool(values.get("lower_precision")),
        timeout=_seconds(values.get("timeout")),
    )
    if name == "lease":
        return placement
    names = _names(name, machine)
    return replace(placement, device=names[0], devices=names if len(names) > 1 else ())


def _one_of(key: str, value: Any, known: Sequence[str], otherwise: Any) -> Any:
    if value in (None, "auto"):
        return otherwise
    if value not in known:
        raise PlacementError(f"placement.{key}={value}: one of {', '.join(known)}")
    return value


def _threads(value: Any) -> int | None:
    if value is not None and (type(value) is not int or value < 1):
        raise PlacementError(
            f"placement.threads must be a whole number of at least 1, got '{value}'"
        )
    return value


def _seconds(value: Any) -> float | None:
    if value is not None and (type(value) not in (int, float) or not value >= 0):
        raise PlacementError(f"placement.timeout must be seconds, at least 0, got '{value}'")
    return None if value is None else float(value)


def _names(name: str, machine: Machine | None) -> tuple[str, ...]:
    """The devices a name means, each of them there and usable."""
    if name == "cpu":
        return ("cpu",)
    asked = _CUDA.fullmatch(name)
    if asked is None and name not in ("auto", "mps"):
        raise PlacementError(f"placement={name}: one of {NAMES}")
    there = {device.name: device for device in _accelerators(machine) if device.name}
    if name == "auto":
        return next(((n,) for n, device in there.items() if _takes(device)), ("cpu",))
    wanted = [name] if asked is None else [f"cuda:{n}" for n in (asked[1] or "0").split(",")]
    if len(set(wanted)) < len(wanted):
        raise PlacementError(f"placement={name} names a device twice")
    for each in wanted:
        if each not in there:
            raise PlacementError(f"placement={name}: {_here(name, list(there))}")
        if not there[each].usable:
            raise PlacementError(f"placement={name}: computing is switched off on {each}")
    if machine is None and asked:
        _check_torch(name)
    return tuple(wanted)


def _accelerators(machine: Machine | None) -> Sequence[Device]:
    if machine is not None:
        return [device for device in machine.devices() if device.kind != "cpu"]
    from foundation.placement.devices import accelerators

    return accelerators()


def _takes(device: Device) -> bool:
    """Whether `auto` takes a device: a GPU that this torch computes on."""
    import torch

    return device.kind in ("cuda", "rocm") and device.usable and torch.cuda.is_available()


def _here(name: str, there: Sequence[str]) -> str:
    if name != "mps" and there:
        return f"this machine has {', '.join(there)}"
    kind = "Apple GPU" if name == "mps" else "CUDA device"
    return f"this machine has no {kind}; use placement=cpu"


def _check_torch(name: str) -> None:
    import torch

    if not torch.cuda.is_available():
        raise PlacementError(
            f"placement={name}: there is a GPU, but torch {torch.__version__} cannot use it: "
            "install torch for your driver (pytorch.org/get-started), or use placement=cpu"
        )

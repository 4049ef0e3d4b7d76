"""`task=devices`: what is here to compute on; answered without Hydra."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from foundation.commands.models import table
from foundation.errors import UnknownName
from foundation.placement.amounts import shown
from foundation.placement.device import Device

SETTINGS = ("task.json",)


def answer(words: Sequence[str]) -> str:
    """The devices as a table, with `task.json=true` as JSON."""
    as_json = wants_json(words, "task=devices")
    from foundation.placement.devices import Here
    from foundation.precision import GAIN, seconds

    devices, took = Here().devices(), seconds()
    gain = took["float32"] / took["bfloat16"]
    faster = f"bfloat16 {gain:.1f} times as fast as float32" + (
        "" if gain > GAIN else ", so float32 is used"
    )
    if as_json:
        found = [asdict(device) | {"used": device.total - device.free} for device in devices]
        return json.dumps({"devices": found, "cpu": {"seconds": took, "gain": gain}}, indent=2)
    rows = [("device", "what", "memory", "free", "used, by whomever", "notes")]
    return table([*rows, *(_row(device, faster) for device in devices)])


def wants_json(words: Sequence[str], task: str) -> bool:
    """Whether JSON is asked for; UnknownName for any other word."""
    for word in words:
        if word.partition("=")[0] not in SETTINGS:
            raise UnknownName("setting", word.partition("=")[0], SETTINGS, f"of {task}")
    return any(word.partition("=")[2].lower() in ("true", "1", "yes") for word in words)


def _row(device: Device, faster: str) -> tuple[str, ...]:
    notes = [*device.notes, *([faster] if device.kind == "cpu" else [])]
    used = device.total - device.free
    name = device.name or f"not visible here ({device.key})"
    return (name, device.title, *map(shown, (device.total, device.free, used)), ", ".join(notes))

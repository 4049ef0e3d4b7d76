"""Which dtype is fast on this machine: measured, since flags mislead, and remembered."""

import json
import time
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

GAIN = 1.2
ROUNDS = 20


@cache
def fastest(device: str = "cpu") -> str:
    """`bfloat16` where a matrix product in it takes less than 1 / GAIN of float32's time.

    Measured once on a machine's CPU, in about 50 ms, and kept in the cache folder: on a busy
    machine two measurements may differ, and the same seed is to give the same results. A GPU of
    compute capability 8 or more has it in hardware.
    """
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float32"
    if device != "cpu":
        return "float32"
    return _remembered()


def seconds() -> dict[str, float]:
    """dtype -> the fastest of ROUNDS products [256, 512] x [512, 1536], taken in turns."""
    import torch

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    best = dict.fromkeys(dtypes, float("inf"))
    with torch.inference_mode():
        for _ in range(ROUNDS):
            for name, dtype in dtypes.items():
                left, right = _factors(dtype)
                began = time.perf_counter()
                torch.nn.functional.linear(left, right)
                best[name] = min(best[name], time.perf_counter() - began)
    return best


@cache
def _factors(dtype: "torch.dtype") -> "tuple[torch.Tensor, torch.Tensor]":
    import torch

    return torch.ones(256, 512, dtype=dtype), torch.ones(1536, 512, dtype=dtype)


def _remembered() -> str:
    import torch

    from foundation.durable import write_json
    from foundation.hub.cache import cache_folder
    from foundation.record import machine

    path = cache_folder() / "precision.json"
    here = {"processor": machine()["processor"], "torch": torch.__version__}
    with suppress(OSError, ValueError, AttributeError):
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.get("machine") == here and kept.get("fastest") in ("float32", "bfloat16"):
            return str(kept["fastest"])
    took = seconds()
    found = "bfloat16" if took["float32"] > GAIN * took["bfloat16"] else "float32"
    with suppress(OSError):  # a cache that cannot be written only costs another measurement
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, {"machine": here, "fastest": found, "seconds": took})
    return found

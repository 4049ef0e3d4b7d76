"""Which dtype is fast on this machine: measured, since flags mislead."""

import time
from functools import cache

GAIN = 1.2


@cache
def fastest(device: str = "cpu") -> str:
    """`bfloat16` where a matrix product in it takes less than 1 / GAIN of float32's time.

    About 50 ms on a CPU. A GPU of compute capability 8 or more has it in hardware.
    """
    import torch

    if device.startswith("cuda"):
        return "bfloat16" if torch.cuda.get_device_capability(device)[0] >= 8 else "float32"
    if device != "cpu":
        return "float32"
    seconds = {dtype: _seconds(dtype) for dtype in (torch.float32, torch.bfloat16)}
    gain = seconds[torch.float32] / seconds[torch.bfloat16]
    return "bfloat16" if gain > GAIN else "float32"


def _seconds(dtype: "torch.dtype") -> float:  # type: ignore[name-defined]  # noqa: F821
    """The fastest of several products [256, 512] x [512, 1536]."""
    import torch

    left, right = torch.ones(256, 512, dtype=dtype), torch.ones(1536, 512, dtype=dtype)
    best = float("inf")
    with torch.inference_mode():
        for _ in range(6):
            began = time.perf_counter()
            torch.nn.functional.linear(left, right)
            best = min(best, time.perf_counter() - began)
    return best

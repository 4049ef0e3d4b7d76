"""Where a model runs: the device asked for, refused at once when it is not there."""

from collections.abc import Mapping
from typing import Any

from foundation.adapter import Placement
from foundation.errors import PlacementError

DTYPES = ("auto", "float32", "bfloat16", "float16")


def place(wanted: str | Mapping[str, Any] = "auto", dtype: str = "auto") -> Placement:
    """`auto`, `cpu`, `cuda` or `cuda:<n>` -> a Placement on a device that is there.

    dtype: the model's own, which one in `wanted` overrules; "auto" stays until the model is loaded,
    when it becomes what is measured to be fast on the device.
    """
    values = {"name": wanted} if isinstance(wanted, str) else dict(wanted)
    name = str(values.get("device") or values.get("name") or "auto")
    if values.get("dtype") not in (None, "auto"):
        dtype = str(values["dtype"])
    if dtype not in DTYPES:
        raise PlacementError(f"placement.dtype={dtype}: one of {', '.join(DTYPES)}")
    threads = values.get("threads")
    if threads is not None and (type(threads) is not int or threads < 1):
        raise PlacementError(
            f"placement.threads must be a whole number of at least 1, got '{threads}'"
        )
    return Placement("cpu" if name == "cpu" else _device(name), dtype, threads)


def _device(name: str) -> str:
    import torch

    count = torch.cuda.device_count()
    if name == "auto":
        return "cuda:0" if count else "cpu"
    kind, _, index = name.partition(":")
    if kind != "cuda" or not (index or "0").isdigit():
        raise PlacementError(f"placement={name}: one of auto, cpu, cuda, cuda:<number>")
    if int(index or 0) >= count:
        here = f"{count} CUDA device{'s' * (count != 1)}" if count else "no CUDA device"
        raise PlacementError(f"placement={name}: this machine has {here}; use placement=cpu")
    return f"cuda:{int(index or 0)}"

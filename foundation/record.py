"""What record.json says about the machine, the packages and the work."""

import os
import platform
import resource
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from foundation.placement.host import cores

PACKAGES = (
    "foundation-toolkit", "torch", "transformers", "diffusers", "rdkit", "rasterio",
    "hydra-core", "numpy", "pyarrow", "safetensors", "tokenizers",
)  # fmt: skip


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages results depend on, where they are installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory in bytes, system."""
    return {
        "processor": processor(),
        "cores": cores(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def peak_memory() -> dict[str, int]:
    """Peak resident bytes of this process and of the largest finished child."""
    scale = 1 if sys.platform == "darwin" else 1024
    return {
        "process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale,
        "largest_child": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * scale,
    }


def processor() -> str:
    """The processor's name."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            names = [
                line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
            ]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor()

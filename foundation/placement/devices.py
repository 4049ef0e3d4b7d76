"""The devices of this machine; torch is imported only where there may be another than the CPU."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from foundation.placement import host
from foundation.placement.device import Device

SIGNS = ("/dev/nvidiactl", "/proc/driver/nvidia/version", "/dev/dxg", "/dev/kfd")
"""Files that are there where a driver of NVIDIA (also in WSL) or AMD is."""


@dataclass(frozen=True)
class Here:
    """This machine."""

    def devices(self) -> Sequence[Device]:
        """Accelerators as this process sees them, and the host last."""
        return [*accelerators(), cpu()]


@dataclass(frozen=True)
class Described:
    """A machine that need not be here: one device, of which its memory in bytes is known."""

    kind: str
    total: int

    def devices(self) -> Sequence[Device]:
        """The described device, then the host of this machine."""
        name = "cpu" if self.kind == "cpu" else f"{self.kind}:0"
        described = Device(name, name, self.kind, "described", self.total, self.total)
        return [described] if self.kind == "cpu" else [described, cpu()]


def cpu() -> Device:
    """The host: memory by cgroup, cores by cgroup and affinity."""
    from foundation.record import processor

    total, free = host.memory()
    count = host.cores()
    notes = (f"{count} core{'s' * (count != 1)}",)
    return Device("cpu", "cpu", "cpu", processor(), total, free, notes=notes)


def accelerators() -> list[Device]:
    """GPUs of any maker that torch could use, were it built for them."""
    if sys.platform == "darwin":
        return _mps()
    if not any(os.path.exists(sign) for sign in SIGNS):
        return []
    return _nvidia() or _torch()


def _nvidia() -> list[Device]:
    try:
        import pynvml
    except ImportError:
        return []
    if not _cuda_started():
        # CUDA's own order is by speed; NVML's is by slot.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    from foundation.placement.nvidia import gpus

    with suppress(pynvml.NVMLError):
        return gpus(pynvml, os.environ, host.first_namespace())
    return []


def _torch() -> list[Device]:
    """What torch sees: AMD's GPUs, and NVIDIA's where NVML does not answer."""
    import torch

    found = []
    for number in range(torch.cuda.device_count()):
        traits = torch.cuda.get_device_properties(number)
        free, total = torch.cuda.mem_get_info(number)
        name = f"cuda:{number}"
        kind = "rocm" if torch.version.hip else "cuda"
        key = str(getattr(traits, "uuid", name))
        found.append(Device(name, key, kind, traits.name, total, free))
    return found


def _mps() -> list[Device]:
    import torch

    if not torch.backends.mps.is_available():
        return []
    total = torch.mps.recommended_max_memory()
    return [Device("mps", "mps", "mps", "Apple GPU", total, min(total, host.memory()[1]))]


def _cuda_started() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda.is_initialized()

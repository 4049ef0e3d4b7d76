"""Energy of the machine's parts as their own counters tell it, in joules.

Devices: NVML's total energy (nvmlDeviceGetTotalEnergyConsumption, millijoules). Processors and
their memory: RAPL as Linux shows it (Documentation/power/powercap in the kernel's sources,
microjoules), which most systems let root alone read. A counter is of a whole part: what others did
there is in it, and so is what the part takes when it rests.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

POWERCAP = Path("/sys/class/powercap")
DOMAINS = ("package", "dram")
"""Of RAPL: the others lie within a package, or hold several."""


@dataclass(frozen=True)
class Counter:
    """read: joules since some moment. wraps: where it begins again at 0; 0 where it does not."""

    name: str
    read: Callable[[], float]
    wraps: float = 0.0

    def since(self, before: float) -> float:
        grown = self.read() - before
        return grown + self.wraps if grown < 0 else grown


class Meter:
    """Between its making and `used`, what the parts took; nothing where no counter can be read."""

    def __init__(self, found: "tuple[Counter, ...] | None" = None) -> None:
        self._began = {each: each.read() for each in (counters() if found is None else found)}

    def used(self) -> Mapping[str, float]:
        return {each.name: each.since(before) for each, before in self._began.items()}


@cache
def counters() -> tuple[Counter, ...]:
    """Those that can be read here."""
    return (*processors(), *devices())


def processors(folder: Path = POWERCAP) -> Iterator[Counter]:
    for zone in sorted(folder.glob("intel-rapl:*")):  # AMD's, too
        with suppress(OSError, ValueError):
            name = (zone / "name").read_text(encoding="ascii").strip()
            if name.startswith(DOMAINS):
                wraps = _joules(zone / "max_energy_range_uj")
                counter = Counter(f"{zone.name} {name}", _of_zone(zone / "energy_uj"), wraps)
                counter.read()
                yield counter


def devices(nvml: Any = None) -> Iterator[Counter]:
    try:
        if nvml is None:
            import pynvml as nvml
        nvml.nvmlInit()
        handles = [
            nvml.nvmlDeviceGetHandleByIndex(number) for number in range(nvml.nvmlDeviceGetCount())
        ]
    except Exception:  # not installed, or no driver
        return
    for number, handle in enumerate(handles):
        with suppress(nvml.NVMLError):  # not told before Volta, nor of a MIG slice
            counter = Counter(f"gpu {number}", _of_device(nvml, handle))
            counter.read()
            yield counter


def _of_zone(path: Path) -> Callable[[], float]:
    return lambda: _joules(path)


def _of_device(nvml: Any, handle: Any) -> Callable[[], float]:
    return lambda: nvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3


def _joules(path: Path) -> float:
    return int(path.read_text(encoding="ascii")) / 1e6

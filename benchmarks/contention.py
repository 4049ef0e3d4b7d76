"""What others took of the machine while a side ran, so that a disturbed pair is told as one.

Processor: /proc/stat against what the side itself used, the hypervisor's steal, and the time in
which some task had to wait for a core (pressure stall information, of the process's own control
group where it has one). Devices: memory and utilisation as NVML tells them before and after a side,
when nothing of ours is on the device. Process numbers are not asked for: inside containers and pid
namespaces a foreign process has none.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.placement.host import cores

TICK = 1 / os.sysconf("SC_CLK_TCK")
GROUPS = Path("/sys/fs/cgroup")
HELD_BACK = {0x08: "hardware slowdown", 0x20: "heat", 0x40: "heat", 0x80: "power brake"}
"""Bits of the clocks' event reasons (NVML API, nvmlClocksEventReasons)."""


@dataclass(frozen=True)
class Limits:
    """From where on a pair is repeated.

    cores: what other processes may take, in cores, where someone waits for one. waiting: that wait,
    as a share of the time. steal: the share of the cores that the hypervisor may give to others.
    device_memory: bytes, and device_busy: the share of the time, that others may have of a device.
    """

    cores: float = 0.1
    waiting: float = 0.03
    steal: float = 0.01
    device_memory: int = 1 << 30
    device_busy: float = 0.05


@dataclass(frozen=True)
class Foreign:
    """What others took, in the units of Limits; waiting is None where the kernel does not tell.

    full: own and others' use left no core free. throttled: devices that heat or power held back.
    """

    cores: float
    steal: float
    waiting: float | None
    full: bool
    device_memory: int = 0
    device_busy: float = 0.0
    throttled: tuple[str, ...] = ()

    def disturbs(self, limits: Limits) -> str:
        """Why a pair is not to be counted; empty if it is."""
        waiting = self.waiting if self.waiting is not None else float(self.full)
        if self.steal > limits.steal:
            return f"the hypervisor gave {self.steal:.1%} of the cores to others"
        if self.cores > limits.cores and waiting > limits.waiting:
            return f"others took {self.cores:.2f} cores, and {waiting:.0%} of the time one waited"
        if self.device_memory > limits.device_memory:
            return f"others hold {self.device_memory / 2**30:.1f} GiB of a device"
        if self.device_busy > limits.device_busy:
            return f"others keep a device busy for {self.device_busy:.0%} of the time"
        if self.throttled:
            return f"throttled: {', '.join(self.throttled)}"
        return ""


@dataclass(frozen=True)
class _Moment:
    clock: float
    busy: float
    steal: float
    own: float
    waited: float | None


class Meter:
    """Between its making and `foreign`, what others took."""

    def __init__(self, devices: "Devices | None" = None) -> None:
        self._devices = devices
        self._held = devices.now() if devices else []
        self._began = _moment()

    def foreign(self, used: float) -> Foreign:
        """used: processor seconds of the side."""
        began, ended = self._began, _moment()
        wall = max(ended.clock - began.clock, 1e-6)
        own = used + ended.own - began.own
        # The side may run on cores that the count of ticks has not caught up with.
        others = max(0.0, ended.busy - began.busy - own) / wall
        count = os.cpu_count() or 1
        waited = None
        if began.waited is not None and ended.waited is not None:
            waited = min(1.0, (ended.waited - began.waited) / wall)
        seen = [*self._held, *(self._devices.now() if self._devices else [])]
        return Foreign(
            cores=others,
            steal=(ended.steal - began.steal) / wall / count,
            waiting=waited,
            full=others + own / wall > 0.95 * min(count, cores()),
            device_memory=max((each.memory for each in seen), default=0),
            device_busy=max((each.busy for each in seen), default=0.0),
            throttled=tuple(sorted({why for each in seen for why in each.throttled})),
        )


def _moment() -> _Moment:
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(word) * TICK for word in file.readline().split()[1:9]]
    user, nice, system, _idle, _waits, irq, soft, steal = ticks
    busy = user + nice + system + irq + soft
    return _Moment(time.perf_counter(), busy, steal, time.process_time(), _waited())


def _waited() -> float | None:
    """Seconds in which some task of our control group, or of the machine, waited for a core."""
    for path in _pressures():
        with suppress(OSError):
            first = path.read_text(encoding="ascii").splitlines()[0]
            return int(first.rsplit("total=", 1)[1]) * 1e-6
    return None


def _pressures() -> Iterator[Path]:
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
            if line.startswith("0::"):
                yield GROUPS / line[3:].strip("/") / "cpu.pressure"
    yield Path("/proc/pressure/cpu")


@dataclass(frozen=True)
class Load:
    """One device: bytes in use, share of the time it computes, and why its clock is held back."""

    memory: int
    busy: float
    throttled: tuple[str, ...] = ()


class Devices:
    """NVIDIA's devices through NVML (`nvml`: the module pynvml)."""

    def __init__(self, nvml: Any, settle: float = 1.0, times: int = 3) -> None:
        self._nvml, self._settle, self._times = nvml, settle, times

    def now(self) -> Sequence[Load]:
        """Every device, the busiest of a few looks, once what ended is out of NVML's window."""
        looks = []
        for _ in range(self._times):
            time.sleep(self._settle / self._times)
            count = self._nvml.nvmlDeviceGetCount()
            looks.append([self._one(number) for number in range(count)])
        every = zip(*looks[-2:], strict=True)
        return [max(each, key=lambda load: (load.busy, load.memory)) for each in every]

    def _one(self, number: int) -> Load:
        nvml = self._nvml
        handle = nvml.nvmlDeviceGetHandleByIndex(number)
        memory, busy, reasons = nvml.nvmlDeviceGetMemoryInfo(handle).used, 0.0, 0
        with suppress(nvml.NVMLError):  # not told of a MIG slice
            busy = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        with suppress(nvml.NVMLError):
            reasons = nvml.nvmlDeviceGetCurrentClocksEventReasons(handle)
        held = tuple(text for bit, text in HELD_BACK.items() if reasons & bit)
        return Load(memory, busy, held)


@contextmanager
def devices() -> Iterator[Devices | None]:
    """The devices to look at; None where NVML finds none."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # not installed, or no driver
        yield None
        return
    try:
        yield Devices(pynvml) if pynvml.nvmlDeviceGetCount() else None
    finally:
        pynvml.nvmlShutdown()

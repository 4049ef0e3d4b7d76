import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from benchmarks import pairs
from benchmarks.contention import Devices, Foreign, Limits, Meter
from benchmarks.pairs import Calm, Side
from foundation.placement.host import cores

CALM = Foreign(cores=0.0, steal=0.0, waiting=0.0, full=False)


def test_a_process_that_burns_is_foreign_and_the_sides_own_work_is_not():
    burn = [sys.executable, "-c", "import time\nwhile True: pass"]
    meter = Meter()
    burners = [subprocess.Popen(burn) for _ in range(cores())]
    try:
        time.sleep(0.6)
        found = meter.foreign(0.0)
    finally:
        for each in burners:
            each.kill()
            each.wait()
    assert found.cores > 0.4
    assert meter.foreign(1e9).cores == 0.0


@pytest.mark.parametrize(
    ("foreign", "why"),
    [
        (CALM, ""),
        (Foreign(1.0, 0.0, 0.0, False), ""),  # others have a core of their own
        (Foreign(1.0, 0.0, 0.2, False), "20% of the time one waited"),
        (Foreign(0.01, 0.0, 0.9, True), ""),  # the side's threads wait for each other
        (Foreign(1.0, 0.0, None, True), "others took 1.00 cores"),  # no pressure told
        (Foreign(0.0, 0.05, 0.0, False), "hypervisor"),
        (Foreign(0.0, 0.0, 0.0, False, device_memory=5 << 30), "5.0 GiB of a device"),
        (Foreign(0.0, 0.0, 0.0, False, device_busy=0.5), "busy for 50%"),
        (Foreign(0.0, 0.0, 0.0, False, throttled=("heat",)), "throttled: heat"),
    ],
)
def test_what_disturbs_a_pair_is_told(foreign, why):
    told = foreign.disturbs(Limits())
    assert (why in told) if why else not told


class Nvml:
    """A driver in a container: memory and utilisation are there, no process is visible."""

    class NVMLError(Exception):
        pass

    def __init__(self, used=0, busy=0, reasons=0):
        self.used, self.busy, self.reasons = used, busy, reasons

    def nvmlDeviceGetCount(self):
        return 1

    def nvmlDeviceGetHandleByIndex(self, number):
        return number

    def nvmlDeviceGetMemoryInfo(self, handle):
        return SimpleNamespace(used=self.used)

    def nvmlDeviceGetUtilizationRates(self, handle):
        return SimpleNamespace(gpu=self.busy)

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle):
        if self.reasons is None:
            raise self.NVMLError
        return self.reasons


@pytest.mark.parametrize(
    ("driver", "why"),
    [
        (Nvml(), ""),
        (Nvml(used=3 << 30), "3.0 GiB"),
        (Nvml(busy=80), "80%"),
        (Nvml(reasons=0x40), "heat"),
        (Nvml(reasons=0x04), ""),  # at its power limit, as any busy device
        (Nvml(reasons=None), ""),
    ],
)
def test_a_foreign_process_on_a_device_is_noticed_without_its_number(driver, why):
    meter = Meter(Devices(driver, settle=0.0))
    told = meter.foreign(0.0)
    device = Foreign(0, 0, 0, False, told.device_memory, told.device_busy, told.throttled)
    assert (why in device.disturbs(Limits())) if why else not device.disturbs(Limits())


def _scripted(monkeypatch, disturbed):
    """The n-th run of a side is disturbed where `disturbed(n)`."""
    count = iter(range(1000))

    class Scripted:
        def __init__(self, devices=None):
            self.disturbed = disturbed(next(count))

        def foreign(self, used):
            return Foreign(1.0, 0.0, 0.5, True) if self.disturbed else CALM

    monkeypatch.setattr(pairs, "Meter", Scripted)


SIDES = [Side(name, (sys.executable, "-S", "-c", "pass")) for name in "ab"]


def test_a_disturbed_pair_is_repeated_and_kept_aside(monkeypatch):
    _scripted(monkeypatch, lambda run: run == 2)  # the second pair's first side
    samples = pairs.run(SIDES, 3, warmups=0, calm=Calm(repeats=5))
    assert len(samples) == 8
    assert [s.pair for s in samples if s.disturbed] == [1, 1]
    assert len(pairs.values(samples, "a", "wall")) == len(pairs.values(samples, "b", "wall")) == 3


def test_a_machine_that_stays_restless_ends_the_case(monkeypatch):
    _scripted(monkeypatch, lambda run: True)
    samples = pairs.run(SIDES, 3, warmups=0, calm=Calm(repeats=2))
    assert len(samples) == 10
    assert pairs.values(samples, "a", "wall") == []


def test_warming_up_ends_when_no_side_gets_faster(monkeypatch):
    walls = iter([3.0, 3.0, 1.0, 1.0, 1.0, 1.0, *[1.0] * 10])
    usage = lambda *_, **__: pairs.Usage(next(walls), 0.0, 0)  # noqa: E731
    monkeypatch.setattr(pairs, "measure", usage)
    said = []
    pairs.run(SIDES, 1, warmups=None, say=said.append)
    assert sum(line.startswith("warm-up") for line in said) == 6

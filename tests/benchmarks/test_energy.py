from types import SimpleNamespace

import pytest

from benchmarks import energy
from benchmarks.energy import Meter
from benchmarks.pairs import Sample
from benchmarks.process import Usage
from benchmarks.suite import page


def _zone(folder, name, title, joules, most=1000):
    zone = folder / name
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{title}\n")
    (zone / "energy_uj").write_text(f"{joules * 1_000_000}\n")
    (zone / "max_energy_range_uj").write_text(f"{most * 1_000_000}\n")
    return zone / "energy_uj"


def test_packages_and_memory_are_counted_once_each(tmp_path):
    package = _zone(tmp_path, "intel-rapl:0", "package-0", 100)
    core = _zone(tmp_path, "intel-rapl:0:0", "core", 60)
    memory = _zone(tmp_path, "intel-rapl:0:1", "dram", 10)
    _zone(tmp_path, "intel-rapl:1", "psys", 500)
    meter = Meter(tuple(energy.processors(tmp_path)))
    for file, joules in ((package, 130), (core, 80), (memory, 15)):
        file.write_text(f"{joules * 1_000_000}\n")
    assert meter.used() == {"intel-rapl:0 package-0": 30, "intel-rapl:0:1 dram": 5}


def test_a_counter_that_began_again_has_not_given_energy_back(tmp_path):
    file = _zone(tmp_path, "intel-rapl:0", "package-0", 990)
    meter = Meter(tuple(energy.processors(tmp_path)))
    file.write_text("5000000\n")
    assert meter.used() == {"intel-rapl:0 package-0": pytest.approx(15)}


def test_a_counter_that_cannot_be_read_is_none(tmp_path):
    _zone(tmp_path, "intel-rapl:0", "package-0", 1).unlink()
    assert not list(energy.processors(tmp_path))
    assert not list(energy.processors(tmp_path / "nothing"))


class NVMLError(Exception):
    pass


def _nvml(spent):
    """Two devices, the second of which does not tell."""

    def total(handle):
        if handle:
            raise NVMLError
        return next(spent)

    return SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetTotalEnergyConsumption=total,
    )  # fmt: skip


def test_a_device_tells_millijoules():
    found = tuple(energy.devices(_nvml(iter([1000, 1000, 251_000]))))
    assert [counter.name for counter in found] == ["gpu 0"]
    assert Meter(found).used() == {"gpu 0": 250}


def test_energy_of_a_sample_is_of_all_parts_and_never_made_up():
    usage = Usage(1.0, 1.0, 1, energy={"gpu 0": 250.0, "package-0": 30.0})
    assert Sample("a", 0, 0, 0.0, usage).value("energy") == 280
    with pytest.raises(KeyError):
        Sample("a", 0, 0, 0.0, Usage(1.0, 1.0, 1)).value("energy")


@pytest.mark.parametrize(
    ("usage", "shown"),
    [
        ({}, ""),
        ({"energy": {}}, "not readable here"),
        ({"energy": {"a": 1000.4, "b": 234}}, "1,234"),
    ],
)
def test_the_page_says_where_energy_cannot_be_read(usage, shown):
    usage = {"memory": 2**20, "wall": 1.0, "cpu": 1.0, "report": {"latency_p50": 0.5}, **usage}
    (run,) = page._runs("x", {"samples": [{"side": "ours", "usage": usage}]})
    assert (run.energy, run.latency) == (shown, [0.5])

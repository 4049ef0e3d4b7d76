"""What a process may use is what cgroups, affinity, compute modes and variables leave of it."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from foundation.errors import PlacementError
from foundation.placement import host
from foundation.placement.amounts import parsed, shown
from foundation.placement.devices import Described, Here
from foundation.placement.nvidia import gpus

GB = 10**9


class NVML:
    """The driver's answers for a box of GPUs, in the names of nvidia-ml-py."""

    class NVMLError(Exception):
        pass

    def __init__(self, *cards: dict[str, Any]) -> None:
        self.cards = cards
        self.open = 0

    def nvmlInit(self) -> None:
        self.open += 1

    def nvmlShutdown(self) -> None:
        self.open -= 1

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"570.86"

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, number: int) -> dict[str, Any]:
        return self.cards[number]

    def nvmlDeviceGetName(self, card: dict[str, Any]) -> str:
        return "NVIDIA A100"

    def nvmlDeviceGetUUID(self, card: dict[str, Any]) -> str:
        return card["uuid"]

    def nvmlDeviceGetMemoryInfo(self, card: dict[str, Any]) -> Any:
        return SimpleNamespace(total=card.get("total", 80 * GB), free=card.get("free", 70 * GB))

    def nvmlDeviceGetComputeMode(self, card: dict[str, Any]) -> int:
        return card.get("mode", 0)

    def nvmlDeviceGetMigMode(self, card: dict[str, Any]) -> list[int]:
        if "slices" not in card:
            raise self.NVMLError("not supported")
        return [1, 1]

    def nvmlDeviceGetMaxMigDeviceCount(self, card: dict[str, Any]) -> int:
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card: dict[str, Any], number: int) -> Any:
        if number >= len(card["slices"]):
            raise self.NVMLError("not found")
        return card["slices"][number]

    def nvmlDeviceGetComputeRunningProcesses(self, card: dict[str, Any]) -> list[Any]:
        return [SimpleNamespace(pid=p, usedGpuMemory=m) for p, m in card.get("users", ())]


BOX = NVML(
    {"uuid": "GPU-aa11", "users": [(41, 9 * GB), (42, None)]},
    {"uuid": "GPU-ab22", "mode": 3},
    {"uuid": "GPU-cc33", "mode": 2},
    {"uuid": "GPU-dd44", "slices": [{"uuid": "MIG-1", "total": 10 * GB}, {"uuid": "MIG-2"}]},
)


def named(visible: str | None) -> dict[str, str]:
    environ = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    return {d.name: d.key for d in gpus(BOX, environ, True) if d.name}


@pytest.mark.parametrize(
    ("visible", "keys"),
    [
        (None, ["GPU-aa11", "GPU-ab22", "GPU-cc33"]),
        ("1,0", ["GPU-ab22", "GPU-aa11"]),
        ("GPU-cc,GPU-aa11", ["GPU-cc33", "GPU-aa11"]),
        ("MIG-2", ["MIG-2"]),
        ("GPU-a", []),  # of two
        ("0,7,1", ["GPU-aa11"]),  # what follows one that does not exist is not shown
        ("0,0", ["GPU-aa11"]),
        ("", []),
        ("-1", []),
    ],
)
def test_devices_are_named_as_cuda_shows_them(visible, keys) -> None:
    assert named(visible) == {f"cuda:{n}": key for n, key in enumerate(keys)}
    assert BOX.open == 0


def test_a_gpu_tells_its_memory_its_mode_and_its_users() -> None:
    first, second, third, *slices = gpus(BOX, {}, True)
    assert (first.total, first.free, first.shared, first.usable) == (80 * GB, 70 * GB, True, True)
    assert "process 41 9.0 GB" in first.notes
    assert "process 42" in first.notes
    assert not second.shared
    assert not third.usable
    assert [s.slice for s in slices] == [True, True]
    assert slices[0].total == 10 * GB


def test_in_a_container_the_drivers_process_numbers_are_not_told() -> None:
    first = gpus(BOX, {}, False)[0]
    assert "2 processes" in first.notes
    assert not any("41" in note for note in first.notes)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_memory_and_cores_are_those_of_the_smallest_cgroup_above(tmp_path: Path) -> None:
    proc, top = tmp_path / "proc", tmp_path / "cgroup"
    write(proc, meminfo="MemTotal: 64000000 kB\nMemAvailable: 8000000 kB\n")
    write(proc / "self", cgroup="0::/job/step\n")
    write(top, memory__max="max\n", memory__current="1\n", cpu__max="max 100000\n")
    write(top / "job", memory__max="6000000000", memory__current="5000000000",
          memory__stat="anon 1\ninactive_file 3000000000\n", cpu__max="50000 100000")  # fmt: skip
    write(top / "job/step", memory__max="max", memory__current="4", cpu__max="150000 100000")
    assert host.memory(proc, top) == (6_000_000_000, 4_000_000_000)
    assert host.cores(proc, top) == 1


def test_cgroups_of_the_first_version_are_read_too(tmp_path: Path) -> None:
    proc, top = tmp_path / "proc", tmp_path / "cgroup"
    write(proc, meminfo="MemAvailable: 900000000 kB\n")
    write(proc / "self", cgroup="4:memory:/a\n3:cpu,cpuacct:/a\n0::/\n")
    write(top / "memory", memory__limit_in_bytes="9223372036854771712",
          memory__usage_in_bytes="5")  # fmt: skip
    write(top / "memory/a", memory__limit_in_bytes="3000", memory__usage_in_bytes="1000")
    assert host.memory(proc, top) == (3000, 2000)


def test_this_machine_has_a_host_with_memory() -> None:
    *_, cpu = Here().devices()
    assert cpu.kind == "cpu"
    assert 0 < cpu.free <= cpu.total
    (only,) = Described("cpu", 5).devices()
    assert (only.total, only.free) == (5, 5)


@pytest.mark.parametrize(
    ("written", "amount"),
    [("80GB", 80 * GB), ("40 GiB", 40 * 2**30), ("512", 512), (1024, 1024), ("1.5gb", 3 * GB // 2)],
)
def test_amounts_are_read_as_people_write_them(written, amount) -> None:
    assert parsed(written, "placement.memory") == amount


@pytest.mark.parametrize("written", ["much", "-3GB", "0", "3 parsecs", True, "", "GB", "1e9"])
def test_what_is_no_amount_is_refused(written) -> None:
    with pytest.raises(PlacementError, match=r"placement\.memory must be an amount such as 80GB"):
        parsed(written, "placement.memory")


def test_amounts_are_told_in_three_figures() -> None:
    assert [shown(n) for n in (34.24e9, 999e6, 123e9)] == ["34.2 GB", "999 MB", "123 GB"]

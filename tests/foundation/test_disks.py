"""Run folders on file systems that are full, read-only or another device; real mounts."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import foundation as fm

Start = Callable[..., "subprocess.Popen[str]"]
Mount = Callable[..., Path]


@pytest.fixture
def mount(toy: Path) -> Iterator[Mount]:
    """`mount("name", "size=1m")`: a tmpfs at that name."""
    mounted: list[Path] = []

    def make(name: str, options: str) -> Path:
        folder = toy / name
        folder.mkdir(parents=True)
        words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if not sys.platform.startswith("linux") or shutil.which("mount") is None:
            pytest.skip("tmpfs is Linux's")
        told = subprocess.run(words, capture_output=True, text=True, check=False)
        if told.returncode:
            pytest.skip(f"no file system may be mounted here: {told.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield make
    for folder in reversed(mounted):
        unmount(folder)


def unmount(folder: Path) -> None:
    """A process that has just ended may hold its files a moment longer than its pipes."""
    for _ in range(100):
        told = subprocess.run(["umount", str(folder)], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return
        time.sleep(0.1)
    raise AssertionError(told.stderr)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


def ended(run: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, standard output, and the last line of standard error."""
    out, err = run.communicate(timeout=200)
    assert "Traceback" not in err
    return run.returncode, out, (err.splitlines() or [""])[-1]


def ids(folder: Path) -> list[int]:
    found: list[int] = pq.read_table(folder / "results.parquet")["id"].to_pylist()
    return found


@pytest.mark.parametrize(
    "engine", ["engine.workers=null", pytest.param("engine.workers=2", marks=pytest.mark.long)]
)
@pytest.mark.parametrize("size", ["24k", "72k"])
def test_a_full_disk_is_told_and_gone_on_with(
    start: Start, mount: Mount, size: str, engine: str
) -> None:
    """The smaller one is full with the first parts, the larger one with the table."""
    disk = mount("disk", f"size={size}")
    words = ["model=toy/words", "task.count=3000", "task.letters=9", engine]
    code, _, line = ended(start(*words, f"resume={disk}/run"))
    assert code == 2
    assert line.startswith("the disk is full")
    assert "free some space" in line
    assert not (disk / "run/record.json").exists()
    parts = [pq.read_table(part) for part in (disk / "run/parts").glob("*.parquet")]  # each whole
    assert (sum(map(len, parts)) == 3000) == (size == "72k")
    remount(disk, "size=8m")
    code, out, line = ended(start(*words, f"resume={disk}/run"))
    assert (code, line) == (0, line)
    assert out.startswith("3,000 words")
    assert ids(disk / "run") == list(range(3000))


def test_a_read_only_folder_is_refused_in_a_line(start: Start, mount: Mount) -> None:
    disk = mount("disk", "size=1m")
    remount(disk, "ro")
    code, _, line = ended(start("model=toy/words", f"resume={disk}/run"))
    assert code == 2
    assert line.startswith(f"cannot make {disk}/run: Read-only file system; choose another folder")


def test_a_folder_that_becomes_read_only_loses_nothing(start: Start, mount: Mount) -> None:
    disk = mount("disk", "size=1m")
    words = ["model=toy/words", "task.count=120", "task.batch=2", "task.pause=0.05"]
    run = start(*words, f"resume={disk}/run")
    while not list((disk / "run/parts").glob("*.parquet")):
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    assert ended(run)[0] == 130
    written = sum(pq.read_metadata(p).num_rows for p in (disk / "run/parts").glob("*.parquet"))
    remount(disk, "ro")
    code, _, line = ended(start(f"resume={disk}/run"))
    assert code == 2
    assert f"{disk}/run" in line
    assert "Read-only file system" in line
    remount(disk, "rw")
    assert ended(start(f"resume={disk}/run"))[0] == 0
    assert written > 0
    assert ids(disk / "run") == list(range(120))


def test_ranges_on_other_devices_are_joined(start: Start, mount: Mount, toy: Path) -> None:
    """Parts of another device cannot be linked, so they are copied."""
    root = toy / "all"
    mount("all/1", "size=1m")
    for number in range(2):
        where = ("engine.ranges=2", f"engine.range={number}", f"resume={root}/{number}")
        assert ended(start("model=toy/words", "task.count=50", *where))[0] == 0
    assert ended(start("task=join", f"task.run={root}"))[0] == 0
    alone = fm.load("toy/words", placement="cpu").generate(count=50).table()
    assert pq.read_table(root / "results.parquet").to_pylist() == alone.to_pylist()
    assert json.loads((root / "record.json").read_text())["counts"]["rows"] == 50

"""Ctrl-C and SIGTERM on real processes."""

import os
import signal
import subprocess  # noqa: TC003
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from foundation.cli import main
from foundation.signals import Stop

Start = Callable[..., "subprocess.Popen[str]"]
SLOW = ("model=toy/words", "task.count=60", "task.pause=0.03", "task.batch=4")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_is_done_is_written_and_a_resumed_run_ends_as_a_whole_one(
    toy: Path, start: Start, number: int, code: int
) -> None:
    process = start(*SLOW, "resume=F")
    _wait_for(toy / "F" / "overrides.json")
    time.sleep(0.5)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    last = err.splitlines()[-1]
    assert last.startswith("stopped: ")
    assert str(toy / "F") in last
    assert "Traceback" not in err
    assert main(["resume=F"]) == 0
    assert main([*SLOW, "task.pause=0", "resume=G"]) == 0
    stopped, whole = (pq.read_table(toy / f / "results.parquet") for f in "FG")
    assert stopped["id"].to_pylist() == list(range(60))
    assert stopped["output"].equals(whole["output"])


def test_a_second_ctrl_c_ends_at_once_and_leaves_no_process(toy: Path, start: Start) -> None:
    process = start("model=toy/words", "task.pause=60", "resume=F")
    _wait_for(toy / "F" / "overrides.json")
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(0.3)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    with pytest.raises(ProcessLookupError):
        _wait_for_none(process.pid)


def test_elsewhere_than_in_the_main_thread_nothing_is_watched() -> None:
    seen: list[int | None] = []

    def watch() -> None:
        with Stop() as stop:
            seen.append(stop())

    thread = threading.Thread(target=watch)
    thread.start()
    thread.join()
    assert seen == [None]


def test_the_handlers_there_were_come_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stop() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop() == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def _wait_for(path: Path) -> None:
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} did not appear")


def _wait_for_none(group: int) -> None:
    """Until no process of a group is left, when the signal that is none is refused."""
    for _ in range(100):
        os.killpg(group, 0)
        time.sleep(0.1)

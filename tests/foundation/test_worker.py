"""Real processes that check values, and die of some."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from foundation.adapter import Output
from foundation.checking import Checker
from foundation.errors import FoundationError
from foundation.requests import Item
from foundation.worker import Workers

CHECKS = """
import os, signal, sys, time

def check(values, columns):
    print("noise on standard output")
    for value in values:
        if value == "killer":
            os.kill(os.getpid(), signal.SIGKILL)
        if value == "leaver":
            os._exit(0)
        if value == "broken":
            raise ValueError("no such thing")
        if value == "slow":
            time.sleep(60)
    short = values[:-1] if values[-1] == "short" else values
    reasons = ["bad" if value == "bad" else None for value in short]
    return [{"valid": not why, "reason": why, "size": len(v)} for v, why in zip(short, reasons)]
"""


@pytest.fixture(scope="module")
def function(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks")
    (folder / "own_checks.py").write_text(CHECKS)
    sys.path.insert(0, str(folder))
    yield "own_checks:check"
    sys.path.remove(str(folder))


@pytest.fixture
def workers(function):
    made = Workers(function, (None,), 2, lambda reason: {"valid": False, "reason": reason})
    yield made
    made.close()


def test_answers_come_in_order_and_prints_do_no_harm(workers) -> None:
    futures = [workers.submit([f"{n}" * (n + 1) for n in range(k)]) for k in (3, 1, 5)]
    assert [[row["size"] for row in f.result()] for f in futures] == [
        [1, 2, 3],
        [1],
        [1, 2, 3, 4, 5],
    ]


@pytest.mark.parametrize("culprit", ["killer", "leaver"])
def test_a_value_that_ends_the_process_becomes_a_row(workers, culprit) -> None:
    values = ["a", "bb", "ccc", culprit, "eeeee"]
    rows = workers.submit(values).result()
    assert [row["valid"] for row in rows] == [True, True, True, False, True]
    assert "ended its process" in rows[3]["reason"]
    assert workers.submit(["after"]).result()[0]["valid"]


def test_an_error_inside_a_check_is_told_with_its_name(workers) -> None:
    with pytest.raises(FoundationError, match="own_checks:check failed: ValueError: no such thing"):
        workers.submit(["broken"]).result()
    with pytest.raises(FoundationError, match="1 answers to 2 values"):
        workers.submit(["a", "short"]).result()


def test_closing_ends_what_is_under_way(function) -> None:
    workers = Workers(function, (None,), 1, lambda reason: reason)
    waiting = workers.submit(["slow"])
    while not waiting.running():
        time.sleep(0.01)
    workers.close()
    with pytest.raises(FoundationError, match="closed"):
        waiting.result(timeout=10)


def test_workers_end_with_a_caller_that_is_killed(function, tmp_path: Path) -> None:
    script = (
        "import os, time; from foundation.worker import Workers\n"
        f"w = Workers({function!r}, (None,), 2, None); w.submit(['a']).result()\n"
        "import json; print(json.dumps([p.pid for p in w._running]), flush=True); time.sleep(60)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=env
    ) as caller:
        pids = json.loads(caller.stdout.readline())
        caller.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while any(_lives(pid) for pid in pids):
        assert time.monotonic() < deadline, "a worker outlived its caller"
        time.sleep(0.05)


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_checker_gives_results_in_the_order_of_the_outputs(function) -> None:
    checker = Checker(function, None, 2, {"seed": 3, "model": "m", "revision": None})
    values = ["a", "bad", "bad", None, "ccc"] * 40
    made = (
        (
            Item(n, "request", "in"),
            Output(value, reason=None if value else "nothing", extra={"x": n}),
        )
        for n, value in enumerate(values)
    )
    try:
        results = list(checker.results(made))
    finally:
        checker.close()
    assert [result.id for result in results] == list(range(200))
    assert [result.valid for result in results[:5]] == [True, False, False, False, True]
    assert [r.reason for r in results[:2]] == [None, "bad"]
    assert results[3].reason == "nothing"
    assert results[4].checks == {"size": 3, "x": 4}
    assert (results[0].seed, results[0].model, results[0].input) == (3, "m", "in")


def test_without_a_check_every_output_with_no_reason_is_valid() -> None:
    checker = Checker(None, None, 2, {})
    outputs = [(Item(0, 1), Output("a")), (Item(1, 1), Output(None, "no", refused=True))]
    assert [(r.valid, r.refused) for r in checker.results(outputs)] == [
        (True, False),
        (False, True),
    ]

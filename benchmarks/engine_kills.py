"""Does a run lose or double a row when workers, its driver or Ray's processes are killed?

    python -m benchmarks.engine_kills --engine local --kills 100
    python -m benchmarks.engine_kills --engine ray --kills 100

`foundation model=double/double task.count=N` is made once undisturbed in one process. Then the same
is begun on the engine with two workers and disturbed with SIGKILL until there were `--kills` kills,
a third each of: a worker, at a random moment (the run goes on); the driver, at a random moment; the
driver exactly between the writing and the renaming of a part. With Ray every fourth kill takes a
process of Ray's node instead (raylet or gcs_server). A run that ended is gone on with by `resume=`,
and a new one begun when it came to its end. Each table is compared with the undisturbed one: every
id once, all columns equal. A torn part could not be read and would end the benchmark. The record is
written after each run, and with --go-on an earlier one of the same settings is gone on with; with
--minutes no run begins after so many, and the exit code is 3 if kills are left.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.kill_resume import compare
from benchmarks.record import RESULTS, save

HERE = Path(__file__).parent
WORKERS = {"local": "foundation.engines.process", "ray": "ray::Actor"}
NODE = ("raylet", "gcs_server")
# The driver's command with a kill at the n-th renaming of a part, just before it.
BETWEEN = """
import os, pathlib, signal, sys
count, real = int(sys.argv.pop(1)), pathlib.Path.replace
def replace(self, target):
    global count
    count -= pathlib.Path(target).parent.name == "parts"
    if count < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
pathlib.Path.replace = replace
from foundation.cli import main
sys.exit(main())
"""


def start(words: Sequence[str], log: Path, between: int | None = None) -> "subprocess.Popen[bytes]":
    python = [sys.executable, "-W", "ignore"]
    how = ["-m", "foundation"] if between is None else ["-c", BETWEEN, str(between)]
    path = os.pathsep.join([str(HERE.parent), str(HERE / "double"), *sys.path])
    with log.open("ab") as file:
        return subprocess.Popen(
            [*python, *how, *words], stdout=file, stderr=file,
            env={**os.environ, "PYTHONPATH": path}, start_new_session=True,
        )  # fmt: skip


def victims(driver: int, named: Sequence[str]) -> list[psutil.Process]:
    found = []
    with suppress(psutil.Error):
        for process in psutil.Process(driver).children(recursive=True):
            with suppress(psutil.Error):
                if any(name in " ".join(process.cmdline()[:3]) for name in named):
                    found.append(process)
    return found


def disturb(
    process: "subprocess.Popen[bytes]", kind: str, named: Sequence[str], after: float
) -> bool:
    """Kill a process of the run `after` seconds; whether there was one."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(after)
    if process.poll() is not None:
        return False
    if kind == "driver":
        process.send_signal(signal.SIGKILL)
        process.wait()
        return True
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        found = victims(process.pid, named)
        if found:
            random.choice(found).kill()
            return True
        time.sleep(0.05)
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=tuple(WORKERS), default="local")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--seconds", type=float, default=0.01, help="what a batch of 32 takes")
    parser.add_argument("--within", type=float, default=6.0, help="moments: seconds from a start")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--go-on", action="store_true", help="add to the record in --out")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    kills, ends = before(given) if given.go_on else ({}, [])
    until = time.monotonic() + 60 * given.minutes
    random.seed(given.seed + len(ends))  # other moments than before
    words = ["model=double/double", "placement=cpu", f"task.count={given.count}"]
    words += ["task.batch=32", f"task.seconds={given.seconds}"]
    engine = [f"engine={given.engine}", "engine.workers=2"]
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        if start([*words, f"resume={root}/whole"], root / "whole.log").wait():
            raise RuntimeError((root / "whole.log").read_text())
        while given.kills > sum(kills.values()) or not ends:
            if time.monotonic() > until:
                return 3
            folder = root / f"run-{len(ends)}"
            disturbed(folder, [*words, *engine, f"resume={folder}"], given, kills)
            ends.append(compare(root / "whole/results.parquet", folder / "results.parquet"))
            print(f"run {len(ends)}: kills so far {kills}, {ends[-1]}", file=sys.stderr)
            body = {"settings": settings(given), "kills": kills, "ends": ends}
            save(name(given), body, given.out)
            shutil.rmtree(folder)
    once = all(end["ids_once"] for end in ends)
    share = min(end.get("equal_share", 0.0) for end in ends)
    print(f"{given.engine}: {kills}, {len(ends)} runs: every id once: {once}; equal: {share:.2%}")
    print(given.out / f"{name(given)}.json")
    return 0 if once and share == 1 else 1


def name(given: argparse.Namespace) -> str:
    return f"engine_kills_{given.engine}"


def settings(given: argparse.Namespace) -> dict[str, Any]:
    return {
        key: value for key, value in vars(given).items() if key not in ("go_on", "minutes", "out")
    }


def before(given: argparse.Namespace) -> tuple[dict[str, int], list[dict[str, Any]]]:
    """Kills and ends of the record that is there; ValueError where it has other settings."""
    path = given.out / f"{name(given)}.json"
    if not path.exists():
        return {}, []
    record = json.loads(path.read_text())
    if record["settings"] | {"kills": given.kills} != settings(given):
        raise ValueError(f"{path} has other settings: {record['settings']}")
    return record["kills"], record["ends"]


def disturbed(
    folder: Path, words: Sequence[str], given: argparse.Namespace, kills: dict[str, int]
) -> None:
    """One run to its end, killed on the way while kills are left."""
    kinds = ["worker", "driver", "between", *(["node"] if given.engine == "ray" else [])]
    log = folder.parent / f"{folder.name}.log"
    while not (folder / "record.json").exists():
        left = given.kills - sum(kills.values())
        kind = random.choice(kinds) if left > 0 else None
        lost = False  # a run whose workers are killed again and again before they load gives up
        if kind == "between":
            process = start(words, log, between=random.randrange(3))
            process.wait()
            killed = process.returncode == -signal.SIGKILL
        else:
            process = start(words, log)
            killed = False
            while kind is not None and process.poll() is None and left > 0:
                named = NODE if kind == "node" else (WORKERS[given.engine],)
                killed = disturb(process, kind, named, random.uniform(0, given.within))
                left -= killed
                if kind != "worker" or not killed:
                    break
                kills[kind] = kills.get(kind, 0) + 1
                killed, lost = False, True
            process.wait()
        if killed and kind is not None:
            kills[kind] = kills.get(kind, 0) + 1
        elif process.returncode not in (0, -signal.SIGKILL) and not lost:
            raise RuntimeError(f"ended with {process.returncode}: {log.read_text()[-2000:]}")


if __name__ == "__main__":
    raise SystemExit(main())

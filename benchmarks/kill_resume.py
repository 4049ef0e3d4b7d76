"""Does a run that is killed again and again end as if it had never been?

    python -m benchmarks.kill_resume

`foundation task.count=6000` is made once without disturbance. Then the same is begun in a new
folder, killed with SIGKILL at a random moment, gone on with `resume=<folder>`, killed again, until
it ends; and so on with new folders until there were `--kills` kills. A third of the kills fall into
the first seconds, the others anywhere in the time of a whole run. Each time no process of the run
may survive. Each table that came to its end is compared with the undisturbed one: every id once,
and the share of rows that are equal in every column that is no floating-point number.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.record import RESULTS, save

MARK = "FOUNDATION_KILL_RESUME"
START = 3.0
PATIENCE = 20.0


def start(folder: Path, words: Sequence[str], mark: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "foundation", *words, f"resume={folder}"]
    with (folder.parent / f"{folder.name}.log").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, MARK: mark})


def survivors(mark: str) -> list[int]:
    """Processes of the run, found by a variable they inherit, after some patience."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = [process.pid for process in psutil.process_iter() if _marked(process, mark)]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def _marked(process: psutil.Process, mark: str) -> bool:
    try:
        marked: bool = process.environ().get(MARK) == mark
        return marked and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OSError):
        return False


def kill(folder: Path, words: Sequence[str], after: float) -> dict[str, Any] | None:
    """Start or resume a run and kill it `after` seconds; None when it ended well before."""
    mark = uuid.uuid4().hex
    process = start(folder, words, mark)
    with suppress(subprocess.TimeoutExpired):
        if process.wait(after):
            log = folder.parent / f"{folder.name}.log"
            raise RuntimeError(
                f"the run ended with {process.returncode}: {log.read_text()[-2000:]}"
            )
        return None
    process.send_signal(signal.SIGKILL)
    process.wait()
    began = time.monotonic()
    left = survivors(mark)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    parts = list((folder / "parts").glob("*.parquet"))
    gone = time.monotonic() - began
    return {"after": after, "parts": len(parts), "survivors": len(left), "gone_after": gone}


def compare(expected: Path, found: Path) -> dict[str, Any]:
    """How a table differs from another of the same run."""
    import numpy as np
    import pyarrow.parquet as pq
    import pyarrow.types as types

    one, two = pq.read_table(expected), pq.read_table(found)
    once = two["id"].to_pylist() == list(range(len(one)))
    result: dict[str, Any] = {"ids_once": once, "schema": one.schema.equals(two.schema)}
    if not once:
        return result
    equal = np.ones(len(one), dtype=bool)
    result["unequal"], result["largest_difference"] = {}, {}
    for field in one.schema:
        left, right = one[field.name], two[field.name]
        if types.is_floating(field.type):
            gap = np.abs(left.to_numpy() - right.to_numpy())
            result["largest_difference"][field.name] = float(np.nanmax(gap, initial=0.0))
            continue
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        same = np.array([a == b for a, b in pairs])
        equal &= same
        if not same.all():
            result["unequal"][field.name] = int((~same).sum())
    return {**result, "equal_share": float(equal.mean())}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("words", nargs="*", default=["task.count=6000"],
                        help="the command line, task.count=6000")  # fmt: skip
    given = parser.parse_args(arguments)
    chance = random.Random(given.seed)
    kills: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        began = time.monotonic()
        if start(root / "whole", given.words, "whole").wait():
            raise RuntimeError((root / "whole.log").read_text())
        whole = time.monotonic() - began
        while len(kills) < given.kills or not ends:
            folder = root / f"run-{len(ends)}"
            while True:
                early = chance.random() < 1 / 3
                moment = chance.uniform(0, min(START, whole) if early else whole)
                killed = kill(folder, given.words, moment if len(kills) < given.kills else 1e4)
                if killed is None:
                    break
                kills.append({"run": len(ends), **killed})
                print(f"kill {len(kills)}: {killed}", file=sys.stderr)
            ends.append(compare(root / "whole/results.parquet", folder / "results.parquet"))
            print(f"end {len(ends)}: {ends[-1]}", file=sys.stderr)
    alive = sum(killed["survivors"] for killed in kills)
    once = all(end["ids_once"] for end in ends)
    share = min(end.get("equal_share", 0.0) for end in ends)
    print(
        f"{len(kills)} kills, {len(ends)} runs to the end: every id once: {once}; "
        f"equal rows: {share:.4%} or more; processes that survived: {alive}"
    )
    body = {"command": given.words, "seed": given.seed, "whole_seconds": whole}
    print(save("kill_resume", {**body, "kills": kills, "ends": ends}, given.out))
    return 0 if once and not alive else 1


if __name__ == "__main__":
    raise SystemExit(main())

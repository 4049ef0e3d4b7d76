"""Memory of a training on ten times more data than the kernel lets it have memory.

    python -m benchmarks.tuning_memory                  # 768 MiB of memory, 7.5 GiB of rows
    python -m benchmarks.tuning_memory --limit 1024     # MiB

Rows of 2,000 characters are read into a run folder and trained on by `foundation.tuning`, in a
process whose cgroup has a memory limit: once a tenth of the limit, once ten times the limit. Cached
files count towards the limit, and the kernel drops them for what a process needs. It needs the
right to make a cgroup, and twice the data as free disk.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cgroup import memory_limit
from benchmarks.record import RESULTS, save

LONG = 2_000
TIMES = (0.1, 10)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=768, help="MiB")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(_one(given.one)))
        return 0
    found = {}
    for times in TIMES:
        found[str(times)] = _limited(round(times * given.limit), given.limit)
        print(times, found[str(times)], flush=True)
    few, many = found.values()
    body = {
        "limit_mib": given.limit,
        "by_times": found,
        "more_memory_mib": many["peak_mib"] - few["peak_mib"],
    }
    print(save("tuning_memory", body, given.out))
    return 0


def _limited(data_mib: int, limit_mib: int) -> dict[str, Any]:
    """What a process says of its training on so much data under so much memory."""
    words = [sys.executable, "-m", "benchmarks.tuning_memory", "--one", str(data_mib)]
    with memory_limit(limit_mib) as group:

        def enter() -> None:
            (group / "cgroup.procs").write_text(str(os.getpid()))

        done = subprocess.run(words, check=True, stdout=subprocess.PIPE, preexec_fn=enter)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said


def _one(data_mib: int) -> dict[str, float]:
    from benchmarks.tuning_loop import network
    from foundation.spec import Tuning
    from foundation.tuning.data import Wanted, gather
    from foundation.tuning.field import OneField
    from foundation.tuning.recipe import Recipe
    from foundation.tuning.trainer import Trainer

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "rows.jsonl"
        filler = "c" * LONG
        with path.open("w") as file:
            for number in range(data_mib * 2**20 // (LONG + 21)):
                file.write(json.dumps({"text": f"{number:08d} {filler}"}) + "\n")
        size, began = path.stat().st_size, time.perf_counter()
        tuning = Tuning(begin="", read="benchmarks.tuning_memory:read", fields=("text",))
        data = gather(tuning, Wanted(str(path), validation=0.001), folder / "data")
        recipe = Recipe(steps=10, batch=2, log=10, checkpoint=10**6, validate=10**6)
        made = Trainer(OneField(network(), "text"), data.rows, (), recipe, folder / "c")
        made.run()
        return {
            "rows": len(data.rows),
            "data_mib": size / 2**20,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "seconds": time.perf_counter() - began,
        }


def read(path: Path, columns: dict[str, str]) -> Any:
    from foundation.tuning.data import records

    return records(path, {"text": ("text",)}, columns, "texts")


if __name__ == "__main__":
    raise SystemExit(main())

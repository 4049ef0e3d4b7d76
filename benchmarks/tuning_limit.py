"""A training under a memory limit, on ten times as much data: does it end, and at what peak?

    python -m benchmarks.tuning_limit --limit 1024 --times 10

`foundation model=language/minilm task=tune task.method=head` reads a Parquet of long texts (packed,
a few megabytes on the disk; the run unpacks it into a folder of rows, which needs `--times` limits
of free disk) in a process whose memory of its own (RLIMIT_DATA: heap and private mappings, not the
files that the kernel keeps) the kernel limits: an allocation beyond that fails, and the run with
it. The same on a hundredth of the data tells how much the peak grows. No row is held out, so that
no duplicates are looked for.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, save

LENGTH, PIECES = 16_000, 64
"""Characters of a text, and of how many different pieces all texts are made."""
STACK = 2**20
SETTINGS = ("recipe.steps=20", "recipe.options.length=16", "task.validation=0", "placement=cpu")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, default=1024, help="MiB")
    parser.add_argument("--times", type=float, default=10.0, help="the limit: the data")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    whole = given.limit * given.times
    free = shutil.disk_usage(tempfile.gettempdir()).free / 2**20
    if free < 1.3 * whole:
        parser.error(f"{1.3 * whole:.0f} MiB of disk are needed, {free:.0f} are free")
    found = {"a hundredth": _one(whole / 100, given.limit), "all": _one(whole, given.limit)}
    grown = found["all"]["peak_mib"] - found["a hundredth"]["peak_mib"]
    held = all(each["exit"] == 0 for each in found.values())
    body = {
        "command": "foundation model=language/minilm task=tune task.method=head", "held": held,
        "limit_mib": given.limit, "times": given.times, "runs": found, "more_memory_mib": grown,
    }  # fmt: skip
    print(f"{'ended' if held else 'FAILED'} within {given.limit} MiB; {grown:.0f} MiB more memory")
    print(save("tuning_limit", body, given.out))
    return 0 if held else 1


def _one(size: float, limit: int) -> dict[str, Any]:
    """Rows, their bytes, and what the run took of the machine. size, limit: MiB."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "texts.parquet"
        rows = _write(path, size)
        words = [
            sys.executable, "-W", "ignore", "-m", "foundation", "model=language/minilm",
            "task=tune", "task.method=head", f"task.data={path}", *SETTINGS,
            f"hydra.run.dir={name}/run",
        ]  # fmt: skip
        began = time.monotonic()
        running = subprocess.Popen(words, preexec_fn=lambda: _limited(limit))
        _, status, usage = os.wait4(running.pid, 0)
        found = {
            "exit": os.waitstatus_to_exitcode(status), "rows": rows, "data_mib": size,
            "peak_mib": usage.ru_maxrss / 1024, "seconds": time.monotonic() - began,
        }  # fmt: skip
        print(found, flush=True)
        return found


def _limited(limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (limit * 2**20, limit * 2**20))
    # A thread's stack counts in full, used or not.
    resource.setrlimit(resource.RLIMIT_STACK, (STACK, STACK))


def _write(path: Path, size: float) -> int:
    """Different texts with one of two labels; how many."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    chance = random.Random(0)
    letters = "etaoinshrdlu      "
    pieces = ["".join(chance.choices(letters, k=LENGTH // 4)) for _ in range(PIECES)]
    count = int(size * 2**20 / LENGTH)
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    with pq.ParquetWriter(path, schema, compression="zstd") as file:
        for first in range(0, count, 500):
            numbers = range(first, min(first + 500, count))
            texts = [f"{number} {''.join(chance.choices(pieces, k=4))}" for number in numbers]
            labels = [("even", "odd")[number % 2] for number in numbers]
            file.write_table(pa.table([texts, labels], schema=schema), row_group_size=500)
    return count


if __name__ == "__main__":
    raise SystemExit(main())

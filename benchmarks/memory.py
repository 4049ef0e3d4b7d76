"""Does memory grow with the number of requests?

    python -m benchmarks.memory

`foundation` makes `--few` and then `--many` results with a model double, with checks in other
processes and with the marking of first bearers at the end, all of it written. Compared are the
peaks of the whole process tree; the claim is that they differ by at most 5 %.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.process import Usage, measure
from benchmarks.record import RESULTS, save

HERE = Path(__file__).parent
MOST = 1.05


def peak(count: int, folder: Path) -> Usage:
    command = [sys.executable, "-m", "foundation", "model=double/double", "placement=cpu"]
    command += [f"task.count={count}", "task.batch=256", f"resume={folder}/{count}"]
    path = os.pathsep.join([str(HERE.parent), str(HERE / "double")])
    return measure(command, {"PYTHONPATH": path}, timeout=3600, every=0.05)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        used = {count: peak(count, Path(folder)) for count in (given.few, given.many)}
    times = used[given.many].memory / used[given.few].memory
    for count, usage in used.items():
        print(f"{count:,} requests: {usage.memory / 2**20:.1f} MiB, {usage.wall:.1f} s")
    print(f"{times:.3f} times as much, at most {MOST}: {'yes' if times <= MOST else 'no'}")
    usages = {str(count): asdict(usage) for count, usage in used.items()}
    print(save("memory", {"usage": usages, "times": times, "at_most": MOST}, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

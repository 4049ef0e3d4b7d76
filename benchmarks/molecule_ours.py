"""The same molecules and columns by the Python API, timed from the call to the files written.

    python -m benchmarks.molecule_ours --count 3000 --columns all

The last line of standard output is a JSON object. Importing, loading and a first small run are left
out; the start of the processes that check is in, and so are all files: table, SDF and picture.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmarks.latency import percentiles
from benchmarks.molecule_baseline import SHORT


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--columns", choices=("short", "all"), default="all")
    given = parser.parse_args()

    import foundation as fm  # before torch, as in a notebook's first line

    columns = None if given.columns == "all" else list(SHORT)
    model = fm.load("molecule/starter")
    model.generate(count=64, columns=columns).finish()
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        results = model.generate(count=given.count, columns=columns, folder=Path(folder) / "run")
        came = [time.perf_counter() - began for _ in results]
        valid = results.finish().valid
        seconds = time.perf_counter() - began
    report = {
        "count": given.count,
        "seconds": seconds,
        "seconds_each": seconds / given.count,
        "first_result": came[0],
        "last_result": came[-1],
        "writing": seconds - came[-1],
        "valid": valid,
        **percentiles(came),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()

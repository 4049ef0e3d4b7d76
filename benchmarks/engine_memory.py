"""A million tiny requests through an engine: does memory grow in the driver or in a worker?

    python -m benchmarks.engine_memory --engine process local ray

`foundation model=double/double` makes `--few` and then `--many` results, checked and written. The
most resident memory that the driver and each worker ever had is read from the kernel, which misses
no short peak. Compared are those, and the rates; the claim is that more requests take at most 5 %
more memory. All engines are in one record: one that is not named stays as it was measured before.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.engine_kills import WORKERS
from benchmarks.record import RESULTS, save

HERE = Path(__file__).parent
ENGINES = {
    "process": [],
    "local": ["engine.workers=2"],
    "ray": ["engine=ray", "engine.workers=2"],
}
EVERY = 0.1
MOST = 1.05


def one(engine: str, count: int, root: Path) -> dict[str, Any]:
    """Peaks in bytes of the driver and of the largest worker, and results a second."""
    folder = root / f"{engine}-{count}"
    words = ["model=double/double", "placement=cpu", f"task.count={count}", "task.batch=256"]
    path = os.pathsep.join([str(HERE.parent), str(HERE / "double"), *sys.path])
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "foundation", *words, *ENGINES[engine],
         f"resume={folder}"],
        env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    peaks = {"driver": 0, "worker": 0}
    while process.poll() is None:
        with suppress(psutil.Error):
            driver = psutil.Process(process.pid)
            peaks["driver"] = max(peaks["driver"], most(driver))
            for child in driver.children(recursive=True):
                with suppress(psutil.Error):
                    if worker(child):
                        peaks["worker"] = max(peaks["worker"], most(child))
        time.sleep(EVERY)
    seconds = time.monotonic() - began
    if process.returncode:
        raise RuntimeError((folder / "run.log").read_text()[-2000:])
    ids = _ids(folder / "results.parquet")
    return {**peaks, "seconds": seconds, "rate": count / seconds, "ids_once": ids == count}


def most(process: psutil.Process) -> int:
    """The most resident memory a process has had, in bytes; psutil.NoSuchProcess."""
    try:
        status = Path(f"/proc/{process.pid}/status").read_text()
    except OSError:
        raise psutil.NoSuchProcess(process.pid) from None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return 1024 * int(found[1]) if found else 0


def worker(process: psutil.Process) -> bool:
    line = " ".join(process.cmdline()[:3])
    return any(name in line for name in WORKERS.values())


def _ids(table: Path) -> int:
    """How many rows have the id of their place."""
    import numpy as np
    import pyarrow.parquet as pq

    ids = pq.read_table(table, columns=["id"])["id"].to_numpy()
    return int((ids == np.arange(len(ids))).sum())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", nargs="+", choices=tuple(ENGINES), default=["process", "local"])
    parser.add_argument("--few", type=int, default=100_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    path = given.out / "engine_memory.json"
    engines: dict[str, Any] = json.loads(path.read_text())["engines"] if path.exists() else {}
    flat = True
    for engine in given.engine:
        with tempfile.TemporaryDirectory() as root:
            sizes = (given.few, given.many)
            found = {str(count): one(engine, count, Path(root)) for count in sizes}
        few, many = found.values()
        times = {who: many[who] / few[who] for who in ("driver", "worker") if few[who]}
        flat = flat and max(times.values()) <= MOST and few["ids_once"] and many["ids_once"]
        for count, each in found.items():
            megabytes = {who: round(each[who] / 2**20, 1) for who in ("driver", "worker")}
            print(f"{engine}, {int(count):,}: {each['rate']:,.0f} a second, MiB {megabytes}")
        print(f"{engine}: {', '.join(f'{who} {t:.3f} times' for who, t in times.items())}")
        date = datetime.now(UTC).isoformat(timespec="seconds")
        engines[engine] = {"runs": found, "times": times, "date": date}
        print(save("engine_memory", {"engines": engines, "at_most": MOST}, given.out))
    return 0 if flat else 1


if __name__ == "__main__":
    raise SystemExit(main())

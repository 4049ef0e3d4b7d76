"""What the toolkit adds to a model that takes 10 ms a batch.

    python -m benchmarks.overhead

A model double waits 10 ms a batch, as for a device. Against a plain loop over the adapter's `run`:

stream   batching, random numbers and the order of results, nothing written
results  the same with results, written durably to a run folder as they come

All in this process, interleaved in random order; loading and the final table are left out, opening
the run folder is in. The claim is that each takes at most 1.02 times as long as the plain loop.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.interval import ratio
from benchmarks.record import RESULTS, save

SECONDS = 0.01
MOST = 1.02
HERE = Path(__file__).parent


def ways(batches: int, rows: int) -> dict[str, Callable[[], Any]]:
    """Name -> one pass over `batches` batches of `rows` rows."""
    import foundation as fm
    from foundation.draws import Draws
    from foundation.requests import settings
    from foundation.stream import Stream

    model = fm.load("double/double", placement="cpu")
    count = batches * rows
    made = settings(model.domain, "plain", {"count": count, "seconds": SECONDS})
    request = next(made.requests()).request

    def plain() -> None:
        for start in range(0, count, rows):
            draws = Draws(0, range(start, start + rows))
            _use(model.adapter.run("plain", [request] * rows, draws))

    def stream() -> None:
        size = lambda item: model.adapter.cost(model.spec, item.request).size  # noqa: E731
        _use(Stream(model.adapter, "plain", rows, 0, size=size).outputs(made.requests()))

    def results() -> None:
        with tempfile.TemporaryDirectory() as folder:
            _use(iter(model.plain(count=count, seconds=SECONDS, batch=rows, folder=folder)))

    return {"plain": plain, "stream": stream, "results": results}


def _use(values: Iterator[Any]) -> None:
    for _ in values:
        pass


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--batches", type=int, default=300)
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    sys.path.insert(0, str(HERE / "double"))
    ready = ways(given.batches, given.rows)
    chance = random.Random(0)
    wall: dict[str, list[float]] = {name: [] for name in ready}
    cpu: dict[str, list[float]] = {name: [] for name in ready}
    for pair in range(-1, given.pairs):
        for name in chance.sample(list(ready), len(ready)):
            began, used = time.perf_counter(), time.process_time()
            ready[name]()
            if pair >= 0:
                wall[name].append(time.perf_counter() - began)
                cpu[name].append(time.process_time() - used)
    body: dict[str, Any] = {
        "settings": vars(given) | {"out": str(given.out), "seconds": SECONDS},
        "at_most": MOST,
    }
    body |= {"wall": wall, "cpu": cpu, "ratios": {}, "cpu_share_of_wait": {}}
    for name in ("stream", "results"):
        found = ratio(wall[name], wall["plain"])
        more = (sum(cpu[name]) - sum(cpu["plain"])) / (given.pairs * given.batches * SECONDS)
        body["ratios"][name], body["cpu_share_of_wait"][name] = asdict(found), more
        held = {"above": "no", "below": "yes"}.get(found.says(MOST), "cannot tell")
        shown = f"{found.ratio:.4f} ({found.low:.4f} to {found.high:.4f})"
        print(f"{name}: {shown}, at most {MOST}: {held}; processor time {more:.2%} of the wait")
    print(save("overhead", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

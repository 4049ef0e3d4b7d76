"""One pass on one engine, timed from the first request that is taken to the last result.

    python -m benchmarks.engine_one --model double/double --count 1000 '{"workers": 2}'

The last line of standard output is a JSON object. Starting workers and loading models is left out
of `seconds`, and told apart as `start`: requests are taken once a worker has loaded its model.
Results come in chunks, so a clock that began with the first would miss what is done by then. What
the first part that is written imports, once in a run however long, is told apart as `imports`.

    --bare model    a loop over the model's own `run`, an item at a time
    --bare sleep    nothing of the toolkit: a loop that waits the settings' `seconds` an item
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="double/double")
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--settings", type=json.loads, default={}, help="of the task, as JSON")
    parser.add_argument("engine", type=json.loads, help="settings of the engine, as JSON")
    parser.add_argument("--bare", choices=("model", "sleep"))
    given = parser.parse_args()
    sys.path.insert(0, str(HERE / "double"))
    os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)  # for the workers of a Ray that starts
    print(json.dumps(bare(given) if given.bare else one(given)))


def bare(given: argparse.Namespace) -> dict[str, Any]:
    seconds = given.settings["seconds"]
    item = alone(given) if given.bare == "model" else lambda number: time.sleep(seconds)
    item(0)  # what it imports
    began = time.perf_counter()
    for number in range(given.count):
        item(number)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "each": seconds / given.count, "start": 0.0, "imports": 0.0}


def alone(given: argparse.Namespace) -> Callable[[int], Any]:
    """The model's own work on one item."""
    import foundation as fm
    from foundation.draws import Draws
    from foundation.requests import settings

    model = fm.load(given.model, placement={"name": "cpu", "threads": given.threads})
    made = settings(model.domain, "generate", {"count": 1, **given.settings})
    request = next(made.requests()).request
    return lambda number: list(model.adapter.run("generate", [request], Draws(0, [number])))


def one(given: argparse.Namespace) -> dict[str, Any]:
    began = time.perf_counter()
    import pyarrow.parquet

    pyarrow.array([])  # imports pandas
    imports = time.perf_counter() - began

    import foundation as fm
    from foundation.requests import Item, Settings

    taken = 0.0
    requests = Settings.requests

    def timed(self: Settings, first: int = 0, end: int | None = None) -> Iterator[Item]:
        nonlocal taken
        for number, item in enumerate(requests(self, first, end)):
            if not number:
                taken = time.perf_counter()  # the plan has looked at some before; the run is last
            yield item

    Settings.requests = timed  # type: ignore[method-assign]
    placement = {"name": "cpu", "threads": given.threads}
    model = fm.load(given.model, placement=placement, engine=given.engine)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        results = model.generate(count=given.count, folder=Path(folder) / "run", **given.settings)
        for _ in results:
            last = time.perf_counter()
        valid = results.finish().valid
        ended = time.perf_counter()
    return {
        "seconds": last - taken,
        "each": (last - taken) / given.count,
        "start": taken - began,
        "imports": imports,
        "joining": ended - last,
        "valid": valid,
    }


if __name__ == "__main__":
    main()

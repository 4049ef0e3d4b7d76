"""What do workers cost and gain?

    python -m benchmarks.engine_speed

overhead   10 ms an item (batches of one): this process and one worker process, over a loop over
           the model's own `run`, and over one that only waits; then what that is in 60 s of work
           with starting and imports, which are paid once
workers    molecules with all checks: one single-thread worker over two of them
ray        a job of the model double: two local workers over two Ray actors (needs the extra ray)

Pairs of processes in random order, each timed from the first request it takes, with the model
loaded, to its last result: starting, loading and imports are left out and told apart.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.interval import Ratio
from benchmarks.pairs import Sample, Side, compare, described, line, run, values
from benchmarks.record import RESULTS, save

CASES = ("overhead", "workers", "ray")


def one(name: str, engine: dict[str, Any], **options: Any) -> Side:
    """A side: one pass on an engine."""
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.engine_one", json.dumps(engine)]
    for key, value in options.items():
        words += [f"--{key}", json.dumps(value) if isinstance(value, dict) else str(value)]
    return Side(name, tuple(words))


def sides(case: str, given: argparse.Namespace) -> list[Side]:
    if case == "overhead":
        item = {"seconds": 0.01, "batch": 1, "columns": ["length"]}
        return [
            Side("process", one("", {}, count=given.items, settings=item).command),
            one("worker", {"workers": 1}, count=given.items, settings=item),
            one("model", {}, count=given.items, settings=item, bare="model"),
            one("sleep", {}, count=given.items, settings=item, bare="sleep"),
        ]
    if case == "workers":
        options = {"model": "molecule/starter", "count": given.molecules}
        return [one("one", {"workers": 1}, **options), one("two", {"workers": 2}, **options)]
    job = {"count": given.job, "settings": {"seconds": 0.1, "batch": 32}}
    return [one("ray", {"name": "ray", "workers": 2}, **job), one("local", {"workers": 2}, **job)]


def ratios(case: str, samples: Sequence[Sample]) -> dict[str, Ratio]:
    pairs = {
        "overhead": [(a, b) for b in ("model", "sleep") for a in ("process", "worker")],
        "workers": [("one", "two")],
        "ray": [("ray", "local")],
    }
    return {f"{a} over {b}": compare(samples, a, b, "each") for a, b in pairs[case]}


def say(text: str) -> None:
    print(text, file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cases", nargs="*", choices=(*CASES, []), default=[])
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--molecules", type=int, default=6000)
    parser.add_argument("--job", type=int, default=38_400, help="rows; 32 take 0.1 s of a worker")
    parser.add_argument("--pairs", type=int, default=4)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    for case in given.cases or CASES[:2]:
        these = sides(case, given)
        warmups = 0 if case == "ray" else 1  # a minute's job needs none
        samples = run(these, given.pairs, warmups=warmups, say=say)
        found = ratios(case, samples)
        starts = {side.name: median(values(samples, side.name, "start")) for side in these}
        settings = {"pairs": given.pairs, "items": given.items, "molecules": given.molecules}
        body = described(these, samples, found, settings=settings | {"job": given.job})
        for name, each in found.items():
            print(line(name, each))
        print("start:", {name: round(seconds, 2) for name, seconds in starts.items()})
        body |= {"start": starts}
        if case == "overhead":
            body |= {"minute": minute(samples, starts)}
            print("in 60 s, all told:", {k: round(v, 4) for k, v in body["minute"].items()})
        print(save(f"engine_{case}", body, given.out))
    return 0


def minute(samples: Sequence[Sample], starts: Mapping[str, float]) -> dict[str, float]:
    """What 60 s of the model's work take, with all that is paid once, over the model alone."""
    count = 60 / median(values(samples, "model", "each"))
    return {
        name: (
            median(values(samples, name, "each")) * count
            + median(values(samples, name, "imports"))
            + starts[name]
        ) / 60
        for name in ("process", "worker")
    }  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())

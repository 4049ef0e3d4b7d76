"""task=steer on PMO's oracles, beside a graph genetic algorithm and random molecules.

    python -m benchmarks.quality.steering                         # all of pmo.yaml: hours of a core
    python -m benchmarks.quality.steering --minutes 6             # as much as fits; again to go on
    python -m benchmarks.quality.steering --calls 1000 --seeds 0  # a short one
    python -m benchmarks.quality.steering --report                # the record of what is there

Measured as PMO does: the mean of the ten best scores after every 100 calls, its area under the
calls by trapezoids, the last value kept to the end where a run ended early. `steer` is
`foundation task=steer objective=molecule/pmo/<oracle>`; `graph_ga` begins with the first 120
molecules that the untuned starter draws with the same seed; `random` is the untuned starter's own
molecules, as many as there are calls. All three pay for a molecule once.
"""

import argparse
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from benchmarks.interval import interval
from benchmarks.record import RESULTS, ROOT, save
from foundation.durable import write_json
from foundation.tuning.oracle import top_area, top_mean

WAYS = ("steer", "graph_ga", "random")
GO_ON = 75
STARTING = 120
WHOLE = 0.03
"""Seconds a call that a run is given which cannot be stopped and gone on with."""


def main(arguments: Sequence[str] | None = None) -> int:
    named = yaml.safe_load(Path(__file__).with_name("pmo.yaml").read_text())
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=named["calls"])
    parser.add_argument("--seeds", type=int, nargs="+", default=named["seeds"])
    parser.add_argument("--oracles", nargs="+", default=named["reported"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--set", nargs="*", default=[], help="more settings of task=steer")
    parser.add_argument("--minutes", type=float, help="end after these; call again to go on")
    parser.add_argument("--work", type=Path, default=Path("runs/pmo"))
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if not given.report:
        code = _run_all(given)
        if code:
            return code
    _report(given)
    return 0


def _run_all(given: argparse.Namespace) -> int:
    until = time.monotonic() + 60 * given.minutes if given.minutes else None
    for seed in given.seeds:
        for oracle in given.oracles:
            for way in given.ways:
                path = given.work / f"{way}-{oracle}-{given.calls}-{seed}.json"
                if path.exists():
                    continue
                # A run of the genetic algorithm is not stopped in its middle.
                needed = WHOLE * given.calls if way == "graph_ga" else 0
                if until is not None and time.monotonic() + needed > until:
                    return GO_ON
                began = time.perf_counter()
                scores = _scores(way, oracle, seed, given, until)
                if scores is None:
                    return GO_ON
                seconds = round(time.perf_counter() - began, 1)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_json(path, {"seconds": seconds, "scores": scores})
                area = top_area(scores, given.calls)
                print(f"{way} {oracle} {seed}: {area:.3f} in {seconds} s", flush=True)
    return 0


def _scores(
    way: str, oracle: str, seed: int, given: argparse.Namespace, until: float | None
) -> list[float] | None:
    """The scores of a run's calls in their order; None where time ran out in the middle."""
    if way == "steer":
        return _steered(oracle, seed, given, until)
    from foundation.domains.molecule.objective import objective

    path = ROOT / "conf" / "objective" / "molecule" / "pmo" / f"{oracle}.yaml"
    score = objective(yaml.safe_load(path.read_text()))
    if way == "random":
        drawn = _drawn(given.work, seed, given.calls)
        return [found.score for found in score(drawn)]
    from benchmarks.quality.graph_ga import Settings, evolve

    paid = _Paid(score, given.calls)
    start = _drawn(given.work, seed, STARTING)
    evolve(paid, start, lambda: len(paid.scores) >= given.calls, seed, Settings())
    return list(paid.scores.values())


class _Paid:
    """A score with a budget, in memory."""

    def __init__(self, score: Callable[[Sequence[str]], Any], budget: int) -> None:
        self._score, self._budget = score, budget
        self.scores: dict[str, float] = {}

    def __call__(self, molecules: Sequence[str]) -> list[float | None]:
        new = [each for each in dict.fromkeys(molecules) if each not in self.scores]
        new = new[: self._budget - len(self.scores)]
        found = self._score(new)
        self.scores |= {each: got.score for each, got in zip(new, found, strict=True)}
        return [self.scores.get(each) for each in molecules]


def _steered(
    oracle: str, seed: int, given: argparse.Namespace, until: float | None
) -> list[float] | None:
    import pyarrow.parquet as pq

    from foundation.cli import main as foundation

    folder = given.work / f"steer-{oracle}-{given.calls}-{seed}"
    words = [f"resume={folder}"]
    if not (folder / "overrides.json").exists():
        words = [f"objective=molecule/pmo/{oracle}", "task=steer", f"task.calls={given.calls}",
                 f"seed={seed}", f"hydra.run.dir={folder}", *given.set]  # fmt: skip
    timer = None
    if until is not None:  # what SIGTERM ends goes on where it was
        left = max(1.0, until - time.monotonic())
        timer = threading.Timer(left, os.kill, (os.getpid(), signal.SIGTERM))
        timer.daemon = True
        timer.start()
    code = foundation(words)
    if timer is not None:
        timer.cancel()
    if code == 128 + signal.SIGTERM:
        return None
    if code:
        sys.exit(code)
    scores: list[float] = pq.read_table(folder / "oracle_calls.parquet")["score"].to_pylist()
    return scores


def _drawn(work: Path, seed: int, count: int) -> list[str]:
    """The first `count` different molecules that the untuned starter draws, kept in a file."""
    path = work / f"drawn-{seed}-{count}.json"
    if not path.exists():
        import foundation

        model = foundation.load("molecule/starter")
        found: dict[str, None] = {}
        # Not all that is drawn is valid and new.
        results = model.generate(count=round(1.25 * count) + 20, seed=seed, columns=["canonical"])
        for row in sorted(results, key=lambda row: row.id):
            if row.valid:
                found.setdefault(row.checks["canonical"])
        model.close()
        assert len(found) >= count
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, list(found)[:count])
    drawn: list[str] = json.loads(path.read_text())
    return drawn


def _report(given: argparse.Namespace) -> None:
    """The record, with an interval of the difference over pairs of an oracle and a seed."""
    table: dict[str, dict[str, Any]] = {}
    pairs: list[tuple[float, float, float]] = []
    for oracle, seed, found in _found(given):
        row = table.setdefault(oracle, {way: [] for way in WAYS})
        for way in WAYS:
            scores = found[way]["scores"]
            row[way].append({
                "seed": seed, "area": top_area(scores, given.calls), "top_10": top_mean(scores),
                "best": max(scores), "calls": len(scores), "seconds": found[way]["seconds"],
            })  # fmt: skip
        pairs.append(tuple(row[way][-1]["area"] for way in WAYS))  # type: ignore[arg-type]
    if len(pairs) < 2:
        print("two pairs of an oracle and a seed are needed for a record")
        return
    means = {
        oracle: {way: sum(r["area"] for r in rows) / len(rows) for way, rows in row.items()}
        for oracle, row in table.items()
    }
    sums = {way: sum(row[way] for row in means.values()) for way in WAYS}
    gains = {
        f"steer - {way}": _interval([pair[0] - pair[at] for pair in pairs], len(means))
        for at, way in enumerate(WAYS)
        if at
    }
    values = {
        "settings": {"calls": given.calls, "seeds": given.seeds, "steer": given.set},
        "sum_of_areas": sums, "sum_of_differences": gains, "oracles": means, "runs": table,
    }  # fmt: skip
    print(save("steering", values, given.out))
    print(f"{'oracle':<26}" + "".join(f"{way:>10}" for way in WAYS))
    for oracle, row in [*means.items(), ("sum", sums)]:
        print(f"{oracle:<26}" + "".join(f"{row[way]:>10.3f}" for way in WAYS))
    for name, gain in gains.items():
        print(f"{name}: {gain['mean']:.3f} ({gain['low']:.3f} to {gain['high']:.3f})")


def _interval(differences: Sequence[float], oracles: int) -> dict[str, float]:
    """Of the sum over oracles: their number times the mean over pairs."""
    found = interval(differences)
    return {name: oracles * getattr(found, name) for name in ("mean", "low", "high")}


def _found(given: argparse.Namespace) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """Pairs of which all three ways are there."""
    for oracle in given.oracles:
        for seed in given.seeds:
            paths = {way: given.work / f"{way}-{oracle}-{given.calls}-{seed}.json" for way in WAYS}
            if all(path.exists() for path in paths.values()):
                yield oracle, seed, {w: json.loads(p.read_text()) for w, p in paths.items()}


if __name__ == "__main__":
    raise SystemExit(main())

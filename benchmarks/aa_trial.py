"""Does the suite tell equal sides as equal, and a slowdown of 5 %, beside a restless neighbour?

    python -m benchmarks.aa_trial                         whole processes
    python -m benchmarks.aa_trial --turns 8 --pairs 24    so many short turns in each pair of them

Twice `--runs` comparisons of a side that computes a fixed amount: with itself, and with 5 % more of
the same. Meanwhile neighbours, as many as there are cores, burn for a while and rest for a while,
at random. Claimed is: equal sides are never called different (by more than 1 %), and the slowdown
is found in 9 of 10. Three ways of looking at the same samples:

calm_pairs   wall time of the pairs that nobody disturbed; "cannot tell" if they are too few
every_pair   wall time of all pairs, as if nobody had watched
processor    processor time of all pairs, which waiting for a core does not lengthen

Of turns every pair counts, by the middle of their ratios (benchmarks.interval): `turns` is their
wall time, `processor` their processor time.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks.interval import Ratio, ratio_of_turns
from benchmarks.pairs import Calm, Sample, Side, compare, run, run_turns
from benchmarks.record import RESULTS, save
from benchmarks.spinner import spin
from foundation.placement.host import cores

SLOWER, MARGIN = 1.05, 0.01
BURNER = """
import random, sys, time
chance = random.Random(int(sys.argv[1]))
while True:
    end = time.monotonic() + chance.expovariate(1 / float(sys.argv[2]))
    while time.monotonic() < end:
        pass
    time.sleep(chance.expovariate(1 / float(sys.argv[3])))
"""


@contextmanager
def neighbours(count: int, burns: float, rests: float) -> Iterator[None]:
    """Processes that burn a core for `burns` seconds and rest for `rests`, both on average."""
    words = [sys.executable, "-c", BURNER]
    running = [
        subprocess.Popen([*words, str(number), str(burns), str(rests)]) for number in range(count)
    ]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def work_of(seconds: float) -> int:
    """Steps that take so long when nothing else runs."""
    return round(seconds / min(spin(200_000)["processor"] for _ in range(10)) * 200_000)


def side(name: str, work: int, *more: str) -> Side:
    return Side(name, (sys.executable, "-m", "benchmarks.spinner", "--work", str(work), *more))


def of_processes(work: int, second: int, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """What is said of `second` over `first` as whole processes, in each way of looking."""
    sides = [side("first", work), side("second", second)]
    samples = run(sides, given.pairs, seed=seed, calm=Calm(repeats=given.repeats))
    counted = len({sample.pair for sample in samples if not sample.disturbed})
    every = [replace(sample, disturbed="") for sample in samples]
    found = {
        "every_pair": _said(compare(every, "second", "first", "seconds")),
        "processor": _said(compare(every, "second", "first", "processor")),
    }
    if counted < given.pairs:
        found["calm_pairs"] = {"says": "cannot tell"}
    else:
        found["calm_pairs"] = _said(compare(samples, "second", "first", "seconds"))
    return {**found, "counted": counted, "run": len(samples) // 2, **_raw(samples)}


def of_turns(work: int, second: int, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """The turns of both sides, of every pair: seconds and processor seconds."""
    sides = [side("first", work, "--turns"), side("second", second, "--turns")]
    samples = run_turns(sides, given.pairs, given.turns, seed=seed)
    pairs = [_by_side(samples, pair) for pair in range(given.pairs)]
    return {
        measure: [
            [" ".join(f"{s.value(measure):.6f}" for s in turns) for turns in both] for both in pairs
        ]
        for measure in ("seconds", "processor")
    }


def told_of_turns(raw: dict[str, Any]) -> dict[str, Any]:
    """What is said of `second` over `first` as sides that take turns."""
    found = {}
    for way, measure in (("turns", "seconds"), ("processor", "processor")):
        first, second = (
            [[float(took) for took in both[place].split()] for both in raw[measure]]
            for place in range(2)
        )
        found[way] = _said(ratio_of_turns(second, first))
    return {**found, "raw": raw}


def _by_side(samples: Sequence[Sample], pair: int) -> list[list[Sample]]:
    """A pair's turns: those of `first`, those of `second`."""
    own = [sample for sample in samples if sample.pair == pair]
    return [[s for s in own if s.side == name] for name in ("first", "second")]


def _raw(samples: Sequence[Sample]) -> dict[str, Any]:
    raw = [[_short(s.value("seconds")), _short(s.value("processor"))] for s in _in_order(samples)]
    return {"seconds_processor": raw}


def _in_order(samples: Sequence[Sample]) -> list[Sample]:
    """Pair by pair, `first` before `second`."""
    return sorted(samples, key=lambda sample: (sample.pair, sample.side))


def _short(seconds: float) -> float:
    return round(seconds, 5)


def _said(found: Ratio) -> dict[str, Any]:
    return {"says": found.differs(MARGIN), **asdict(found)}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=20, help="of each kind")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--turns", type=int, help="of each side in a pair, in place of one run")
    parser.add_argument("--seconds", type=float, help="of a side; 0.15, of a turn 0.012")
    parser.add_argument("--burners", type=int, default=cores())
    parser.add_argument("--burns", type=float, default=1.0, help="seconds, on average")
    parser.add_argument("--rests", type=float, default=2.0)
    parser.add_argument("--note", help="what else ran on the machine")
    parser.add_argument("--kept", type=Path, help="JSONL of comparisons, from which it goes on")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    given.seconds = given.seconds or (0.012 if given.turns else 0.15)
    ways = ("turns", "processor") if given.turns else ("calm_pairs", "every_pair", "processor")
    work, trial = work_of(given.seconds), of_turns if given.turns else of_processes
    done = _kept(given.kept)
    kinds = [*["same"] * given.runs, *["slower"] * given.runs]
    random.Random(0).shuffle(kinds)
    runs: dict[str, list[dict[str, Any]]] = {"same": [], "slower": []}
    with neighbours(given.burners, given.burns, given.rests):
        for number, kind in enumerate(kinds):
            if number not in done:
                second = round(work * SLOWER) if kind == "slower" else work
                done[number] = trial(work, second, number, given)
                _keep(given.kept, number, done[number])
            runs[kind].append(told_of_turns(done[number]) if given.turns else done[number])
            last = {way: runs[kind][-1][way] for way in ways}
            print(kind, last, file=sys.stderr, flush=True)
    counts = {
        way: {
            "false_differences": _count(runs["same"], way, ("above", "below")),
            "same_not_told": _count(runs["same"], way, ("cannot tell",)),
            "slowdowns_found": _count(runs["slower"], way, ("above",)),
            "slowdowns_not_told": _count(runs["slower"], way, ("cannot tell",)),
        }
        for way in ways
    }
    settings = {
        key: value for key, value in vars(given).items() if key not in ("out", "note", "kept")
    }
    body: dict[str, Any] = {"command": "python -m benchmarks.aa_trial", "settings": settings}
    body["note"] = given.note
    name = "aa_turns" if given.turns else "aa_trial"
    print(save(name, {**body, "counts": counts, "trials": runs}, given.out))
    for way, found in counts.items():
        print(way, found)
    return 0


def _kept(path: Path | None) -> dict[int, dict[str, Any]]:
    """The comparisons of a trial that was stopped, by number."""
    if path is None or not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {row["number"]: row["found"] for row in rows}


def _keep(path: Path | None, number: int, found: dict[str, Any]) -> None:
    if path is not None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"number": number, "found": found}) + "\n")


def _count(runs: Sequence[dict[str, Any]], way: str, says: Sequence[str]) -> int:
    return sum(each[way]["says"] in says for each in runs)


if __name__ == "__main__":
    raise SystemExit(main())

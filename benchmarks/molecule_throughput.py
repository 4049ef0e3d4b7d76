"""Molecules a second, model and checks: `task=generate` against a loop of transformers and RDKit.

    python -m benchmarks.molecule_throughput --data FOLDER

FOLDER holds MOSES' train.csv and test.csv. First the loop's best dtype and batch are looked for
(molecule_baseline says what else favours it). Then, with few columns (parses, sanitises, canonical,
unique, novel) and with every column, rounds of three sides in random order:

loop     the loop in one process, with as many threads as torch takes
command  `foundation task.count=N`, all of it: start, load, table, SDF and picture
api      the same by the Python API for `--steady` molecules, without start and load

`whole` is the loop's process, less what it spent on reading MOSES' files, over the command's.
`steady` is the loop's seconds a molecule over the API's. Both are wall times. `start` is what the
command takes beyond its molecules at the API's pace.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.interval import Ratio, ratio
from benchmarks.molecule_baseline import SHORT, fastest
from benchmarks.pairs import Sample, Side, compare, described, line, run, values
from benchmarks.record import RESULTS, save

BATCHES = (64, 128, 256, 512)
DTYPES = ("float32", "bfloat16")
CLAIMS = {"short": 5.0, "all": 2.5}
THREADS = {"OMP_NUM_THREADS": None, "MKL_NUM_THREADS": None}


def calibrate(data: Path) -> dict[str, Any]:
    """Seconds a molecule of the loop's model at each dtype and batch, and the best of them."""
    found: list[dict[str, Any]] = [
        {"dtype": dtype, "batch": batch, "seconds_each": fastest(data, batch, dtype)}
        for dtype in DTYPES
        for batch in BATCHES
    ]
    return {"best": min(found, key=lambda each: each["seconds_each"]), "tried": found}


def sides(
    columns: str, data: Path, count: int, steady: int, best: dict[str, Any], runs: Path
) -> list[Side]:
    python = [sys.executable, "-m"]
    loop = [*python, "benchmarks.molecule_baseline", "--data", str(data), "--count", str(count)]
    loop += ["--batch", str(best["batch"]), "--dtype", best["dtype"], "--columns", columns]
    command = [str(Path(sys.executable).with_name("foundation")), f"task.count={count}"]
    command += [f"resume={runs}/{columns}-{{pair}}"]
    command += [f"task.columns=[{','.join(SHORT)}]"] if columns == "short" else []
    api = [*python, "benchmarks.molecule_ours", "--count", str(steady), "--columns", columns]
    named = {"loop": loop, "command": command, "api": api}
    return [Side(name, tuple(words), THREADS) for name, words in named.items()]


def ratios(samples: Sequence[Sample]) -> dict[str, Ratio]:
    walls, reading = values(samples, "loop", "wall"), values(samples, "loop", "reading")
    work = [wall - read for wall, read in zip(walls, reading, strict=True)]
    return {
        "whole": ratio(work, values(samples, "command", "wall")),
        "steady": compare(samples, "loop", "api", "seconds_each"),
    }


def speeds(samples: Sequence[Sample], count: int) -> dict[str, float]:
    """Medians: molecules a second of each side and seconds of start."""
    each = {side: median(values(samples, side, "seconds_each")) for side in ("loop", "api")}
    whole = median(values(samples, "command", "wall"))
    return {
        "loop_a_second": 1 / each["loop"],
        "api_a_second": 1 / each["api"],
        "command_a_second": count / whole,
        "command_start": whole - count * each["api"],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4000, help="molecules of loop and command")
    parser.add_argument("--steady", type=int, default=4000, help="molecules of the API's side")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the order within rounds")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    data = given.data.absolute()
    calibrated = calibrate(data)
    print("the loop at its best:", calibrated["best"], file=sys.stderr)
    settings = {"count": given.count, "steady": given.steady, "rounds": given.rounds}
    settings |= {"warmups": 1, "seed": given.seed}
    body: dict[str, Any] = {"settings": settings, "calibration": calibrated, "cases": {}}
    for columns, claim in CLAIMS.items():
        with tempfile.TemporaryDirectory() as runs:
            these = sides(
                columns, data, given.count, given.steady, calibrated["best"], Path(runs)
            )  # fmt: skip
            samples = run(
                these, given.rounds, seed=given.seed, say=lambda text: print(text, file=sys.stderr)
            )
        found, rates = ratios(samples), speeds(samples, given.count)
        case = described(these, samples, found, claim=claim, speeds=rates)
        case["answers"] = {name: line(name, each, claim) for name, each in found.items()}
        body["cases"][columns] = case
        print(f"{columns} columns:", {name: round(each, 2) for name, each in rates.items()})
        print(*case["answers"].values(), sep="\n")
    print(save("molecule_throughput", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

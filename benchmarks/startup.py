"""How long `foundation --help` takes beyond bare Python.

    python -m benchmarks.startup

Many interleaved pairs of `foundation --help` and `python -c pass`; the claim is at most 100 ms.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.interval import interval
from benchmarks.pairs import Side, described, run, values
from benchmarks.record import RESULTS, save

MOST = 0.1


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    command = str(Path(sys.executable).with_name("foundation"))
    sides = [Side("help", (command, "--help")), Side("bare", (sys.executable, "-c", "pass"))]
    samples = run(sides, given.pairs, warmups=3)
    found = {}
    for measure in ("wall", "cpu"):
        pairs = zip(values(samples, "help", measure), values(samples, "bare", measure), strict=True)
        more = interval([long - short for long, short in pairs])
        found[measure] = more
        held = "yes" if more.high <= MOST else "no" if more.low > MOST else "cannot tell"
        shown = f"{more.mean * 1e3:.0f} ms ({more.low * 1e3:.0f} to {more.high * 1e3:.0f})"
        print(f"--help takes {shown} more {measure} time, at most {MOST * 1e3:.0f}: {held}")
    differences = {name: asdict(each) for name, each in found.items()}
    body = described(sides, samples, {}, differences=differences, at_most=MOST)
    print(save("startup", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

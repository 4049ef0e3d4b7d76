"""What the checks of a molecule cost on one core, and whether they find what RDKit's own calls do.

    python -m benchmarks.molecule_checks --data FOLDER

FOLDER holds MOSES' train.csv and test.csv. `--count` molecules of the test set, evenly spread, are
given every column by the toolkit and by RDKit's own functions one after the other, as in
molecule_baseline; which of the two is first is drawn for each chunk. Compared are the values of
every column that both have, molecule by molecule, and the processor time a molecule.
"""

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.interval import ratio
from benchmarks.molecule_baseline import checks, read
from benchmarks.record import RESULTS, save

CHUNK = 500
# Decided over a whole run, or against another training set, and so no check of one molecule.
APART = ("unique", "novel")


def differing(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> dict[str, int]:
    """How many molecules differ, by column."""
    found: dict[str, int] = {}
    for mine, plain in zip(ours, theirs, strict=True):
        for name, value in plain.items():
            same = name in APART or mine[name] == value
            found[name] = found.get(name, 0) + (not same)
    return {name: count for name, count in found.items() if name not in APART}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0, help="of the order within chunks")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)

    from rdkit import rdBase

    from foundation.domains.molecule.checks import check, prepare

    molecules = read(given.data / "test.csv")
    molecules = molecules[:: max(1, len(molecules) // given.count)][: given.count]
    plain, order = checks("all", set()), random.Random(given.seed)
    prepare(), plain("CCO")
    took: dict[str, list[float]] = {"ours": [], "plain": []}
    differ: dict[str, int] = {}
    for start in range(0, len(molecules), CHUNK):
        chunk, rows = molecules[start : start + CHUNK], {}
        for side in order.sample(("ours", "plain"), 2):
            began = time.process_time()
            with rdBase.BlockLogs():
                rows[side] = check(chunk) if side == "ours" else [plain(each) for each in chunk]
            took[side].append((time.process_time() - began) / len(chunk))
        for name, count in differing(rows["ours"], rows["plain"]).items():
            differ[name] = differ.get(name, 0) + count
    each = {side: 1000 * sum(values) / len(values) for side, values in took.items()}
    faster = ratio(took["plain"], took["ours"])
    print(f"{each['ours']:.2f} ms a molecule; RDKit's own calls {each['plain']:.2f} ms")
    print(f"of {len(molecules):,} molecules differ:", differ)
    body = {
        "count": len(molecules),
        "milliseconds_each": each,
        "ratio": faster,
        "differing": differ,
    }
    print(save("molecule_checks", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""A molecule's class told from few labelled molecules: ours beside torch-molecule's graph network.

    python -m benchmarks.property_peer --python PYTHON

The draws are those of benchmarks.quality.adapt: molecules above or below the median of a property,
scaffolds of the test in no training row. Ours are fingerprints, descriptors and the starter's head,
each with a penalty or a recipe of its own; the peer is its graph network as it comes (at most 500
epochs), and with Morgan and MACCS fingerprints beside the graph. Seconds are those of a fit (ours
with the answers), each side alone in its turn.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.adapt import SETS, drawn, mean_of
from benchmarks.record import RESULTS, save

OURS = ("fingerprints", "descriptors", "head")
FIRST = 10
"""How descriptors are told by was chosen on the draws before."""
PEERS: dict[str, list[str]] = {
    "graph network": [],
    "graph network and fingerprints": ["--features", "morgan", "maccs"],
}
BASELINE = Path(__file__).parent / "property_baseline.py"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", required=True, help="an environment with torch-molecule")
    parser.add_argument("--sets", nargs="+", default=["qed", "sa"])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--test", type=int, default=1000, help="held-out molecules")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    sets = {}
    for name in given.sets:
        draws = [_draw(name, FIRST + draw, given) for draw in range(given.draws)]
        sets[name] = {
            way: {
                "accuracy": mean_of([each[way]["accuracy"] for each in draws]),
                "seconds": [each[way]["seconds"] for each in draws],
            }
            for way in draws[0]
        }
        for way, found in sets[name].items():
            print(name, way, f"{found['accuracy']['mean']:.3f}", found["seconds"])
    print(
        save("property_peer", {"draws": given.draws, "test": given.test, "sets": sets}, given.out)
    )
    return 0


def _draw(name: str, draw: int, given: argparse.Namespace) -> dict[str, Any]:
    """Way -> accuracy and seconds."""
    _, _, load, each = SETS[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        drawn(folder, load(), each, draw, given.test)
        found = _ours(folder, draw)
        for way, more in PEERS.items():
            words = [
                given.python,
                "-W",
                "ignore",
                str(BASELINE),
                "--train",
                str(folder / "few.csv"),
            ]
            words += ["--test", str(folder / "test.csv"), "--seed", str(draw), *more]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{way}: {done.stderr.strip().splitlines()[-1]}")
            found[way] = json.loads(done.stdout.splitlines()[-1])
    print(name, draw, found, file=sys.stderr, flush=True)
    return found


def _ours(folder: Path, draw: int) -> dict[str, Any]:
    import foundation as fm
    from foundation import registry
    from foundation.tuning.comparing import Comparison
    from foundation.tuning.data import Wanted, gather

    model = fm.load("molecule/starter")
    tuning = registry.domain("molecule").tuning
    assert tuning is not None
    few, test = (
        gather(tuning, Wanted(str(folder / f"{side}.csv"), validation=0.0), folder / side).rows
        for side in ("few", "test")
    )
    comparison = Comparison(
        model, tuning, few, folder / "folds", folds=2, seed=draw, rank=8, recipe={}, deadline=None
    )
    found = {}
    for way in OURS:
        scratch = folder / way
        scratch.mkdir()
        began = time.perf_counter()
        answers = comparison.answers(way, few, test, scratch)
        seconds = time.perf_counter() - began
        right = comparison.scores(answers, list(test))
        found[way] = {"accuracy": float(right.mean()), "seconds": seconds}
    model.close()
    return found


if __name__ == "__main__":
    raise SystemExit(main())

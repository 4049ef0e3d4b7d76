"""Texts embedded a second by MiniLM: `task=embed` against sentence-transformers.

    python -m benchmarks.embedding_throughput --data FILE.csv --python PYTHON

PYTHON is an environment with sentence-transformers; FILE.csv has a column `text` (banking77's
test.csv serves). First the other side's best dtype and batch are looked for; then rounds of both in
random order. The ratio is its seconds a text over ours, ours with the result table written. The
cosine of our vectors with its float32 ones is told beside it.
"""

import argparse
import csv
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.interval import ratio
from benchmarks.pairs import Side, described, line, run, values
from benchmarks.process import measure, thread_settings
from benchmarks.record import RESULTS, save

CLAIM, COSINE = 1.5, 0.999
TRIED = (("float32", 32), ("float32", 64), ("bfloat16", 32), ("bfloat16", 64))


def texts_of(path: Path, count: int) -> list[str]:
    """The first texts of a CSV."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row["text"] for row in csv.DictReader(file)][:count]


def folder_of_model() -> Path:
    """The verified files of language/minilm."""
    from foundation import registry
    from foundation.hub import resolve

    spec = registry.spec("language/minilm")
    return resolve(spec.source, revision=spec.revision, sha256=spec.sha256).path


def cosines(some: Path, others: Path) -> dict[str, float]:
    """The cosine of each pair of vectors: the least and the mean."""
    one, two = np.load(some), np.load(others)
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
    found = (one * two).sum(1) / norms
    return {"least": float(found.min()), "mean": float(found.mean())}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--python", required=True, help="has sentence-transformers")
    parser.add_argument("--count", type=int, default=2000, help="texts")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0, help="of the order within rounds")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds for one run")
    parser.add_argument(
        "--measure", default="seconds_each", choices=("seconds_each", "cpu_each"),
        help="wall time, or processor time for a machine that does other work, too",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, help="of every side; needed for cpu_each")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    threads = thread_settings(given.threads)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        path, exact = root / "texts.json", root / "exact.npy"
        path.write_text(json.dumps(texts_of(given.data, given.count)), encoding="utf-8")
        other = [given.python, str(Path(__file__).with_name("embedding_baseline.py"))]
        other += ["--texts", str(path), "--model", str(folder_of_model())]

        def baseline(dtype: str, batch: int, out: Path) -> list[str]:
            return [*other, "--dtype", dtype, "--batch", str(batch), "--out", str(out)]

        ours = [sys.executable, "-m", "benchmarks.embedding_ours", "--texts", str(path)]
        tried: list[dict[str, Any]] = []
        for dtype, batch in TRIED:
            out = exact if not tried else root / "other.npy"
            used = measure(baseline(dtype, batch, out), threads, timeout=given.timeout)
            tried.append({"dtype": dtype, "batch": batch, **used.report})
        best = min(tried, key=lambda each: each[given.measure])
        theirs = baseline(best["dtype"], best["batch"], root / "other.npy")
        sides = [
            Side("sentence-transformers", tuple(theirs), threads),
            Side("auto", (*ours, "--out", str(root / "auto.npy")), threads),
            Side("float32", (*ours, "--dtype", "float32", "--out", str(root / "f.npy")), threads),
        ]
        samples = run(
            sides, given.rounds, seed=given.seed, timeout=given.timeout,
            say=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip
        near = {
            "auto": cosines(root / "auto.npy", exact),
            "float32": cosines(root / "f.npy", exact),
        }
    each = {side.name: values(samples, side.name, given.measure) for side in sides}
    found = {name: ratio(each["sentence-transformers"], each[name]) for name in ("auto", "float32")}
    body = described(
        sides, samples, found, claim=CLAIM, cosine_at_least=COSINE, cosines=near,
        calibration={"best": best, "tried": tried},
        texts_a_second={name: 1 / median(took) for name, took in each.items()},
        settings={
            "count": given.count, "rounds": given.rounds, "seed": given.seed,
            "measure": given.measure, "threads": given.threads,
        },
    )  # fmt: skip
    print({name: round(rate) for name, rate in body["texts_a_second"].items()})
    for name, claim in (("auto", CLAIM), ("float32", 1.0)):
        print(line(name, found[name], claim), f"least cosine {near[name]['least']:.6f}")
    print(save("embedding_throughput", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

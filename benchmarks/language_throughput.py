"""New tokens a second of SmolLM2-135M-Instruct: `task=generate` against four other ways.

    python -m benchmarks.language_throughput --llama PYTHON

64 prompts of 20 to 400 tokens, up to 128 new tokens each, greedy, chat template off. First each
way's best dtype and batch are looked for on a part of the prompts; then rounds of all sides in
random order:

ours            the Python API, with results written as they come
pipeline        transformers.pipeline, one prompt after another
generate_batch  transformers' continuous batching
static          transformers' generate on padded batches sorted by length
llama           llama-cpp-python, one prompt after another, on the 4-bit GGUF; PYTHON is an
                environment that has it, and without --llama this side is left out

A ratio is the other side's seconds a new token over ours; start and load are left out of all. The
sides that take one prompt after another take every n-th prompt (--every), of the same lengths.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.interval import Ratio
from benchmarks.language_prompts import write
from benchmarks.pairs import Sample, Side, compare, described, line, run, values
from benchmarks.process import measure
from benchmarks.record import RESULTS, save
from foundation.precision import fastest

CLAIMS = {"pipeline": 5.0, "generate_batch": 1.3, "static": 1.0, "llama": 2.0}
TRIED: dict[str, tuple[tuple[str, int], ...]] = {
    "ours": (("auto", 32), ("auto", 64)),
    "pipeline": (("float32", 1), ("bfloat16", 1)),
    "generate_batch": (("auto", 256), ("auto", 1024)),
    "static": (("auto", 16), ("auto", 64)),
}
"""Dtypes and batches; auto is the dtype in which this machine multiplies matrices fastest."""

THREADS: dict[str, str | None] = {"OMP_NUM_THREADS": None, "MKL_NUM_THREADS": None}
ALONE = ("pipeline", "llama")


def command(side: str, prompts: Path, new: int, dtype: str, batch: int, every: int) -> list[str]:
    """How a side of ours or of transformers is run."""
    words = [sys.executable, "-m"]
    if side == "ours":
        words += ["benchmarks.language_ours"]
    else:
        words += ["benchmarks.language_baseline", "--way", side]
    words += ["--prompts", str(prompts), "--new", str(new), "--dtype", dtype]
    return [*words, "--batch", str(batch), "--every", str(every)]


def calibrate(side: str, prompts: Path, new: int, every: int, timeout: float) -> dict[str, Any]:
    """Seconds a token of a side at each dtype and batch, on part of the prompts; the best."""
    found = []
    for named, batch in TRIED[side]:
        dtype = fastest() if named == "auto" else named
        words = command(side, prompts, new, dtype, batch, every)
        report = measure(words, THREADS, timeout=timeout).report
        found.append({"dtype": dtype, "batch": batch, "seconds_each": report["seconds_each"]})
        print(side, found[-1], file=sys.stderr)
    return {"best": min(found, key=lambda each: each["seconds_each"]), "tried": found}


def speeds(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, float]:
    """Medians of new tokens a second."""
    return {name: 1 / median(values(samples, name, "seconds_each")) for name in names}


def ratios(samples: Sequence[Sample], names: Sequence[str]) -> dict[str, Ratio]:
    """What each other side takes for a token over what we take."""
    others = [name for name in names if name != "ours"]
    return {name: compare(samples, name, "ours", "seconds_each") for name in others}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=64, help="prompts")
    parser.add_argument("--new", type=int, default=128, help="new tokens of a prompt at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=int, default=16, help="prompts of sides without batches")
    parser.add_argument("--llama", help="the Python of an environment with llama-cpp-python")
    parser.add_argument("--sides", nargs="+", choices=tuple(TRIED), default=tuple(TRIED))
    parser.add_argument("--seed", type=int, default=0, help="of the order within rounds")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for one run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if "ours" not in given.sides or len(given.sides) + bool(given.llama) < 2:
        parser.error("ours and one other side at least")
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.json"
        lengths = write(prompts, given.count)
        tried = {
            name: calibrate(
                name, prompts, given.new // 4, given.every if name in ALONE else 2, given.timeout
            )
            for name in given.sides
        }
        these = []
        for name in given.sides:
            best, every = tried[name]["best"], given.every if name in ALONE else 1
            words = command(name, prompts, given.new, best["dtype"], best["batch"], every)
            these.append(Side(name, tuple(words), THREADS))
        if given.llama:
            words = [given.llama, str(Path(__file__).with_name("language_llama.py"))]
            words += ["--prompts", str(prompts), "--new", str(given.new)]
            words += ["--every", str(given.every)]
            these.append(Side("llama", tuple(words), THREADS))
        samples = run(
            these, given.rounds, seed=given.seed, warmups=0, timeout=given.timeout,
            say=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip
    names = [side.name for side in these]
    found = ratios(samples, names)
    settings = {key: getattr(given, key) for key in ("count", "new", "rounds", "every", "seed")}
    body = described(
        these, samples, found, settings=settings, prompts=lengths, calibration=tried,
        claims={name: CLAIMS[name] for name in found}, tokens_a_second=speeds(samples, names),
    )  # fmt: skip
    body["answers"] = {name: line(name, each, CLAIMS[name]) for name, each in found.items()}
    print({name: round(each, 1) for name, each in body["tokens_a_second"].items()})
    print(*body["answers"].values(), sep="\n")
    print(save("language_throughput", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

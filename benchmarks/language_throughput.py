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
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.language_prompts import write
from benchmarks.pairs import Side, compare, described, line, run, values
from benchmarks.process import measure, thread_settings
from benchmarks.record import RESULTS, save
from foundation.precision import fastest

CLAIMS = {"pipeline": 5.0, "generate_batch": 1.3, "static": 1.0, "llama": 2.0}
TRIED: dict[str, tuple[tuple[str, int], ...]] = {
    "ours": (("auto", 64), ("auto", 32)),
    "pipeline": (("bfloat16", 1), ("float32", 1)),
    "generate_batch": (("auto", 1024), ("auto", 256)),
    "static": (("auto", 16), ("auto", 64)),
}
"""Dtypes and batches; auto is the dtype in which this machine multiplies matrices fastest."""
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


def calibrate(
    side: str, words: Callable[[str, int], list[str]], given: argparse.Namespace
) -> dict[str, Any]:
    """A token's cost to a side at each dtype and batch; the best. The first, if not measured."""
    found = []
    for named, batch in TRIED[side]:
        dtype = fastest() if named == "auto" and side != "ours" else named
        if not given.calibrate:
            return {"best": {"dtype": dtype, "batch": batch}, "tried": []}
        used = measure(words(dtype, batch), thread_settings(given.threads), timeout=given.timeout)
        found.append({"dtype": dtype, "batch": batch, given.measure: used.report[given.measure]})
        print(side, found[-1], file=sys.stderr)
    return {"best": min(found, key=lambda each: each[given.measure]), "tried": found}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=64, help="prompts")
    parser.add_argument("--new", type=int, default=128, help="new tokens of a prompt at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--calibrate", action=argparse.BooleanOptionalAction, default=True,
        help="look for each side's best dtype and batch first; else the first of TRIED",
    )  # fmt: skip
    parser.add_argument("--every", type=int, default=16, help="prompts of sides without batches")
    parser.add_argument("--part", type=int, default=1, help="the same for the other two")
    parser.add_argument("--llama", help="the Python of an environment with llama-cpp-python")
    parser.add_argument("--sides", nargs="+", choices=tuple(TRIED), default=tuple(TRIED))
    parser.add_argument("--seed", type=int, default=0, help="of the order within rounds")
    parser.add_argument("--timeout", type=float, default=3600.0, help="seconds for one run")
    parser.add_argument(
        "--measure", default="seconds_each", choices=("seconds_each", "cpu_each"),
        help="wall time, or processor time for a machine that does other work, too",
    )  # fmt: skip
    parser.add_argument("--threads", type=int, help="of every side; needed for cpu_each")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if "ours" not in given.sides or len(given.sides) + bool(given.llama) < 2:
        parser.error("ours and one other side at least")
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.json"
        lengths = write(prompts, given.count)
        threads = thread_settings(given.threads)
        tried, these = {}, []
        for name in given.sides:
            every = 1 if name == "ours" else given.every if name in ALONE else given.part
            small = partial(command, name, prompts, given.new // 4, every=max(2, every))
            tried[name] = calibrate(name, small, given)
            best = tried[name]["best"]
            words = command(name, prompts, given.new, best["dtype"], best["batch"], every)
            these.append(Side(name, tuple(words), threads))
        if given.llama:
            words = [given.llama, str(Path(__file__).with_name("language_llama.py"))]
            words += ["--prompts", str(prompts), "--new", str(given.new)]
            words += ["--every", str(given.every)]
            these.append(Side("llama", tuple(words), threads))
        samples = run(
            these, given.rounds, seed=given.seed, warmups=0, timeout=given.timeout,
            say=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip
    names = [side.name for side in these]
    found = {
        name: compare(samples, name, "ours", given.measure) for name in names if name != "ours"
    }
    speeds = {name: 1 / median(values(samples, name, given.measure)) for name in names}
    asked = ("count", "new", "rounds", "every", "part", "seed", "measure", "threads")
    settings = {key: getattr(given, key) for key in asked}
    body = described(
        these, samples, found, settings=settings, prompts=lengths, calibration=tried,
        claims={name: CLAIMS[name] for name in found}, tokens_a_second=speeds,
        load_seconds=median(values(samples, "ours", "load_seconds")),
    )  # fmt: skip
    body["answers"] = {name: line(name, each, CLAIMS[name]) for name, each in found.items()}
    print({name: round(each, 1) for name, each in body["tokens_a_second"].items()})
    print(*body["answers"].values(), sep="\n")
    print(save("language_throughput", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Is a written row the same alone, in any batch, in any order, and after kill -9 and resume?

    python -m benchmarks.row_equality

64 prompts of 20 to 400 tokens are gone on with, sampled as the default has it, seed 0: one at a
time, in batches of several sizes, and, greedy, in another order (sampled, a row's number is part of
its seed); and by the command line, killed with SIGKILL and gone on with until it ends. For float32
and bfloat16: the share of rows that are equal, text and number of tokens, to the same row alone.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.kill_resume import kill, start
from benchmarks.language_prompts import write
from benchmarks.record import RESULTS, save

MODEL = "language/smollm2-135m"
SIZES = (2, 7, 16, 64)


def rows(model: Any, texts: Sequence[str], new: int, batch: int, temperature: float) -> list[Any]:
    """Each text's answer and number of tokens, in the order of the texts."""
    results = model.generate(
        prompts=list(texts), max_tokens=new, chat=False, temperature=temperature, batch=batch
    )
    found = sorted(results, key=lambda row: row.id)
    return [(row.output, int(row.usage["tokens"])) for row in found]


def share(some: Sequence[Any], others: Sequence[Any]) -> float:
    return sum(a == b for a, b in zip(some, others, strict=True)) / len(others)


def resumed(path: Path, dtype: str, new: int, root: Path, kills: int, seed: int) -> dict[str, Any]:
    """The rows of a run that was killed and gone on with, and how often it was killed."""
    import pyarrow.parquet as pq

    words = [f"model={MODEL}", "task=generate", f"task.input={path}", "task.chat=false"]
    words += [
        f"task.max_tokens={new}",
        "task.batch=16",
        "placement=cpu",
        f"placement.dtype={dtype}",
    ]
    began = time.monotonic()
    if start(root / f"whole-{dtype}", [*words, "seed=0"], "whole").wait():
        raise RuntimeError((root / f"whole-{dtype}.log").read_text()[-2000:])
    whole = time.monotonic() - began
    chance, folder, done = random.Random(seed), root / f"killed-{dtype}", 0
    while True:
        moment = chance.uniform(0.3, 0.9) * whole if done < kills else 1e5
        if kill(folder, [*words, "seed=0"], moment) is None:
            break
        done += 1
    table = pq.read_table(folder / "results.parquet", columns=["id", "output", "tokens"])
    found = sorted(table.to_pylist(), key=lambda row: row["id"])
    return {"kills": done, "rows": [(row["output"], row["tokens"]) for row in found]}


def measured(dtype: str, given: argparse.Namespace, texts: Sequence[str]) -> dict[str, Any]:
    """Shares of equal rows by circumstance."""
    import foundation as fm

    model = fm.load(MODEL, placement={"name": "cpu", "dtype": dtype})
    default = 0.7
    alone = rows(model, texts, given.new, 1, default)
    found: dict[str, Any] = {}
    for size in SIZES:
        found[f"batch of {size}"] = share(rows(model, texts, given.new, size, default), alone)
        print(dtype, size, found, file=sys.stderr)
    greedy = rows(model, texts, given.new, 1, 0.0)
    order = random.Random(given.seed).sample(range(len(texts)), len(texts))
    shuffled = rows(model, [texts[place] for place in order], given.new, 16, 0.0)
    found["greedy, shuffled, batch of 16"] = share(shuffled, [greedy[place] for place in order])
    model.close()
    if not given.kills:
        return found
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "prompts.jsonl"
        lines = (json.dumps({"prompt": text}) + "\n" for text in texts)
        path.write_text("".join(lines), encoding="utf-8")
        again = resumed(path, dtype, given.new, Path(name), given.kills, given.seed)
    found[f"after {again['kills']} kills and resumes"] = share(again["rows"], alone)
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=64, help="prompts")
    parser.add_argument("--new", type=int, default=64, help="new tokens of a prompt at most")
    parser.add_argument("--kills", type=int, default=3, help="0 leaves the command line out")
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--seed", type=int, default=0, help="of the order and of the kills")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "prompts.json"
        lengths = write(path, given.count)
        texts = json.loads(path.read_text(encoding="utf-8"))["texts"]
    shares = {dtype: measured(dtype, given, texts) for dtype in given.dtypes}
    settings = {key: getattr(given, key) for key in ("count", "new", "kills", "seed")}
    for dtype, found in shares.items():
        for what, each in found.items():
            print(f"{dtype}, {what}: {each:.1%} of rows equal to themselves alone")
    print(
        save("row_equality", {"settings": settings, "prompts": lengths, "equal": shares}, given.out)
    )
    return 0 if all(each == 1.0 for each in shares.get("float32", {}).values()) else 1


if __name__ == "__main__":
    raise SystemExit(main())

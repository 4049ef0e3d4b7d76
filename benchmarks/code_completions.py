"""Do completions end where the syntax does, leak no special token, and repeat no suffix?

    python -m benchmarks.code_completions humaneval --run RUN --name humaneval_smollm2_greedy
    python -m benchmarks.code_completions suffixes --data DATA --limit 100

`humaneval` reads the folder of `foundation model=code/smollm2-135m task=evaluate suite=humaneval`.
`suffixes` has the model go on before a line that HumanEval-SingleLineInfilling has already, and
looks whether the completion repeats the line behind the hole; beside it the share of completions
that would have, had nothing stopped them.

Ends are judged by the standard library's tokenizer alone: a completion ends at a boundary where the
code up to its end has no open bracket or string and does not ask for a block. One was reached where
some whole line of the completion does so.
"""

import argparse
import gzip
import io
import json
import re
import tokenize
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import save
from foundation import hub, registry
from foundation.hub.gguf import dequantised
from foundation.intervals import share

MODEL = "code/smollm2-135m"
Row = Mapping[str, Any]


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    suite = kinds.add_parser("humaneval")
    suite.add_argument("--run", type=Path, required=True)
    suite.add_argument("--name", required=True)
    suite.add_argument("--cpu-seconds", type=float, help="what /proc said of the run's process")
    suite.add_argument("--note", help="what else ran beside it")
    suffixes = kinds.add_parser("suffixes")
    suffixes.add_argument("--data", type=Path, required=True)
    suffixes.add_argument("--limit", type=int, default=100)
    chosen = parser.parse_args(words)
    if chosen.kind == "humaneval":
        beside = {"cpu_seconds": chosen.cpu_seconds, "note": chosen.note}
        print(save(chosen.name, {**of_run(chosen.run), **beside}))
    else:
        print(save("code_suffixes", of_suffixes(chosen.data, chosen.limit)))


def of_run(folder: Path) -> dict[str, Any]:
    """What a suite's record and its completions tell."""
    import pyarrow.parquet as parquet

    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    written = json.loads((folder / "completions" / "record.json").read_text(encoding="utf-8"))
    rows = parquet.read_table(folder / "completions" / "results.parquet").to_pylist()
    lines = (folder / "verdicts.jsonl").read_text(encoding="utf-8").splitlines()
    verdicts = [json.loads(line) for line in lines]
    suite = {name: value for name, value in record["config"]["suite"].items() if name != "sources"}
    return {
        "command": f"foundation model={MODEL} task=evaluate suite=humaneval"
        + (f" suite.samples={suite['samples']}" if suite["samples"] > 1 else ""),
        "suite": suite,
        "dtype": written["identity"]["dtype"],
        "run_seconds": record["seconds"],
        "run_machine": record["machine"],
        "tokens_written": written["usage"]["tokens"],
        "metrics": record["metrics"],
        "passed": sorted({line["task"] for line in verdicts if line["passed"]}),
        **measured(rows),
    }


def of_suffixes(data: Path, limit: int) -> dict[str, Any]:
    """Completions before lines that are there already."""
    import foundation as fm

    path = data / "code/humaneval_infilling/HumanEval-SingleLineInfilling.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        problems = [json.loads(line) for line in lines]
    every = max(1, len(problems) // limit)
    hole = "<|hole|>"
    prompts = [problem["prompt"] + hole + problem["suffix"] for problem in problems[::every]]
    model = fm.load(MODEL)
    results = model.complete(prompts=prompts[:limit], hole=hole, max_tokens=64)
    rows = results.table().to_pylist()
    return {
        "command": f"python -m benchmarks.code_completions suffixes --limit {limit}",
        "would_repeat": share([float(row["ended"] == "suffix") for row in rows]),
        "repeats": share([float(repeats(row)) for row in rows if row["suffix"].strip()]),
        **measured(rows),
    }


def measured(rows: Sequence[Row]) -> dict[str, Any]:
    """Shares of the completions, each with its interval."""
    reached = [row for row in rows if any_boundary(row)]
    marks = special_tokens()
    leaks = [float(any(mark in row["output"] for mark in marks)) for row in rows]
    why: dict[str, int] = {}
    for row in rows:
        why[row["ended"]] = why.get(row["ended"], 0) + 1
    return {
        "completions": len(rows),
        "ended": why,
        "ends_at_boundary_where_reached": share(
            [float(boundary(row["prefix"] + row["output"])) for row in reached]
        ),
        "leaked_special_tokens": share(leaks),
    }


def boundary(code: str) -> bool:
    """Whether code ends with a whole logical line that asks for no block."""
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.ERRORTOKEN and token.string[:1] in "'\"":
                return False
            quiet = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER,
                     tokenize.INDENT, tokenize.DEDENT)  # fmt: skip
            if token.type not in quiet:
                last = token.string
    except IndentationError:
        return True
    except (tokenize.TokenError, SyntaxError):
        return False
    return last != ":"


def any_boundary(row: Row) -> bool:
    """Whether the completion has a whole line that ends at a boundary."""
    output = row["output"] or ""
    ends = [match.end() for match in re.finditer("\n", output) if output[: match.end()].strip()]
    return any(boundary(row["prefix"] + output[:end]) for end in [*ends, len(output)])


def repeats(row: Row) -> bool:
    """Whether the first line of code behind the hole stands in the completion as a line."""
    first = next(line for line in row["suffix"].splitlines() if line.strip())
    return len(re.findall(r"\w", first)) > 3 and first in (row["output"] or "").splitlines()


def special_tokens() -> list[str]:
    """How the tokenizer spells its special tokens."""
    spec = registry.spec(MODEL)
    folder = dequantised(hub.resolve(spec.source, sha256=spec.sha256).path)
    added = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["added_tokens"]
    return [token["content"] for token in added if token["special"]]


if __name__ == "__main__":
    main()

"""Do completions end where the syntax does, leak no special token, and repeat no suffix?

    python -m benchmarks.code_completions humaneval --run RUN --name humaneval_smollm2_greedy
    python -m benchmarks.code_completions suffixes --data DATA --limit 100

`humaneval` reads the folder of `foundation model=code/smollm2-135m task=evaluate suite=humaneval`.
`suffixes` has the model go on before a line that HumanEval-SingleLineInfilling has already, and
looks whether the completion repeats the line behind the hole; beside it the share of completions
that would have, had nothing stopped them.

Ends are judged by the standard library's tokenizer alone: a completion ends at a boundary where the
code up to its end is whole lines with no open bracket or string, and where the block that they ask
for, if they do, is what follows the hole. A line that Python refuses for itself (a string that it
does not close, a bracket that was never opened) ends with itself; how many completions have one is
told. A boundary was reached where some line of the completion ends at one that asks for no block.
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
SPACE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)
MARGIN = (tokenize.INDENT, tokenize.DEDENT)
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
    usual = {"samples": 1, "temperature": None}
    given = [f" suite.{key}={suite[key]}" for key in usual if suite[key] != usual[key]]
    return {
        "command": f"foundation model={MODEL} task=evaluate suite=humaneval" + "".join(given),
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
    """Shares of the completions, each with its interval; those that end elsewhere, to be read."""
    reached = [row for row in rows if any_boundary(row)]
    ends = [at_boundary(row) for row in reached]
    marks = special_tokens()
    leaks = [float(any(mark in row["output"] for mark in marks)) for row in rows]
    why: dict[str, int] = {}
    for row in rows:
        why[row["ended"]] = why.get(row["ended"], 0) + 1
    return {
        "completions": len(rows),
        "ended": why,
        "ends_at_boundary_where_reached": share([float(end) for end in ends]),
        "ends_elsewhere": [
            {"id": row["id"], "ended": row["ended"], "last": row["output"][-120:]}
            for row, end in zip(reached, ends, strict=True)
            if not end
        ],
        "reached_with_a_line_that_python_refuses": sum(
            readable(row["prefix"] + row["output"]) != row["prefix"] + row["output"]
            for row in reached
        ),
        "leaked_special_tokens": share(leaks),
    }


def at_boundary(row: Row) -> bool:
    """Whether a completion ends at a boundary of the code that it is put into."""
    code, suffix = row["prefix"] + row["output"], row["suffix"] or ""
    finished = row["ended"] == "end" or suffix.startswith("\n")
    return (finished or _lines_are_whole(code)) and boundary(code, suffix)


def any_boundary(row: Row) -> bool:
    """Whether a line of the completion ends at a boundary, whatever follows the hole."""
    output = row["output"] or ""
    ends = [match.end() for match in re.finditer("\n", output) if output[: match.end()].strip()]
    if row["ended"] == "end":
        ends.append(len(output))
    return any(boundary(row["prefix"] + output[:end]) for end in ends)


def boundary(code: str, after: str = "") -> bool:
    """Whether code ends with a logical line that asks for no block, or for that of `after`."""
    code = readable(code)
    last = ""
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type not in (*SPACE, *MARGIN):
                last = token.string
    except (tokenize.TokenError, SyntaxError):
        return False
    return last != ":" or _begins_block(code, after)


def readable(code: str) -> str:
    """The code with a stand-in for each line that Python refuses for itself."""
    lines = code.split("\n")
    while (row := _refused("\n".join(lines))) is not None:
        line = lines[row]
        margin = line[: len(line) - len(line.lstrip())]
        lines[row] = margin + ("if 1:" if line.rstrip().endswith(":") else "0")
    return "\n".join(lines)


def _refused(code: str) -> int | None:
    """The number of the first line with a string left open or a bracket that was never opened."""
    depth = 0
    try:
        for token in tokenize.generate_tokens(io.StringIO(code).readline):
            if token.type == tokenize.ERRORTOKEN and token.string[:1] in ("'", '"'):
                return token.start[0] - 1
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
            if depth < 0:
                return token.start[0] - 1
    except tokenize.TokenError as error:  # from Python 3.12 on it tells of them itself
        reason, (row, _) = error.args
        return row - 1 if re.match("unterminated string|unmatched|closing paren", reason) else None
    except SyntaxError:
        pass
    return None


def _begins_block(code: str, after: str) -> bool:
    """Whether the first code of `after` stands deeper than the last line of `code`."""
    row = code.count("\n") + (not _lines_are_whole(code))
    try:
        for token in tokenize.generate_tokens(io.StringIO(code + after).readline):
            if token.start[0] > row and token.type not in SPACE:
                return token.type == tokenize.INDENT
    except (tokenize.TokenError, SyntaxError):
        pass
    return False


def _lines_are_whole(code: str) -> bool:
    """Whether nothing but a margin stands behind the last newline."""
    return not code.rpartition("\n")[2].strip()


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

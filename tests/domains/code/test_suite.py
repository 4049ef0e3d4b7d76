"""The suites: estimators by hand, and a run from problems to a record, on a tiny model."""

import gzip
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from foundation.adapter import Placement
from foundation.domains.code import suite
from foundation.domains.code.metrics import pass_at
from foundation.errors import InputError, SourceError
from foundation.intervals import share, wilson
from foundation.model import Model
from foundation.spec import ModelSpec

confined = pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap")
PROBLEM = {
    "task_id": "T/0",
    "entry_point": "double",
    "prompt": 'def one():\n    return 1\n\n\ndef double(x):\n    """Twice x."""\n',
    "canonical_solution": "    return x + x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert one() == 1\n",
}


@given(st.integers(1, 9), st.data())
def test_pass_at_k_is_the_share_of_all_draws(written: int, data: st.DataObject) -> None:
    passed, k = data.draw(st.integers(0, written)), data.draw(st.integers(1, written))
    draws = list(itertools.combinations(range(written), k))
    right = sum(any(sample < passed for sample in draw) for draw in draws)
    assert pass_at(k, written, passed) == pytest.approx(right / len(draws))


def test_wilsons_interval() -> None:
    for passed, count in ((7, 164), (0, 10), (10, 10), (80, 164)):
        wanted = binomtest(passed, count).proportion_ci(0.95, method="wilson")
        assert wilson(passed / count, count) == pytest.approx(tuple(wanted), abs=1e-6)
    assert wilson(0.0, 10)[0] == 0.0
    assert wilson(1.0, 10)[1] == pytest.approx(1.0)
    assert share([1.0, 0.0, 0.5])["sum"] == 1.5


def measure(
    folder: Path, tiny: Path, problems: list[Mapping[str, str]], **more: Any
) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    path = folder / "problems.jsonl.gz"
    with gzip.open(path, "wt") as lines:
        lines.writelines(json.dumps(problem) + "\n" for problem in problems)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    spec = ModelSpec(
        name="code/tiny",
        domain="code",
        adapter="foundation.domains.code.adapter:CausalCode",
        source=f"path:{tiny}",
        tasks=("complete", "infill"),
    )
    usual = {"samples": 1, "ks": [1, 2], "temperature": None, "top_p": 0.95, "max_tokens": 8,
             "stop": [], "sandbox": "bubblewrap", "limit": None,
             "sources": {"part": {"address": f"path:{path}", "sha256": digest}}}  # fmt: skip
    kind = suite.infill if more.pop("infill", False) else suite.complete
    model = Model(spec, Placement("cpu", "float32"))
    return kind(model, {**usual, **more}, folder / "run", 0, lambda done, **_: None)


@confined
def test_a_suite_from_problems_to_figures(tmp_path: Path, tiny_code: Callable[..., Path]) -> None:
    problems = [{**PROBLEM, "task_id": f"T/{n}"} for n in range(3)]
    found = measure(tmp_path, tiny_code(), problems, samples=3, limit=2)
    assert set(found) == {"pass@1", "pass@2", "best of 3", "parses"}
    assert (found["pass@1"]["mean"], found["pass@1"]["of"]) == (0.0, 2)
    verdicts = (tmp_path / "run/verdicts.jsonl").read_text().splitlines()
    lines = [json.loads(line) for line in verdicts]
    assert sum(line["times"] for line in lines) == 6
    assert all(line["reason"] for line in lines)


@confined
def test_right_answers_pass_and_wrong_ones_do_not() -> None:
    row = {"prefix": PROBLEM["prompt"].rstrip(), "suffix": None, "reason": None}
    row |= {"samples": ["\n    return 2 * x\n", "\n    return x\n"], "times": [3, 1]}
    first, second = suite._judged(PROBLEM, row, "bubblewrap")
    assert (first["passed"], first["times"]) == (True, 3)
    assert not second["passed"]
    figures = suite._figures([[first, second]], [{"parses": True}], {"ks": [1, 4, 5], "samples": 4})
    assert figures["pass@1"]["mean"] == 0.75
    assert figures["pass@4"]["mean"] == 1.0
    assert figures["best of 4"]["mean"] == 1.0
    assert "pass@5" not in figures


@confined
def test_a_filling_is_judged_with_what_stands_around_it(
    tmp_path: Path, tiny_code: Callable[..., Path]
) -> None:
    solution = PROBLEM["prompt"] + PROBLEM["canonical_solution"]
    before, missing, behind = solution.partition("return x + x")
    problem = {**PROBLEM, "prompt": before, "canonical_solution": missing, "suffix": behind}
    row = {"prefix": before, "suffix": behind, "samples": ["return x * 2"], "times": [1]}
    assert suite._judged(problem, row, "bubblewrap")[0]["passed"]
    markers = ("<fim_prefix>", "<fim_suffix>", "<fim_middle>")
    found = measure(tmp_path, tiny_code(*markers), [problem], infill=True)
    assert set(found) == {"part pass@1", "part parses"}
    with pytest.raises(InputError, match="cannot infill"):
        measure(tmp_path / "other", tiny_code("<other>"), [problem], infill=True)


def test_a_sandbox_that_is_not_there_is_said_before_the_work(
    tmp_path: Path, tiny_code: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="needs bubblewrap: apt-get install bubblewrap"):
        measure(tmp_path, tiny_code(), [PROBLEM])
    assert not (tmp_path / "run").exists()


def test_problems_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"no gzip")
    with pytest.raises(SourceError, match="holds no problems"):
        suite._problems({"sources": {"part": f"path:{path}"}, "limit": None})

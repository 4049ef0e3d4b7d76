"""task=tune on holes: rows with a suffix, and whole files in which holes are cut at random."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.adapter import Start
from foundation.cli import main
from foundation.domains.code import tuning
from foundation.domains.code.adapter import CausalCode
from foundation.domains.code.completing import asked
from foundation.domains.code.inputs import Infill
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.spec import ModelSpec
from foundation.tuning.causal import IGNORED, CausalTraining

MARKERS = ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>")
HOLE = {"text": "def f(x):\n    ", "completion": "y = x + 1\n", "suffix": "    return y\n"}
below_one = st.floats(0, 1, exclude_max=True, width=32)


@pytest.fixture(scope="module")
def training(tiny_code: Callable[..., Path]) -> CausalTraining:
    start = Start(ModelSpec("code/tiny", "code", "", ""), tiny_code(*MARKERS), "full", [HOLE])
    begun = tuning.begin(start)
    assert isinstance(begun, CausalTraining)
    return begun


def read(tmp_path: Path, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    data = tmp_path / "rows.jsonl"
    data.write_text("\n".join(map(json.dumps, rows)))
    return list(tuning.read(data, {}))


@given(st.text("ab \n\t\u00e9", min_size=1), st.tuples(below_one, below_one, below_one))
def test_a_file_is_its_parts(text: str, numbers: tuple[float, ...]) -> None:
    row = tuning.holed({"text": text, "completion": None, "path": None}, numbers)
    assert row["text"] + (row["completion"] or "") + (row.get("suffix") or "") == text
    assert bool(row["completion"]) == bool(text.strip())


def test_a_hole_in_a_row_with_a_completion_is_the_row_s_own() -> None:
    assert tuning.holed(HOLE, (0.1, 0.2, 0.3)) is HOLE


def test_a_row_with_a_suffix_is_learnt_as_it_is_asked(
    training: CausalTraining, code_model: CausalCode, tmp_path: Path
) -> None:
    (row,) = read(tmp_path, HOLE)
    batch = training.collate([row], Draws(0, [0]), 0.0)
    request = Infill(prompt=HOLE["text"], suffix=HOLE["suffix"])
    prompt, _ = asked(code_model.script, code_model.infilling, request)
    middle = [*training.script.words("y = x + 1\n"), training.script.end]
    assert batch["tokens"][0].tolist() == [*prompt, *middle]
    assert batch["targets"][0].tolist() == [IGNORED] * len(prompt) + middle


def test_what_is_near_the_hole_is_kept_of_a_long_row(training: CausalTraining) -> None:
    row = {"text": "a" * 999 + "b", "completion": "m" * 10, "suffix": "c" + "d" * 999}
    tokens = training.collate([row], Draws(0, [0]), 0.0)["tokens"][0].tolist()
    assert len(tokens) == training.length
    start, behind, middle = (training.script.vocabulary[name] for name in MARKERS)
    assert tokens[0] == start
    assert training.script.text(tokens[: tokens.index(behind)]).endswith("aab")
    assert training.script.text(tokens[tokens.index(behind) : tokens.index(middle)])[:2] == "cd"


def test_holes_of_whole_files_are_drawn_by_the_step_and_all_is_learnt(
    training: CausalTraining,
) -> None:
    rows = [{"text": "".join(f"x{n} = {n}\n" for n in range(9)), "completion": None}] * 8
    batch, again, later = (
        training.collate(rows, Draws(0, range(first, first + 8)), 0.5) for first in (0, 0, 8)
    )
    assert batch["tokens"].equal(again["tokens"])
    assert later["tokens"].tolist() != batch["tokens"].tolist()
    middle = training.script.vocabulary["<|fim_middle|>"]
    cut = (batch["tokens"] == middle).any(1)
    assert 0 < int(cut.sum()) < len(rows)
    for tokens, targets in zip(batch["tokens"], batch["targets"], strict=True):
        length = tokens.tolist().index(training.script.end) + 1
        assert targets[1:length].tolist() == tokens[1:length].tolist()
    measured = training.collate(rows, Draws(0, range(8)), 0.0)["tokens"]
    assert not (measured == middle).any()


def test_a_model_learns_holes_and_keeps_its_markers(
    tiny_code: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    read(tmp_path, *({**HOLE, "text": f"def f{n}(x):\n    "} for n in range(8)))
    words = [
        "model=code/qwen2.5-coder-0.5b", f"model.path={tiny_code(*MARKERS)}", "task=tune",
        "task.method=full", "task.data=rows.jsonl", "recipe.steps=12", "recipe.rate=0.01",
        "recipe.log=4", "task.validation=0", "recipe.precision=float32", "hydra.run.dir=out",
    ]  # fmt: skip
    assert main(words) == 0
    losses = pq.read_table("out/curve.parquet")["loss"].to_pylist()
    assert losses[-1] < losses[0]
    ask = [
        "model=code/qwen2.5-coder-0.5b",
        "model.path=out/model",
        "task=infill",
        "task.max_tokens=4",
    ]
    assert main([*ask, 'task.prompts=["x =<FILL_ME>y = x"]', "hydra.run.dir=asked"]) == 0


def test_a_model_without_markers_is_refused(tiny_code: Callable[..., Path]) -> None:
    start = Start(ModelSpec("code/plain", "code", "", ""), tiny_code(), "full", [HOLE])
    with pytest.raises(InputError, match=r"code/plain cannot be tuned on a suffix .'return y'."):
        tuning.begin(start)
    plain = [{"text": "x = 1\n" * 9, "completion": None}]
    begun = tuning.begin(Start(start.spec, start.folder, "full", plain))
    with pytest.raises(InputError, match=r"leave out the column suffix and recipe\.augment"):
        begun.collate(plain, Draws(0, [0]), 1.0)


def test_a_suffix_needs_what_stands_before_it(tmp_path: Path) -> None:
    rows = read(tmp_path, HOLE, {"text": "x = 1\n", "suffix": "y = 2\n"})
    assert [row["error"] for row in rows] == [None, "record 2: no completion"]

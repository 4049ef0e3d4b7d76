"""task=tune on code: completions, and source files as they stand."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from foundation.cli import main
from foundation.domains.code import tuning


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["completions", "files"])
def test_code_is_learnt_and_completed(tiny_code: Any, kind: str) -> None:
    tiny_folder = tiny_code()
    if kind == "completions":
        rows = [{"prefix": f"def f{n}():\n", "completion": f"    return {n}\n"} for n in range(10)]
        data = Path("rows.jsonl")
        data.write_text("\n".join(map(json.dumps, rows)))
    else:
        data = Path("package")
        data.mkdir()
        for n in range(6):
            (data / f"m{n}.py").write_text(f"def f{n}():\n    return {n}\n")
        (data / "empty.py").write_text("")
    words = ["model=code/smollm2-135m", f"model.path={tiny_folder}"]
    tuned = [
        *words, "task=tune", "task.method=lora", f"task.data={data}", "recipe.steps=30",
        "recipe.rate=0.02", "recipe.log=10", "task.validation=0", "recipe.precision=float32",
        "hydra.run.dir=out",
    ]  # fmt: skip
    assert main(tuned) == 0
    losses = pq.read_table("out/curve.parquet")["loss"].to_pylist()
    assert losses[-1] < losses[0]
    base = ["model=code/smollm2-135m", f"model.source=path:{tiny_folder}", "model.sha256=null"]
    ask = [*base, "model.path=out/model", "task=complete", 'task.prompts=["def f3():"]']
    assert main([*ask, "task.max_tokens=4", "hydra.run.dir=asked"]) == 0


def test_rows_of_one_file_are_one_group_and_near_copies_are_found() -> None:
    one = {"text": "def area(r):\n    ", "completion": "return 3.14159 * r ** 2\n", "path": None}
    other = {**one, "text": "def area(r):\n\n    "}
    assert tuning.group({**one, "path": "a.py"}) == tuning.group({**other, "path": "a.py"})
    same, near = tuning.LIKENESSES
    assert same.look(one) == same.look(other)
    assert near.alike(near.look(one), near.look(other)) >= near.least


def test_where_sources_lie_does_not_change_how_they_are_grouped() -> None:
    for place in (Path("here"), Path("there/deeper")):
        (place / "part").mkdir(parents=True)
        for name in ("one.py", "part/one.py"):
            (place / name).write_text("x = 1\n")
    here, there = (
        [tuning.group(row) for row in tuning.read(place, {})]
        for place in (Path("here"), Path("there/deeper"))
    )
    assert here == there == ["one.py", "part/one.py"]
    assert [tuning.group(row) for row in tuning.read(Path("here/one.py"), {})] == ["one.py"]

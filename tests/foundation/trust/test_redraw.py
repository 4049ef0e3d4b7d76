"""Rows of a run come out again, and a run that claims another seed is found out."""

import json
from pathlib import Path

import pytest

from foundation.cli import main
from foundation.trust.redraw import redraw


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "run"
    words = ["task.count=40", "placement.dtype=float32", "seed=3", f"hydra.run.dir={folder}"]
    assert main(words) == 0
    return folder


def test_rows_of_a_run_come_out_again(made, capsys) -> None:
    assert main(["task=verify", f"task.input={made}", "task.redraw=10"]) == 0
    assert capsys.readouterr().out.strip().endswith("10 of 10 rows made again are the same")


def test_a_file_is_asked_after_its_run(made, tmp_path, capsys) -> None:
    assert main(["task=verify", f"task.input={made / 'molecules.sdf'}", "task.redraw=10"]) == 0
    assert capsys.readouterr().out.strip().endswith("10 of 10 rows made again are the same")
    away = tmp_path / "away.sdf"
    away.write_bytes((made / "molecules.sdf").read_bytes())
    assert main(["task=verify", f"task.input={away}", "task.redraw=10"]) == 2
    assert "holds no request by itself: give task.record" in capsys.readouterr().err


def test_what_was_typed_otherwise_gives_other_rows(made) -> None:
    path = made / "overrides.json"
    path.write_text(json.dumps([word.replace("seed=3", "seed=4") for word in read(path)]))
    found = redraw(made, 10)
    assert (found.rows, len(found.other)) == (10, 10)


@pytest.mark.parametrize("count", ["0", "some", "-1"])
def test_a_number_that_is_none_is_refused(made, count, capsys) -> None:
    table = made / "results.parquet"
    assert main(["task=verify", f"task.input={table}", f"task.redraw={count}"]) == 2
    assert "task.redraw must be" in capsys.readouterr().err


def read(path: Path) -> list[str]:
    words: list[str] = json.loads(path.read_text())
    return words

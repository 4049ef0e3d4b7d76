"""task=tune on molecules: a head tells labels and values, full training goes on writing."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from foundation.cli import main

SMILES = ["CCO", "CCCO", "CCCCO", "CCN", "CCCN", "CCCCN", "c1ccccc1", "Cc1ccccc1", "CCc1ccccc1",
          "C1CCCCC1", "CC1CCCCC1", "c1ccncc1", "Cc1ccncc1", "OCCO", "NCCN", "CC(C)O"]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def tune(folder: Path, method: str, *more: str) -> int:
    return main([
        f"model.path={folder}", "task=tune", f"task.method={method}", "task.data=rows.csv",
        "recipe.precision=float32", "hydra.run.dir=out", "task.leakage=1", *more,
    ])  # fmt: skip


def asked(task: str) -> list[dict]:
    words = ["model.path=out/model", f"task={task}", 'task.smiles=["CCCCCO", "no", "Cc1ccccc1C"]']
    assert main([*words, "placement.dtype=float32", "hydra.run.dir=asked"]) == 0
    return pq.read_table("asked/results.parquet").to_pylist()


@pytest.mark.parametrize("method", ["head", "full"])
def test_a_tuned_head_tells_a_value_and_refuses_what_is_no_molecule(
    starter_folder, method, capsys
) -> None:
    rows = [f"{smiles},{len(smiles)}" for smiles in SMILES]
    rows.insert(6, "not a molecule,3")
    rows.insert(9, "CCO,nan")
    Path("rows.csv").write_text("smiles,value\n" + "\n".join(rows) + "\n")
    assert tune(starter_folder, method, "recipe.steps=150", "recipe.rate=0.02") == 0
    assert "2 rows refused" in capsys.readouterr().out
    refused = Path("out/refused.csv").read_text()
    assert "record 7: RDKit cannot read 'not a molecule'" in refused
    assert "record 10: the value is nan" in refused
    found = asked("predict")
    assert [row["valid"] for row in found] == [True, False, True]
    assert 3 < found[0]["value"] < 12
    assert found[2]["value"] > found[0]["value"]


def test_a_tuned_head_tells_labels(starter_folder) -> None:
    rows = [f"{s},{'ring' if '1' in s else 'chain'}" for s in SMILES]
    Path("rows.csv").write_text("smiles,label\n" + "\n".join(rows) + "\n")
    assert tune(starter_folder, "head", "recipe.steps=150", "task.validation=0") == 0
    found = asked("classify")
    assert [row["output"] for row in found if row["valid"]] == ["chain", "ring"]
    assert json.loads(Path("out/model/tuned.json").read_text())["labels"] == ["chain", "ring"]


@pytest.mark.parametrize("method", ["full", "pretrain"])
def test_unlabelled_molecules_are_learnt_to_be_written(starter_folder, method) -> None:
    Path("rows.csv").write_text("smiles\n" + "\n".join(SMILES) + "\n")
    more = ["recipe.steps=30", "recipe.rate=0.01", "recipe.log=10", "task.validation=0"]
    if method == "pretrain":
        more.append("recipe.shape={vocabulary: 90, width: 16, layers: 1}")
    assert tune(starter_folder, method, *more) == 0
    losses = pq.read_table("out/curve.parquet")["loss"].to_pylist()
    assert losses[-1] < losses[0]
    words = ["model.path=out/model", "task.count=8", "hydra.run.dir=made"]
    assert main(words) == 0


@pytest.mark.parametrize(
    ("method", "rows", "told"),
    [
        ("lora", "smiles,value\nCCO,1\nCC,2\n", "task.method"),
        ("head", "smiles\nCCO\nCC\n", "needs a column label or value"),
        ("head", "smiles,value\nCCO,1\nCC,1\nCCC,1\n", "only the value 1"),
        ("head", "smiles,label\nCCO,a\nCC,a\nCCC,a\n", "only the label 'a'"),
        ("head", "smiles,value\nx,1\ny,2\n", "record 1: RDKit cannot read 'x'"),
    ],
)
def test_what_cannot_be_learnt_is_told_in_a_line(starter_folder, method, rows, told, capsys):
    Path("rows.csv").write_text(rows)
    assert tune(starter_folder, method, "task.validation=0") == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert told in lines[0]


def test_a_model_without_a_head_says_how_to_tune_one(starter_folder, capsys) -> None:
    words = [f"model.path={starter_folder}", "task=predict", 'task.smiles=["CCO"]']
    assert main([*words, "hydra.run.dir=asked"]) == 2
    assert "task=tune task.method=head" in capsys.readouterr().err


def test_the_starters_recipe_lowers_the_loss() -> None:
    Path("rows.csv").write_text("smiles\n" + "\n".join(SMILES * 8) + "\n")
    few = ["recipe.steps=12", "recipe.batch=32", "recipe.warmup=2", "recipe.log=4"]
    words = ["task=tune", "recipe=molecule/starter", "task.data=rows.csv", "task.held_out=rows.csv"]
    assert main([*words, *few, "hydra.run.dir=out"]) == 0
    curve = pq.read_table("out/curve.parquet").to_pylist()
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]
    assert curve[-1]["held_out"] < curve[0]["loss"]

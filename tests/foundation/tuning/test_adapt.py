"""task=adapt on molecules: every way on the same folds, a table, and the best one's model."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from foundation.cli import main

SMILES = [f"{'C' * n}{end}" for n in range(1, 11) for end in ("O", "N", "c1ccccc1", "c1ccncc1")]


@pytest.fixture
def starter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny starter and labelled molecules, in an empty folder."""
    from foundation.domains.molecule.training import SmilesTraining

    monkeypatch.chdir(tmp_path)
    shape = {"vocabulary": 90, "width": 16, "layers": 1}
    SmilesTraining.begin(SMILES, shape, 0).save(tmp_path / "starter")
    rows = [(smiles, "ring" if "1" in smiles else "chain") for smiles in SMILES]
    with Path("few.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("smiles", "label"), *rows, ("nonsense", "ring")])
    return tmp_path / "starter"


def adapt(starter: Path, *more: str) -> int:
    return main([
        f"model.path={starter}", "task=adapt", "task.data=few.csv", "task.folds=3",
        "recipe.steps=20", "recipe.rate=0.02", "recipe.precision=float32", *more,
    ])  # fmt: skip


def test_the_best_way_is_told_with_what_it_costs_and_its_model_answers(
    starter: Path, capsys: Any
) -> None:
    assert adapt(starter, "hydra.run.dir=out") == 0
    said = capsys.readouterr().out
    assert "recommended: foundation model=molecule/starter" in said
    with Path("out/adapt.csv").open() as file:
        rows = {row["way"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"fingerprints", "descriptors", "head", "full"}
    for row in rows.values():
        assert float(row["low"]) <= float(row["score"]) <= float(row["high"])
        assert float(row["seconds"]) > 0
    record = json.loads(Path("out/record.json").read_text())
    best = max(record["metrics"].values())
    assert record["ways"][0]["score"] == best
    assert record["counts"] == {"rows": 40, "refused": 1}
    if record["ways"][0]["way"] in ("head", "full"):
        asked = ["model.path=out/model", "task=classify", 'task.smiles=["CCCCO"]']
        assert main([*asked, "hydra.run.dir=asked"]) == 0
    assert adapt(starter, "hydra.run.dir=out") == 0
    assert "finished already" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["fingerprints", "head"])
def test_rows_that_are_asked_are_told_by_the_recommended_way_or_have_a_reason(
    starter: Path, capsys: Any, way: str
) -> None:
    Path("new.csv").write_text("smiles\nc1ccccc1Cl\nnonsense\nOCCCN\n")
    told = "task.asked=new.csv", f"task.methods=[{way}]", "recipe.steps=60"
    assert adapt(starter, *told, "hydra.run.dir=out") == 0
    with Path("out/answers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["smiles"], row["label"]) for row in rows] == [
        ("Clc1ccccc1", "ring"), ("", ""), ("NCCCO", "chain"),
    ]  # fmt: skip
    assert "RDKit cannot read 'nonsense'" in rows[1]["reason"]
    assert 0.5 < float(rows[0]["probability"]) <= 1
    assert not rows[0]["reason"]
    assert "task.asked=new.csv" in capsys.readouterr().out or way == "head"


def test_values_are_told_as_numbers(starter: Path) -> None:
    rows = "".join(f"{'C' * n}O,{n}\n" for n in range(1, 13))
    Path("few.csv").write_text(f"smiles,value\n{rows}")
    Path("new.csv").write_text("smiles,value\nCCCCCCO,99\n")
    told = "task.asked=new.csv", "task.methods=[descriptors]"
    assert adapt(starter, *told, "hydra.run.dir=out") == 0
    with Path("out/answers.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert 5 < float(row["value"]) < 7  # of the six carbons, whatever the column says


def test_rows_cannot_be_asked_where_none_has_a_label(starter: Path, capsys: Any) -> None:
    Path("few.csv").write_text("smiles\nCCO\nCCCO\nCCCCO\n")
    assert adapt(starter, "task.asked=few.csv", "hydra.run.dir=out") == 2
    assert "task.asked needs rows with a label or a value" in capsys.readouterr().err


def test_what_the_minutes_do_not_allow_is_told_and_goes_on_when_resumed(
    starter: Path, capsys: Any
) -> None:
    assert adapt(starter, "hydra.run.dir=out", "task.minutes=0.0001") == 2
    assert "task.minutes were over" in capsys.readouterr().err
    assert adapt(starter, "hydra.run.dir=out", "task.methods=[head]") == 0
    assert "head is best of 1" in capsys.readouterr().out


def test_wrong_settings_are_told_in_a_line(starter: Path, capsys: Any) -> None:
    for more, told in (
        ("task.methods=[lora]", "unknown method 'lora'"),
        ("task.folds=1", "task.folds must be"),
        ("task.minutes=-1", "task.minutes must be above 0"),
        ("task.folds=30", "folds need as many groups"),
    ):
        assert adapt(starter, more, "hydra.run.dir=wrong") == 2
        assert told in capsys.readouterr().err


def test_rows_without_labels_are_compared_by_loss_with_the_model_as_it_is(
    starter: Path, capsys: Any
) -> None:
    Path("few.csv").write_text("smiles\n" + "\n".join(SMILES))
    assert adapt(starter, "hydra.run.dir=out") == 0
    said = capsys.readouterr().out
    assert "-loss" in said
    with Path("out/adapt.csv").open() as file:
        rows = {row["way"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"untuned", "full"}
    assert float(rows["full"]["loss"]) < float(rows["untuned"]["loss"])
    assert rows["untuned"]["trained"] == "0"
    assert Path("out/model/model.safetensors").exists()
    assert adapt(starter, "hydra.run.dir=again", "task.methods=[head]") == 2
    assert "nothing could be tried; head" in capsys.readouterr().err

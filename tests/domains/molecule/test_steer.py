"""task=steer on molecules: the score rises, calls are counted once, and a kill changes nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rdkit import Chem

from foundation.cli import main
from foundation.domains.molecule.training import SmilesTraining
from foundation.draws import Draws

SMILES = ["CCO", "CCCO", "CCN", "CCCN", "CCCCN", "CCCCO", "CCOC", "CCNC", "CC(C)O", "CC(C)N",
          "c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "Nc1ccccc1", "CCOCC", "CN(C)C"]  # fmt: skip
MANY_NITROGENS = "objective.parts={n: {kind: atoms, of: N, curve: {kind: clipped, high: 4}}}"
SMALL = [
    "task.best=5", "recipe.batch=16", "recipe.rate=0.01", "recipe.checkpoint=3", "recipe.log=2",
    "recipe.options={replay: 8, memory: 20, longest: 24, sigma: 20, rounds: 2, bred: 4, "
    "augment: 0.2}",
    "recipe.precision=float32", "placement.threads=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def writer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that has learnt to write a few small molecules."""
    import torch

    folder = tmp_path_factory.mktemp("writer")
    made = SmilesTraining.begin(SMILES * 12, {"vocabulary": 90, "width": 32, "layers": 1}, 0)
    optimizer = torch.optim.Adam(made.module().parameters(), lr=0.02)
    batch = made.collate(SMILES * 4, Draws(0, range(len(SMILES) * 4)), 0.0)
    for _ in range(60):
        loss, units = made.loss(batch)
        (loss / units).backward()
        optimizer.step()
        optimizer.zero_grad()
    made.save(folder)
    return folder


def words(writer: Path, folder: str, calls: int = 150, *more: str) -> list[str]:
    return [f"model.path={writer}", "task=steer", MANY_NITROGENS, f"task.calls={calls}", *SMALL,
            f"hydra.run.dir={folder}", *more]  # fmt: skip


def calls_of(folder: str) -> list[dict]:
    return pq.read_table(f"{folder}/oracle_calls.parquet").to_pylist()


def test_the_score_rises_and_every_molecule_is_paid_for_once(writer, capsys) -> None:
    assert main(words(writer, "out")) == 0
    assert "150 molecules scored: the best" in capsys.readouterr().out
    calls = calls_of("out")
    assert list(calls[0]) == ["molecule", "score", "score_n", "step"]
    assert len({call["molecule"] for call in calls}) == len(calls) == 150
    first, last = ([call["score"] for call in some] for some in (calls[:40], calls[-40:]))
    assert sum(last) > sum(first) + 4
    best = pq.read_table("out/results.parquet").to_pylist()
    assert [row["score"] for row in best] == sorted((c["score"] for c in calls), reverse=True)[:5]
    assert all(row["valid"] and row["output"] == row["canonical"] for row in best)
    assert len(list(Chem.SDMolSupplier("out/molecules.sdf"))) == 5
    assert Path("out/molecules.png").stat().st_size > 1000
    assert "150 of its outputs were scored" in Path("out/model/README.md").read_text()
    assert main(["model.path=out/model", "task.count=20", "hydra.run.dir=made"]) == 0
    made = pq.read_table("made/results.parquet").to_pylist()
    valid = [row["output"] for row in made if row["valid"]]
    assert sum(text.upper().count("N") for text in valid) > len(valid)


def test_killed_at_any_moment_it_ends_as_if_it_had_never_been(writer, tmp_path) -> None:
    assert main(words(writer, "whole", 120)) == 0
    command = [sys.executable, "-m", "foundation", *words(writer, "killed", 120)]
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    kills = 0
    for wanted in (1, 4, 7):  # parts of calls written before the kill
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        parts, until = tmp_path / "killed" / "parts", time.monotonic() + 60
        while process.poll() is None and len(list(parts.glob("*.parquet"))) < wanted:
            assert time.monotonic() < until
            time.sleep(0.002)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 2
    assert main(["resume=killed"]) == 0
    assert calls_of("killed") == calls_of("whole")
    weights = [
        Path(folder, "model/model.safetensors").read_bytes() for folder in ("killed", "whole")
    ]
    assert weights[0] == weights[1]


def test_a_scaffold_that_was_found_often_enough_is_left(writer) -> None:
    ring = "objective.parts={ring: {kind: substructure, smarts: c1ccccc1}}"
    shares = {}
    for name, filled in (("free", "null"), ("filtered", "3")):
        options = SMALL[5].replace("augment: 0.2", f"scaffold: {filled}, augment: 0.2")
        more = [ring, options, "task.calls=100"]
        assert main(words(writer, name, 100, *more)) == 0
        late = calls_of(name)[50:]
        shares[name] = sum(call["score"] for call in late) / len(late)
    assert shares["filtered"] < shares["free"]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["task.calls=0"], "task.calls must be a whole number"),
        (["task.cals=3"], "did you mean 'task.calls'"),
        (["recipe.options={sigm: 3}"], "did you mean 'sigma'"),
        (["recipe=molecule/starter"], "it is for task=tune"),
        (["objective.parts={a: {kind: property, of: qedd}}"], "did you mean 'qed'"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_drawn(writer, more, told, capsys) -> None:
    assert main([*words(writer, "out"), *more]) == 2
    assert told in capsys.readouterr().err
    assert not Path("out").exists()


def test_an_objective_is_needed_and_belongs_to_steering_alone(writer, capsys) -> None:
    assert main([f"model.path={writer}", "task=steer", "hydra.run.dir=out"]) == 2
    assert "needs objective=<name>" in capsys.readouterr().err
    assert main([f"model.path={writer}", "objective=molecule/pmo/qed", "hydra.run.dir=out"]) == 2
    assert "objective=... is for task=steer" in capsys.readouterr().err

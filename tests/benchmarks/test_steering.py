"""The genetic algorithm that steering is measured against is an honest one."""

import json
from pathlib import Path

import pytest
from rdkit import Chem

from benchmarks.quality import steering
from benchmarks.quality.graph_ga import Settings, evolve
from foundation.domains.molecule.objective import objective

START = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "CC(C)Cc1ccccc1",
    "NCCc1ccccc1",
    "O=C(O)c1ccc(Cl)cc1",
    "c1ccc2[nH]ccc2c1",
    "CCN(CC)C(=O)c1ccccc1",
    "O=C1CCCN1CC1CC1",
]
PARTS = {"like": {"kind": "similarity", "to": "CC(=O)Nc1ccc(O)cc1"}}


def evolved(seed: int, budget: int = 200) -> dict[str, float]:
    paid = steering._Paid(objective({"parts": PARTS}), budget)
    settings = Settings(population=20, offspring=20)
    evolve(paid, START, lambda: len(paid.scores) >= budget, seed, settings)
    return paid.scores


def test_it_climbs_within_its_budget_and_by_its_seed_alone() -> None:
    found = evolved(1)
    assert len(found) == 200
    assert max(found.values()) > 1.4 * max(found[smiles] for smiles in START)
    assert list(evolved(1)) == list(found) != list(evolved(2))
    for smiles in found:
        molecule = Chem.MolFromSmiles(smiles)
        assert molecule is not None
        assert "." not in smiles
        assert smiles in START or smiles == Chem.MolToSmiles(molecule)


def test_the_record_tells_sums_and_what_is_between_the_ways(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--report", "--calls", "200", "--seeds", "0", "1", "--oracles", "qed", "median1",
             "--work", str(tmp_path), "--out", str(tmp_path)]  # fmt: skip
    for way, level in (("steer", 0.5), ("graph_ga", 0.4), ("random", 0.1)):
        for oracle in ("qed", "median1"):
            for seed in (0, 1):
                path = tmp_path / f"{way}-{oracle}-200-{seed}.json"
                path.write_text(json.dumps({"seconds": 1.0, "scores": [level] * 200}))
    assert steering.main(given) == 0
    record = json.loads((tmp_path / "steering.json").read_text())
    # From 0 to the level over the first 100 calls, then level.
    assert record["sum_of_areas"]["steer"] == pytest.approx(2 * 0.5 * 0.75)
    assert record["sum_of_differences"]["steer - graph_ga"]["mean"] == pytest.approx(2 * 0.1 * 0.75)
    assert "sum" in capsys.readouterr().out

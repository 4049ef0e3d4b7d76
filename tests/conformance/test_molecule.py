"""The starter's architecture keeps the contract, in each of its tasks."""

import pytest

from foundation.domains.molecule.training import SmilesTraining
from foundation.spec import ModelSpec
from foundation.testing.contract import AdapterContract

ROWS = ["CCO", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "O=C(O)c1ccccc1Cl"]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder = tmp_path_factory.mktemp("tiny")
    training = SmilesTraining.begin(ROWS, {"vocabulary": 120, "width": 16, "layers": 2}, 0)
    training.save(folder)
    return ModelSpec(
        name="molecule/tiny",
        domain="molecule",
        adapter="foundation.domains.molecule.adapter:SmilesGru",
        source=f"path:{folder}",
        tasks=("generate", "embed", "score"),
        parameters=sum(p.numel() for p in training.module().parameters()),
    )


class _Starter(AdapterContract):
    @pytest.fixture
    def spec(self, tiny: ModelSpec) -> ModelSpec:
        return tiny


class TestGenerate(_Starter):
    task = "generate"
    given = {"count": 10, "temperature": 0.9, "columns": ["canonical", "log_likelihood"]}
    wrong = ({"count": 0}, {"temperature": 0}, {"top_p": 2}, {"scafold": "C"})
    unreadable = "C1CC("
    drawn = True


class TestEmbed(_Starter):
    task = "embed"
    given = {"smiles": ROWS}
    wrong = ({"smiles": []}, {"smiles": ["C"], "temperature": 1})
    unreadable = "C1CC("


class TestScore(TestEmbed):
    task = "score"
    given = {"smiles": ROWS, "columns": ["canonical", "log_likelihood", "tokens", "unique"]}

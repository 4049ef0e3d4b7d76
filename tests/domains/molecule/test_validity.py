from pathlib import Path

import pytest
import torch

from foundation.domains.molecule import validity
from foundation.domains.molecule.training import SmilesTraining
from foundation.domains.molecule.validity import ValidTraining
from foundation.draws import Draws

SMILES = ["CCO", "CC(=O)N", "c1ccccc1", "CCN(C)C", "C1CCNCC1", "COC", "CC(C)O", "c1ccncc1"] * 4


@pytest.fixture
def training(monkeypatch: pytest.MonkeyPatch) -> ValidTraining:
    monkeypatch.setattr(validity, "LONGEST", 12)
    shape = {"vocabulary": 90, "width": 16, "layers": 1}
    found = ValidTraining.begin(SMILES, shape, seed=0)
    assert isinstance(found, ValidTraining)
    return found


def invalid_share(training: ValidTraining) -> float:
    torch.manual_seed(1)
    with torch.no_grad():
        return float(training._invalid_share())


def test_a_model_learns_to_draw_what_rdkit_can_read(training: ValidTraining) -> None:
    optimizer = torch.optim.Adam(training.module().parameters(), lr=0.01)
    batch = training.collate(SMILES, Draws(0, range(len(SMILES))), 0.0)
    for _ in range(30):
        loss, units = SmilesTraining.loss(training, batch)
        (loss / units).backward()
        optimizer.step()
        optimizer.zero_grad()
    before = invalid_share(training)
    for step in range(40):
        torch.manual_seed(step + 100)
        training._invalid_share().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert invalid_share(training) < before - 0.1


def test_the_loss_is_cross_entropy_and_the_invalid_share(training: ValidTraining) -> None:
    batch = training.collate(SMILES, Draws(0, range(len(SMILES))), 0.0)
    plain, units = SmilesTraining.loss(training, batch)
    share = invalid_share(training)
    torch.manual_seed(1)
    found, counted = training.loss(batch)
    assert counted == units
    assert found.item() == pytest.approx(plain.item() + validity.WEIGHT * units * share)


def test_held_out_molecules_are_measured_by_cross_entropy_alone(training: ValidTraining) -> None:
    training.module().eval()
    batch = training.collate(SMILES, Draws(0, range(len(SMILES))), 0.0)
    plain = SmilesTraining.loss(training, batch)[0]
    assert training.loss(batch)[0].item() == plain.item()


def test_what_was_saved_goes_on_as_it_was(training: ValidTraining, tmp_path: Path) -> None:
    with torch.no_grad():
        for weights in training.module().parameters():
            weights.copy_(weights.bfloat16())
    training.save(tmp_path)
    again = validity.read(tmp_path)
    assert isinstance(again, ValidTraining)
    assert invalid_share(again) == invalid_share(training)

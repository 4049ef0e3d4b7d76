"""Molecules are screened by RDKit's catalogues and by families with their source."""

import pytest
import yaml
from rdkit import Chem

from foundation.domains.molecule import hazards
from foundation.results import Result


def of(smiles: str, **checks: object) -> Result:
    return Result(0, None, smiles, True, checks=checks)


def test_alerts_that_were_already_found_are_taken() -> None:
    assert hazards.pains()(of("CCO", pains=["quinone_A"])) == "quinone_A"
    assert hazards.pains()(of("CCO", pains=[])) is None
    assert "quinone" in str(hazards.pains()(of("O=C1C=CC(=O)C=C1")))
    assert hazards.brenk()(of("CC(=O)Cl")) is not None
    assert hazards.toxicophores()(of("CC(=O)Cl")) is not None
    assert hazards.toxicophores()(of("CCO")) is None


@pytest.mark.parametrize(
    ("smiles", "family"),
    [
        ("CN(CCCl)CCCl", "1.A.6"),  # chlormethine, a medicine
        ("CCC(=O)N(c1ccccc1)C1CCN(CCc2ccccc2)CC1", "1308.11"),  # fentanyl, a medicine
        ("COP(C)(=O)OC", "2.B.4"),  # dimethyl methylphosphonate, a flame retardant
    ],
)
def test_members_of_controlled_families_are_found(smiles: str, family: str) -> None:
    assert family in str(hazards.Controlled()(of(smiles)))


@pytest.mark.parametrize(
    "smiles",
    [
        "CCO", "CC(=O)Oc1ccccc1C(=O)O", "CN1CCC[C@H]1c1cccnc1", "OP(O)(=O)CNCC(=O)O",
        "CCCCP(=O)(CCCC)CCCC", "O=P(OC)(OC)OC", "ClCCCl", "O=C(Nc1ccccc1)C1CCNCC1", "not smiles",
    ],
)  # fmt: skip
def test_others_are_let_through(smiles: str) -> None:
    assert hazards.Controlled()(of(smiles)) is None


def test_every_family_is_a_pattern_with_a_source() -> None:
    told = yaml.safe_load(hazards.FAMILIES.read_text())["families"]
    assert all(Chem.MolFromSmarts(each["smarts"]) is not None for each in told)
    assert all(each["title"].startswith(("CWC ", "21 CFR ")) for each in told)

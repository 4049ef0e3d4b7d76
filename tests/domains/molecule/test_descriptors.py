import os
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, RDConfig, rdBase
from rdkit.Chem import QED, Crippen, Descriptors
from rdkit.Chem import rdMolDescriptors as rdmd

from foundation.domains.molecule.descriptors import DESCRIPTORS, describe

sys.path.append(os.path.join(RDConfig.RDContribDir, "SA_Score"))
import sascorer

MOLECULES = [
    "CC(=O)Oc1ccccc1C(=O)O",
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "CC(C)Cc1ccc([C@@H](C)C(=O)O)cc1",
    "CN1CC[C@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5",
    "C/C=C/C(F)(Cl)Br",
    "C[C@H](F)C(F)(Cl)Br",
    "C1CC(C)C(C)C(C)C1",
    "CC1CC(C)CC(C)C1",
    "C1CCC2(CC1)OCCO2",
    "C1C2CC3CC1CC(C2)C3",
    "C1CCCCCCCCCCC1",
    "O=C1NC(=S)NC(=O)C1=Cc1ccc(O)c(O)c1",
    "N1C2=CC=CC=C2SC3=C1C=CC4=C3C=CC=C4",
    "OC1=C(O)C=C2C(=C1)OC3=CC(=O)C(=CC3=C2C4=CC=CC=C4)O",
    "CC(C)C1=CC2=C(C)C=CC2=C(C)C=C1",
    "C1=Cc2cccc3cccc1c23",
    "[Na+].[O-]C(=O)c1ccccc1",
    "CCO.Cl",
    "[2H]OC([2H])([2H])[2H]",
    "[H][H]",
    "[H]O[H].[H+]",
    "*c1ccccc1",
    "C->[Fe]",
    "[13CH4]",
    "[Fe+2]",
    "C",
]


def reference(text: str) -> dict[str, Any]:
    """What a user would write, on a fresh molecule for each: RDKit keeps what it has computed."""

    def fresh() -> Chem.Mol:
        return Chem.MolFromSmiles(text)

    row = {
        "weight": Descriptors.MolWt(fresh()),
        "logp": Crippen.MolLogP(fresh()),
        "tpsa": Descriptors.TPSA(fresh()),
        "donors": Descriptors.NumHDonors(fresh()),
        "acceptors": Descriptors.NumHAcceptors(fresh()),
        "rotatable_bonds": Descriptors.NumRotatableBonds(fresh()),
        "rings": rdmd.CalcNumRings(fresh()),
        "qed": QED.qed(fresh()),
        "sa": sascorer.calculateScore(fresh()),
    }
    limits = {"weight": 500, "logp": 5, "donors": 5, "acceptors": 10}
    return row | {"lipinski": sum(row[name] > limit for name, limit in limits.items()) <= 1}


@pytest.mark.parametrize("text", MOLECULES)
def test_values_are_rdkits_own(text: str) -> None:
    row = describe(Chem.MolFromSmiles(text))
    assert {name: row[name] for name in reference(text)} == reference(text)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_values_of_edited_molecules_are_rdkits_own(data: st.DataObject) -> None:
    molecule = Chem.RWMol(Chem.MolFromSmiles(data.draw(st.sampled_from(MOLECULES))))
    for _ in range(data.draw(st.integers(1, 3))):
        first = data.draw(st.integers(0, molecule.GetNumAtoms() - 1))
        new = molecule.AddAtom(Chem.Atom(data.draw(st.sampled_from([1, 6, 7, 8, 9, 15, 16, 17]))))
        molecule.AddBond(first, new, Chem.BondType.SINGLE)
        second = data.draw(st.integers(0, new))
        if second not in (first, new):
            molecule.AddBond(new, second, Chem.BondType.SINGLE)
    with rdBase.BlockLogs():
        text = Chem.MolToSmiles(molecule)
        edited = Chem.MolFromSmiles(text)
        if edited is not None:
            row = describe(edited)
            assert {name: row[name] for name in reference(text)} == reference(text)


@pytest.mark.parametrize("name", DESCRIPTORS)
def test_a_descriptor_alone_has_the_same_value(name: str) -> None:
    text = MOLECULES[11]
    alone = describe(Chem.MolFromSmiles(text), [name])
    assert alone == {name: describe(Chem.MolFromSmiles(text))[name]}


def test_a_number_that_overflows_is_none() -> None:
    assert describe(Chem.MolFromSmiles("O." * 900 + "O"), ["qed"]) == {"qed": None}


def test_lipinski_allows_one_violation() -> None:
    paraffin, sugar = "C" * 20, "OC1OC(CO)C(OC2OC(CO)C(O)C(O)C2O)C(O)C1O"
    assert describe(Chem.MolFromSmiles(paraffin), ["lipinski"]) == {"lipinski": True}
    assert describe(Chem.MolFromSmiles(sugar), ["lipinski"]) == {"lipinski": False}
    assert describe(Chem.MolFromSmiles("C" * 40), ["lipinski"]) == {"lipinski": False}

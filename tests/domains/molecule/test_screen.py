import pytest
from rdkit import Chem

from foundation.domains.molecule.screen import Screen

QUERIES = [
    "[#6]",
    "[!#6]",
    "[!C]",
    "a",
    "A",
    "*~*",
    "C=O",
    "C-O",
    "C!-O",
    "CO",
    "[C,c]=,:[N,n]",
    "[!$([#6])]",
    "[!13C]",
    "[C,$(O)]",
    "[#1]",
    "[R]@[R]",
    "C=!@C",
    "c1ccccc1",
    "F.F",
    "[NX3;!R]-[#6]",
    "C->[Fe]",
    "*~[Na]",
]
MOLECULES = [
    "C",
    "CO",
    "C=O",
    "c1ccccc1F",
    "FC(F)F",
    "Fc1ccc(F)cn1",
    "[2H]C",
    "[H][H]",
    "*C",
    "N~C",
    "C->[Fe]",
    "[Na+].[Cl-]",
    "CC(=O)Nc1ccc(O)cc1",
    "C1=CC=CC=CC=C1",
    "O=c1cc[nH]cc1",
    "N#N",
    "[13CH4]",
    "C" * 450,
]


@pytest.mark.parametrize("text", MOLECULES)
def test_a_query_that_matches_is_a_candidate(text: str) -> None:
    queries = [Chem.MolFromSmarts(query) for query in QUERIES]
    molecule = Chem.MolFromSmiles(text)
    matched = {i for i, query in enumerate(queries) if molecule.HasSubstructMatch(query)}
    assert matched <= set(Screen(queries).candidates(molecule).tolist())


def test_what_cannot_match_is_ruled_out() -> None:
    queries = [Chem.MolFromSmarts(query) for query in ("S", "C=O", "C#N", "n", "CO", "F.F")]
    found = Screen(queries).candidates(Chem.MolFromSmiles("CCOF"))
    assert found.tolist() == [4]


def test_an_unknown_query_is_always_a_candidate() -> None:
    screen = Screen([None, Chem.MolFromSmarts("S")])
    assert screen.candidates(Chem.MolFromSmiles("C")).tolist() == [0]

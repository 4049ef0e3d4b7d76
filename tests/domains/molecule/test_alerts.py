import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from rdkit.Chem import QED
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

from foundation.domains.molecule.alerts import alert_screen, pattern

CATALOGS = [
    FilterCatalog(getattr(FilterCatalogParams.FilterCatalogs, name)) for name in ("PAINS", "BRENK")
]


def expected(molecule: Chem.Mol) -> tuple[list[str], list[str], int]:
    names = [[e.GetDescription() for e in catalog.GetMatches(molecule)] for catalog in CATALOGS]
    alerts = sum(molecule.HasSubstructMatch(query) for query in QED.StructuralAlerts)
    return names[0], names[1], alerts


def found(molecule: Chem.Mol) -> tuple[list[str], list[str], int]:
    alerts = alert_screen()(molecule)
    return alerts.pains, alerts.brenk, alerts.qed


def query_molecules() -> list[Chem.Mol]:
    """A molecule in the likeness of every second alert's query, where one can be sanitised."""
    made = []
    for catalog in CATALOGS:
        for i in range(0, catalog.GetNumEntries(), 2):
            query = pattern(bytes(catalog.GetEntryWithIdx(i).Serialize()))
            assert query is not None
            molecule = Chem.RWMol()
            for atom in query.GetAtoms():
                molecule.AddAtom(Chem.Atom(atom.GetAtomicNum() or 6))
            for bond in query.GetBonds():
                order = bond.GetBondType()
                if order not in (Chem.BondType.DOUBLE, Chem.BondType.TRIPLE):
                    order = Chem.BondType.SINGLE
                molecule.AddBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), order)
            with rdBase.BlockLogs():
                if Chem.SanitizeMol(molecule, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE:
                    made.append(Chem.Mol(molecule))
    return made


LIKENESSES = query_molecules()


def test_every_likeness_of_an_alert_has_the_catalogues_alerts() -> None:
    assert len(LIKENESSES) > 200
    hits = 0
    for molecule in LIKENESSES:
        assert found(molecule) == expected(molecule), Chem.MolToSmiles(molecule)
        hits += sum(map(bool, found(molecule)))
    assert hits > 200


@pytest.mark.parametrize(
    "text",
    [
        "O=C1NC(=S)NC(=O)C1=Cc1ccc(O)c(O)c1",
        "O=C1C=CC(=O)C=C1",
        "CN(C)c1ccc(cc1)N=Nc1ccccc1",
        "[O-][N+](=O)c1ccc(CCl)cc1",
        "OS(=O)(=O)c1ccccc1.[Na+]",
        "C1CC2CCC1CC2",
        "[13CH3]C#N",
        "[H][H]",
        "*CC*",
        "B(O)(O)c1ccccc1[Si](C)(C)C",
        "F.F.F.F",
        "C" * 450 + "C=S",
    ],
)
def test_known_molecules(text: str) -> None:
    molecule = Chem.MolFromSmiles(text)
    assert found(molecule) == expected(molecule)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_edited_molecules_have_the_catalogues_alerts(data: st.DataObject) -> None:
    molecule = Chem.RWMol(data.draw(st.sampled_from(LIKENESSES)))
    for _ in range(data.draw(st.integers(1, 4))):
        atom = molecule.GetAtomWithIdx(data.draw(st.integers(0, molecule.GetNumAtoms() - 1)))
        atom.SetIsAromatic(False)
        atom.SetFormalCharge(data.draw(st.sampled_from([0, 0, 1, -1])))
        atom.SetAtomicNum(data.draw(st.sampled_from([5, 6, 7, 8, 9, 14, 15, 16, 17, 35, 53])))
    with rdBase.BlockLogs():
        edited = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
    if edited is not None:
        assert found(edited) == expected(edited)


def test_an_entry_that_is_not_understood_gives_no_pattern() -> None:
    assert pattern(b"22 serialization::archive 20 without a molecule") is None
    whole = bytes(CATALOGS[0].GetEntryWithIdx(0).Serialize())
    assert pattern(whole) is not None
    assert pattern(whole[: len(whole) // 2]) is None

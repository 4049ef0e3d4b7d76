"""Molecules tell altered from unaltered, one by one."""

import pytest
from rdkit import Chem

import foundation as fm
from foundation.trust.verify import verify


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("molecules") / "run"
    fm.load("molecule/starter").generate(count=6, folder=folder).finish()
    return folder


def test_molecules_carry_a_seal_each(run, told_apart) -> None:
    told_apart(run, "molecules.sdf", "molecules.png", "results.parquet")


def test_an_atom_or_a_field_of_one_molecule_is_told_by_its_place(run, tmp_path) -> None:
    text = (run / "molecules.sdf").read_text()
    path = tmp_path / "some.sdf"
    records = text.split("$$$$\n")
    path.write_text("$$$$\n".join([records[2], records[0], ""]))
    assert verify(path)[0].state == "unaltered", "records may be taken out and reordered"
    moved = records[1].replace(" C   0", " N   0", 1)
    told = records[1].replace("molecule/starter", "molecule/stranger", 1)
    for changed in (moved, told):
        assert changed != records[1]
        path.write_text("$$$$\n".join([records[0], changed, ""]))
        (found,) = verify(path)
        assert (found.state, found.why) == ("altered", "record 1 (from 0) of 2")


def test_other_programs_read_it(run) -> None:
    molecules = list(Chem.SDMolSupplier(str(run / "molecules.sdf")))
    assert all(molecule.GetProp("provenance").startswith('{"made_by"') for molecule in molecules)

"""Decorating and linking, with a plan driven by hand and by a tiny network."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase

from foundation.adapter import Output
from foundation.domains.molecule.fragments import fragments
from foundation.domains.molecule.inputs import Generate
from foundation.domains.molecule.plans import Prompt, plan
from foundation.domains.molecule.scaffolds import plan_scaffold
from foundation.draws import Draws

rdBase.DisableLog("rdApp.*")
Run = Callable[..., dict[int, Output]]
SCAFFOLDS = [
    "c1ccccc1", "c1ccc2[nH]ccc2c1", "O=C1NC(=O)c2ccccc12", "C1C2CC3CC1CC(C2)C3", "C1=CC2CCC1C2",
    "CN1CC[C@]23c4c5ccc(O)c4O[C@H]2[C@@H](O)C=C[C@H]3[C@H]1C5", "O=C(N[*:1])c1ccc([*:2])cc1",
    "CC12CCC3C(CCC4=CC(=O)CCC34C)C1CCC2O", "[NH3+]CCc1ccccc1", "c1ccc2c(c1)Cc1ccccc1-2",
    "C[C@H](N)C(=O)[O-]", "F/C=C/c1ccccc1", "c1cc[n+](C)cc1", "[2H]C([*:1])=C", "C1CC1", "C",
]  # fmt: skip


def follow(scaffold: str, written: list[str], number: int = 0) -> Output:
    """What becomes of a scaffold when a model writes these one after another."""
    made = plan_scaffold(scaffold, Draws(0, [number]))
    step = made.follow(None)
    for text in written:
        assert isinstance(step, Prompt), step
        step = made.follow(step.smiles + text)
    assert isinstance(step, Output), step
    return step


def canonical(smiles: str) -> str:
    return str(Chem.CanonSmiles(smiles))


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize(
    ("scaffold", "written", "expected"),
    [
        ("c1ccc([*:1])cc1", ["OC"], "COc1ccccc1"),
        ("c1cc([*:2])ccc1[*:1]", ["F", "Cl"], "Fc1ccc(Cl)cc1"),
        ("c1cc([*:1])ccc1[*:2]", ["F", ""], "Fc1ccccc1"),
        ("*CC", ["O"], "OCC"),
        ("[1*]CC[2*]", ["O", "N"], "OCCN"),
        ("N([*:1])[*:2]", ["C", "O"], "CNO"),
        ("c1ccn([*:1])c1", ["CC"], "CCn1cccc1"),
        ("c1ccn([*:1])c1", [""], "c1cc[nH]c1"),
        ("N[C@@H](C[*:1])C(=O)O", ["c1ccccc1"], "N[C@@H](Cc1ccccc1)C(=O)O"),
        ("C[C@@H]([*:1])c1ccccc1", ["O"], "C[C@@H](O)c1ccccc1"),
        ("C[C@H]([*:1])N([*:2])C", ["O", "CC"], "C[C@H](O)N(CC)C"),
        ("F/C=C/[*:1]", ["Cl"], "F/C=C/Cl"),
        ("[NH3+]CC[*:1]", ["C"], "[NH3+]CCC"),
        ("[O-]C(=O)c1ccccc1[*:1]", ["Br"], "[O-]C(=O)c1ccccc1Br"),
        ("C[N+]([*:1])(C)C", ["CO"], "C[N+](CO)(C)C"),
        ("[2H]C([*:1])=C", ["C"], "[2H]C(C)=C"),
        ("C[Si](C)(C)[*:1]", [""], "C[SiH](C)C"),
    ],
)
def test_what_is_written_stands_at_the_point(
    scaffold: str, written: list[str], expected: str, number: int
) -> None:
    output = follow(scaffold, written, number)
    assert output.reason is None
    assert canonical(output.value) == canonical(expected)


@pytest.mark.parametrize("scaffold", SCAFFOLDS)
def test_every_atom_that_bears_hydrogen_can_be_written_last(scaffold: str) -> None:
    core = fragments(scaffold)[0].core
    for number in range(12):
        made = plan_scaffold(scaffold, Draws(3, [number]))
        step = made.follow(None)
        while isinstance(step, Prompt):
            assert Chem.MolFromSmiles(step.smiles + "SC") is not None, step
            step = made.follow(step.smiles + "SC")
        grown = Chem.MolFromSmiles(step.value)
        assert step.reason is None
        added = grown.GetNumAtoms() - core.GetNumAtoms()
        assert added in (2, 4, 6)
        assert grown.HasSubstructMatch(core, useChirality=True)


def test_where_no_point_is_named_different_atoms_are_drawn() -> None:
    found = {follow_all("c1ccc2[nH]ccc2c1", number) for number in range(40)}
    assert len(found) > 15


def follow_all(scaffold: str, number: int) -> str:
    made = plan_scaffold(scaffold, Draws(0, [number]))
    step = made.follow(None)
    while isinstance(step, Prompt):
        step = made.follow(step.smiles + "C")
    return canonical(step.value)


def test_the_same_request_is_built_the_same_way_and_another_attempt_another_way() -> None:
    first, second = (plan_scaffold("c1ccc2[nH]ccc2c1", Draws(0, [5])) for _ in range(2))
    steps = [first.follow(None) for _ in range(8)]
    assert steps == [second.follow(None) for _ in range(8)]
    assert len({str(step) for step in steps}) > 1


@pytest.mark.parametrize("number", range(8))
def test_two_fragments_are_linked_by_what_is_written(number: int) -> None:
    first, second = "c1ccc([*:1])cc1", "[*:2][C@H](C)O"
    output = follow(f"{first}.{second}", ["CCN"], number)
    molecule = Chem.MolFromSmiles(output.value)
    assert output.reason is None
    assert len(Chem.GetMolFrags(molecule)) == 1
    assert molecule.GetNumAtoms() == 6 + 3 + 3
    assert molecule.HasSubstructMatch(Chem.MolFromSmiles("c1ccccc1"))
    assert molecule.HasSubstructMatch(Chem.MolFromSmarts("[CH3][CH]([OH])"))
    assert "@" in output.value


def test_fragments_are_bonded_to_each_other_where_nothing_is_written() -> None:
    output = follow("c1ccccc1[*:1].[*:2]C1CC1", [""])
    assert canonical(output.value) == canonical("c1ccccc1C1CC1")


def test_a_linker_without_hydrogen_is_a_row_with_its_reason() -> None:
    output = follow("c1ccccc1[*:1].[*:2]C1CC1", ["F"])
    assert "hydrogen" in str(output.reason)


@pytest.mark.parametrize(
    ("scaffold", "reason"),
    [
        ("not a molecule", "cannot read the scaffold"),
        ("C1CC", "unclosed ring"),
        ("ClC(Cl)(Cl)Cl", "no atom of the scaffold bears hydrogen"),
        ("C=[*:1]", "one single bond"),
        ("c1cc[*:1]cc1", "one single bond"),
        ("[*:1][*:2]", "one single bond"),
        ("*", "one single bond"),
        ("CC.[Na+]", "one fragment"),
        ("CC[*:1].CC", "one fragment"),
        ("C[*:1].C[*:1].C[*:1]", "one fragment"),
    ],
)
def test_a_scaffold_that_cannot_be_built_on_is_refused(scaffold: str, reason: str) -> None:
    output = plan_scaffold(scaffold, Draws(0, [0])).follow(None)
    assert isinstance(output, Output)
    assert output.refused
    assert reason in str(output.reason)


def test_what_a_model_makes_invalid_stays_as_it_wrote_it() -> None:
    output = follow("c1ccc([*:1])cc1", ["C(C"])
    assert output.value.endswith("C(C")
    assert output.reason is None


def test_a_point_that_the_other_one_used_up() -> None:
    output = follow("C(F)(F)([*:1])[*:2]", ["1CCCC1"])
    assert "no room" in str(output.reason)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(SCAFFOLDS), st.integers(0, 2**63), st.text("CNOcn1()=[]@+-", max_size=8))
def test_whatever_is_written_ends_in_an_output(scaffold: str, number: int, text: str) -> None:
    made = plan(Generate(scaffold=scaffold), Draws(1, [number]))
    step = made.follow(None)
    for _ in range(4):
        if isinstance(step, Output):
            break
        step = made.follow(step.smiles + text)
    assert isinstance(step, Output)
    if step.reason is None and Chem.MolFromSmiles(step.value) is not None:
        core = fragments(scaffold)[0].core
        assert Chem.MolFromSmiles(step.value).HasSubstructMatch(core)


def test_a_network_keeps_the_scaffold_in_what_is_valid(starter: Any, generated: Run) -> None:
    core = Chem.MolFromSmiles("c1ccncc1")
    requests = {n: Generate(scaffold="c1ccncc1", temperature=0.5) for n in range(40)}
    for output in generated(starter, requests).values():
        assert output.extra["attempts"] == 1
        molecule = Chem.MolFromSmiles(output.value)
        if molecule is not None and output.reason is None:
            assert molecule.HasSubstructMatch(core)


@pytest.mark.parametrize("scaffold", ["C[As](C)C", "[Au]CC"])
def test_an_element_the_model_cannot_write_is_refused_by_name(
    starter: Any, generated: Run, scaffold: str
) -> None:
    output = generated(starter, {0: Generate(scaffold=scaffold)})[0]
    assert output.refused
    assert "the model cannot write [" in str(output.reason)


def test_a_scaffold_longer_than_a_row_is_refused(starter: Any, generated: Run) -> None:
    output = generated(starter, {0: Generate(scaffold="C(=O)N" * 120)})[0]
    assert output.refused
    assert "longer than 126 tokens" in str(output.reason)


def test_targets_around_a_scaffold(starter: Any, generated: Run) -> None:
    request = Generate(scaffold="c1ccccc1", targets={"rings": [1, None]}, attempts=30)
    output = generated(starter, {0: request})[0]
    assert 1 <= output.extra["attempts"] <= 30

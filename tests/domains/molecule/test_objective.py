"""Scores of molecules: curves, figures, their mean, and PMO's oracles on what is known of them."""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from foundation.domains.molecule.curves import curve
from foundation.domains.molecule.objective import objective
from foundation.errors import InputError, RequestError, UnknownName

PMO = Path(__file__).parents[3] / "conf" / "objective" / "molecule" / "pmo"
numbers = st.floats(-1e6, 1e6)


def pmo(name: str, smiles: str) -> float:
    settings = yaml.safe_load((PMO / f"{name}.yaml").read_text())
    return objective(settings)([smiles])[0].score


@pytest.mark.parametrize(
    ("name", "smiles"),
    [
        ("albuterol_similarity", "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1"),
        ("celecoxib_rediscovery", "Cc1ccc(-c2cc(C(F)(F)F)nn2-c2ccc(S(N)(=O)=O)cc2)cc1"),
        ("isomers_c7h8n2o2", "NNC(=O)c1ccccc1O"),
        ("isomers_c9h10n2o2pf2cl", "CCNC(=O)C1=CC=C(NP(=O)(F)F)C=C1Cl"),
        ("mestranol_similarity", "C#CC1(O)CCC2C3CCc4cc(OC)ccc4C3CCC21C"),
        ("thiothixene_rediscovery", "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1"),
        ("troglitazone_rediscovery", "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O"),
    ],
)
def test_an_oracle_is_one_at_its_optimum(name: str, smiles: str) -> None:
    assert pmo(name, smiles) == pytest.approx(1.0)
    assert pmo(name, "CCO") < 0.9


@pytest.mark.parametrize(
    ("name", "smiles", "expected"),
    [
        # Each target itself, and what its rings take away: one and two of them too few.
        ("amlodipine_mpo", "Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\\C(=O)OC", math.exp(-1)),
        ("perindopril_mpo", "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC", math.exp(-4)),
        # Of the molecule to be changed the parts that do not hold yet are 0.
        ("deco_hop", "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C", 2 / 4),
        ("scaffold_hop", "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C", 2 / 3),
        # Ten deviations too like sitagliptin, which has the formula and properties.
        ("sitagliptin_mpo", "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F", math.exp(-12.5)),
        ("valsartan_smarts", "CCO", 0.0),
        ("qed", "CC(=O)Oc1ccccc1C(=O)O", 0.5501),
    ],
)
def test_an_oracle_is_what_its_definition_says_of_a_known_molecule(
    name: str, smiles: str, expected: float
) -> None:
    assert pmo(name, smiles) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("path", sorted(PMO.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_named_oracle_scores_within_its_range(path: Path) -> None:
    made = objective(yaml.safe_load(path.read_text()))
    for found in made(["CCO", "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2", "[Na+].[Cl-]"]):
        assert 0 <= found.score <= 1
        assert len(found.parts) == len(made.names)


def test_counts_of_atoms_make_the_likeness_that_the_papers_oracles_have() -> None:
    from rdkit import Chem, DataStructs, rdBase
    from rdkit.Chem import rdMolDescriptors as older

    pair = ["CC(=O)Oc1ccccc1C(=O)O", "CC(=O)Nc1ccc(OCC(O)CNC(C)C)cc1"]
    with rdBase.BlockLogs():
        mols = [Chem.MolFromSmiles(each) for each in pair]
        by_hand = {
            "ECFP4": [older.GetMorganFingerprint(m, 2) for m in mols],
            "ECFP6": [older.GetMorganFingerprint(m, 3) for m in mols],
            "FCFP4": [older.GetMorganFingerprint(m, 2, useFeatures=True) for m in mols],
            "AP": [older.GetAtomPairFingerprint(m, maxLength=10) for m in mols],
        }
    for name, (first, second) in by_hand.items():
        part = {"kind": "similarity", "to": pair[0], "fingerprint": name}
        found = objective({"parts": {"like": part}})([pair[1]])[0].score
        assert found == pytest.approx(DataStructs.TanimotoSimilarity(first, second))


def test_weights_and_means() -> None:
    parts = {
        "ring": {"kind": "substructure", "smarts": "c1ccccc1", "weight": 3},
        "light": {"kind": "property", "of": "weight",
                  "curve": {"kind": "clipped", "low": 0, "high": 156.22}},
    }  # fmt: skip
    benzene, ethanol = "c1ccccc1", "CCO"
    means = {
        mean: objective({"parts": parts, "mean": mean}) for mean in ("geometric", "arithmetic")
    }
    assert means["geometric"]([benzene])[0].score == pytest.approx(0.5**0.25, abs=1e-3)
    assert means["arithmetic"]([benzene])[0].score == pytest.approx(3.5 / 4, abs=1e-3)
    assert means["geometric"]([ethanol])[0].score == 0
    assert means["arithmetic"]([ethanol])[0].parts[0] == 0


def test_alerts_and_atoms() -> None:
    found = objective({"parts": {
        "clean": {"kind": "alerts"}, "one": {"kind": "atoms", "of": "Cl"},
    }})  # fmt: skip
    assert [each.parts for each in found(["CC(=O)Cl", "c1ccccc1"])] == [(0.0, 1.0), (1.0, 0.0)]


def test_a_tuned_head_is_a_part(starter_folder: Path, tmp_path: Path) -> None:
    import shutil

    import torch

    from foundation.domains.molecule.head import write_head

    shutil.copytree(starter_folder, tmp_path / "model")
    weights = {"weight": torch.zeros(2, 16), "bias": torch.tensor([0.0, math.log(3.0)])}
    write_head(tmp_path / "model", ["no", "yes"], weights)
    part = {"kind": "tuned", "path": str(tmp_path / "model"), "label": "yes"}
    assert objective({"parts": {"told": part}})(["CCO"])[0].score == pytest.approx(0.75)
    with pytest.raises(UnknownName, match="did you mean 'yes'"):
        objective({"parts": {"told": {**part, "label": "yess"}}})


@given(x=numbers, y=numbers)
@pytest.mark.parametrize(
    "settings",
    [
        {"kind": "clipped", "low": -3, "high": 8},
        {"kind": "gaussian", "at": 2, "width": 3, "side": "below"},
        {"kind": "sigmoid", "low": 0, "high": 10},
        {"kind": "desirability", "low": 0, "target": 4, "power": 2},
    ],
    ids=lambda settings: settings["kind"],
)
def test_rising_curves_rise_within_their_range(settings: dict, x: float, y: float) -> None:
    made = curve(settings, "here")
    low, high = sorted((x, y))
    assert 0 <= made(low) <= made(high) <= 1


def test_curves_have_the_values_of_their_formulas() -> None:
    assert curve({"kind": "gaussian", "at": 1, "width": 2}, "")(3) == pytest.approx(math.exp(-0.5))
    above = curve({"kind": "gaussian", "at": 1, "width": 2, "side": "above"}, "")
    assert (above(-9), above(3)) == (1, pytest.approx(math.exp(-0.5)))
    middle = curve({"kind": "sigmoid", "low": 2, "high": 6, "steepness": 0.25}, "")
    assert middle(4) == pytest.approx(0.5)
    assert middle(6) == pytest.approx(1 / (1 + 10**-1.25))
    falling = curve(
        {"kind": "sigmoid", "low": 2, "high": 6, "steepness": 0.25, "falling": True}, ""
    )
    assert falling(6) == pytest.approx(1 - middle(6))
    both = curve({"kind": "desirability", "low": 0, "target": 2, "high": 6, "power": 2}, "")
    assert [both(x) for x in (-1, 1, 2, 4, 7)] == [0, 0.25, 1, 0.25, 0]
    only_high = curve({"kind": "desirability", "target": 2, "high": 5}, "")
    assert [only_high(x) for x in (-9, 3.5, 9)] == [1, 0.5, 0]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "objective.parts is empty"),
        ({"parts": {"a": {}}}, "objective.parts.a needs a kind"),
        ({"parts": {"a": {"kind": "propery", "of": "qed"}}}, "did you mean 'property'"),
        ({"parts": {"a": {"kind": "property", "of": "qedd"}}}, "did you mean 'qed'"),
        ({"parts": {"a": {"kind": "similarity", "to": "C1"}}}, "RDKit cannot read 'C1'"),
        ({"parts": {"a": {"kind": "substructure", "smarts": "(("}}}, "the SMARTS"),
        ({"parts": {"a": {"kind": "formula", "is": "H2o"}}}, "no formula such as"),
        ({"parts": {"a": {"kind": "atoms", "of": "Xx"}}}, "no element 'Xx'"),
        ({"parts": {"a": {"kind": "tuned", "path": "nowhere"}}}, "holds no tuned head"),
        ({"parts": {"a": {"kind": "property", "of": "qed", "weight": 0}}}, "must be above 0"),
        ({"parts": {"a": {"kind": "property", "of": "qed", "curve": {"kind": "clipped"}}}},
         "a clipped curve needs high"),
        ({"parts": {"a": {"kind": "property", "of": "qed",
                          "curve": {"kind": "clipped", "low": 2, "high": 1}}}}, "must be below"),
        ({"parts": {"a": {"kind": "alerts"}}, "mean": "harmonic"}, "unknown mean"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told_in_one_line(settings: dict, told: str) -> None:
    with pytest.raises(InputError, match=told) as error:
        objective(settings)
    assert isinstance(error.value, RequestError | UnknownName)
    assert "\n" not in str(error.value)

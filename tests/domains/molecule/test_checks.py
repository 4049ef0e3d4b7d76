import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase

from foundation.domains.molecule.checks import COLUMNS, MAX_LENGTH, check
from foundation.domains.molecule.novelty import BloomFilter

SHORT = {"parses", "sanitises", "canonical", "inchikey", "novel"}


@pytest.mark.parametrize(
    ("text", "parses", "reason"),
    [
        ("CC(C", False, "extra open parentheses at position 3"),
        ("CC)C", False, "extra close parentheses at position 3"),
        ("C1CC", False, "unclosed ring"),
        ("Cxx", False, "syntax error at position 2"),
        ("", False, "empty SMILES"),
        ("CC O", False, "white space at position 3"),
        ("CC\n", False, "white space at position 3"),
        ("CÇ", False, r"character '\xc7' at position 2"),
        ("C\0C", False, r"character '\x00' at position 2"),
        ("\ud800", False, r"character '\ud800' at position 1"),
        ("C" * (MAX_LENGTH + 1), False, f"{MAX_LENGTH + 1} characters are more than {MAX_LENGTH}"),
        ("CN(C)(C)C", True, "valence for atom 1 N, 4, is greater than permitted"),
        ("cc", True, "non-ring atom 0 marked aromatic"),
        ("c1cccc1", True, "Can't kekulize mol. Unkekulized atoms: 0 1 2 3 4"),
    ],
)
def test_an_invalid_row_says_why(text: str, parses: bool, reason: str) -> None:
    (row,) = check([text])
    assert row["reason"] == reason
    assert (row["valid"], row["parses"], row["sanitises"]) == (False, parses, False)
    assert all(row[name] is None for name in COLUMNS if name not in ("parses", "sanitises"))


def test_a_valid_row_has_every_column() -> None:
    (row,) = check(["OCC"])
    assert list(row) == ["valid", "reason", *COLUMNS]
    assert (row["valid"], row["reason"], row["canonical"]) == (True, None, "CCO")
    assert row["inchikey"] == "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"
    assert (row["pains"], row["brenk"]) == ([], [])


def test_rows_keep_the_order_and_the_columns_asked_for() -> None:
    rows = check(["CCO.Cl", "C(", "OCC"], {"canonical", "weight"})
    assert [row["canonical"] for row in rows] == ["CCO.Cl", None, "CCO"]
    assert [row["valid"] for row in rows] == [True, False, True]
    assert all(list(row) == ["valid", "reason", "canonical", "weight"] for row in rows)
    assert check([]) == []


def test_columns_that_are_the_models_own_are_passed_over() -> None:
    (row,) = check(["C"], ["rings", "log_likelihood"])
    assert row == {"valid": True, "reason": None, "rings": 0}


def test_what_has_no_inchikey_is_valid_all_the_same() -> None:
    (row,) = check(["*C"], SHORT)
    assert (row["valid"], row["inchikey"]) == (True, None)


def test_novel_is_against_the_filter(tmp_path: Path) -> None:
    import rdkit

    path = tmp_path / "known.safetensors"
    BloomFilter.build(["CCO"], 1).save(path, rdkit=rdkit.__version__)
    rows = check(["OCC", "CCN", "C("], ["novel"], path)
    assert [row["novel"] for row in rows] == [False, True, None]
    rows = check(["OCC"], ["novel"], tmp_path / "missing")
    assert [row["novel"] for row in rows] == [None]


def plain(text: str) -> str | None:
    """The canonical SMILES that RDKit alone gives."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(text)
    return None if molecule is None else Chem.MolToSmiles(molecule)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text("CNOcno()[]123=#%+-@H./\\Fl*", max_size=12), max_size=4))
def test_any_smiles_like_text_is_a_row_as_rdkit_judges_it(texts: list[str]) -> None:
    for text, row in zip(texts, check(texts), strict=True):
        assert row["canonical"] == (plain(text) or None)
        assert row["valid"] == row["sanitises"] == (row["reason"] is None)
        assert "\n" not in (row["reason"] or "")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=20))
def test_any_text_is_a_row(text: str) -> None:
    (row,) = check([text])
    assert row["valid"] == (row["reason"] is None)


def test_large_and_deep_molecules_are_rows() -> None:
    texts = ["C" * MAX_LENGTH, "C" + "(C" * 2000, "C(" * 900 + "C" + ")" * 900, "[" * 4000]
    assert [row["valid"] for row in check(texts, SHORT)] == [True, False, True, False]


def test_nothing_is_printed_and_import_is_light() -> None:
    code = (
        "import sys; from foundation.domains.molecule.checks import check\n"
        "assert not {'rdkit', 'torch', 'numpy'} & set(sys.modules), 'heavy import'\n"
        "check(['CC(C', 'CN(C)(C)C', '[HH2]', '*', 'C/C=C/C', 'N~C', 'CC(F)Cl', 'c1cccc1'])\n"
        "from rdkit import Chem; Chem.MolFromSmiles('C(')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    # Only the last line of the code, after the check, may speak: RDKit's log is as it was.
    assert "C(C" not in done.stderr
    assert "C(" in done.stderr

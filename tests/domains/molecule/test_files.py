import csv
import gzip
import tempfile
import tracemalloc
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from rdkit import Chem

from foundation.domains.molecule.files import read
from foundation.errors import RequestError, UnknownName

ETHANOL = Chem.SDWriter.GetText(Chem.MolFromSmiles("CCO"))
ALANINE_V3000 = Chem.SDWriter.GetText(Chem.MolFromSmiles("C[C@H](N)C(=O)O"), force_v3000=True)
SIX_BONDS = ETHANOL.replace("  1  2  1  0", "  1  2  3  0").replace("  2  3  1  0", "  2  3  3  0")
TRUNCATED = "\n".join(ETHANOL.splitlines()[:6]) + "\n$$$$\n"

smiles_text = st.text("CNOSclonsBrF()[]=#@+-\\/%.*:0123456789", min_size=1).filter(
    lambda text: not text.startswith("#")
)
names = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]))


# A busy machine is no failure.
busy = settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])


def save(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_smiles_file_skips_comments_blank_lines_and_header(tmp_path: Path) -> None:
    path = save(tmp_path, "a.smi", "# made by hand\n\nSMILES Name\nCCO grain alcohol\r\n\n\tC#N\n")
    assert list(read(path)) == [
        {"smiles": "CCO", "name": "grain alcohol"},
        {"smiles": "C#N", "name": None},
    ]


@pytest.mark.parametrize("suffix", [".smi", ".SMILES", ".txt", ".smi.gz"])
def test_every_suffix_of_a_smiles_file(tmp_path: Path, suffix: str) -> None:
    content = b"CCO a\nCC b\n"
    path = save(
        tmp_path, f"x.y{suffix}", gzip.compress(content) if suffix.endswith("gz") else content
    )
    assert [row["name"] for row in read(path)] == ["a", "b"]


def test_byte_order_mark_is_no_part_of_the_first_molecule(tmp_path: Path) -> None:
    assert [row["smiles"] for row in read(save(tmp_path, "a.smi", "\ufeffCCO\nCC\n"))] == [
        "CCO",
        "CC",
    ]


def test_bytes_that_are_not_utf8_are_a_row_or_a_marked_name(tmp_path: Path) -> None:
    first, second, third = read(save(tmp_path, "a.smi", b"CCO caf\xe9\nC\xe9 x\nCC y\n"))
    assert first == {"smiles": "CCO", "name": "caf\ufffd"}
    assert second["error"] == "record 2: not text in UTF-8"
    assert third == {"smiles": "CC", "name": "y"}


def test_sdf_reads_both_versions_and_their_names(tmp_path: Path) -> None:
    content = "grain alcohol" + ETHANOL + ALANINE_V3000
    assert "V3000" in content
    assert list(read(save(tmp_path, "a.sdf", content))) == [
        {"smiles": "CCO", "name": "grain alcohol"},
        {"smiles": "C[C@H](N)C(=O)O", "name": None},
    ]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        (ETHANOL.replace(" C  ", " Xx ", 1), "Element 'Xx' not found"),
        (SIX_BONDS, "Explicit valence for atom # 1 C, 6"),
        (TRUNCATED, "EOF hit while reading atoms"),
        ("not\na\nmolfile\nat all\n$$$$\n", "Cannot convert"),
        (Chem.SDWriter.GetText(Chem.Mol()), "no atoms"),
    ],
)
def test_a_broken_sdf_record_costs_only_itself(tmp_path: Path, broken: str, reason: str) -> None:
    rows = list(read(save(tmp_path, "a.sdf", ETHANOL + broken + ALANINE_V3000)))
    assert [row["smiles"] for row in rows] == ["CCO", "", "C[C@H](N)C(=O)O"]
    assert rows[1]["error"].startswith("record 2: ")
    assert reason in rows[1]["error"]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_sdf_line_ends_missing_delimiter_and_blank_tail(tmp_path: Path, newline: str) -> None:
    for tail in (ETHANOL + "\n\n", ETHANOL.removesuffix("$$$$\n")):
        path = save(tmp_path, "a.sdf", (ETHANOL + tail).replace("\n", newline))
        assert [row["smiles"] for row in read(path)] == ["CCO", "CCO"]


def test_sdf_data_fields_are_not_mistaken_for_molecules(tmp_path: Path) -> None:
    record = ETHANOL.replace("$$$$", ">  <note>\nM  END\n 1 2 $$$$\n\n$$$$")
    assert len(list(read(save(tmp_path, "a.sdf", record + ETHANOL)))) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "ID,Smiles\n7,CCO\n"),
        ("a.csv", "id;SMILES\n7;CCO\n"),
        ("a.csv", '\ufeff"name","smiles"\n"7"," CCO "\n'),
        ("a.tsv", "smiles\tname\nCCO\t7\n"),
        ("a.csv", "smiles,name,id\nCCO,7,8\n,,\n\n"),
    ],
)
def test_tables_find_the_column_whatever_its_case(tmp_path: Path, name: str, content: str) -> None:
    assert list(read(save(tmp_path, name, content))) == [{"smiles": "CCO", "name": "7"}]


def test_a_named_column_and_the_nearest_when_it_is_not_there(tmp_path: Path) -> None:
    path = save(tmp_path, "a.csv", "ligand,smiles\nCC,CCO\n")
    assert [row["smiles"] for row in read(path, "Ligand")] == ["CC"]
    with pytest.raises(UnknownName, match=r"unknown column 'ligands' in a.csv.*'ligand'"):
        read(path, "ligands")


def test_broken_table_rows_keep_their_neighbours(tmp_path: Path) -> None:
    content = (
        'id,smiles\n1,CCO\n2\n3,"C"C\n4,"C\nC"\n5,\n6,' + "C" * 200_000 + '\n7,CC\n8,"C\n9,C\n'
    )
    rows = list(read(save(tmp_path, "a.csv", content)))
    assert [row["smiles"] for row in rows if "error" not in row] == ["CCO", "CC"]
    assert [row["error"] for row in rows if "error" in row] == [
        "record 2: no column 'smiles'",
        "record 3: ',' expected after '\"'",
        "record 4: a line break inside the SMILES",
        "record 5: no SMILES",
        "record 6: field larger than field limit (131072)",
        "record 8: unexpected end of data",
    ]


@busy
@given(st.lists(st.tuples(smiles_text, names), min_size=1, max_size=20))
def test_csv_and_parquet_round_trip(rows: list[tuple[str, str]]) -> None:
    expected = [{"smiles": smiles, "name": name.strip() or None} for smiles, name in rows]
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "a.csv"
        with table.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("smiles", "name"), *rows])
        assert list(read(table)) == expected
        columns = {"name": [name for _, name in rows], "smiles": [smiles for smiles, _ in rows]}
        parquet.write_table(pa.table(columns), Path(folder) / "a.parquet")
        assert list(read(Path(folder) / "a.parquet")) == expected


@busy
@given(st.lists(st.tuples(smiles_text, names), min_size=1, max_size=20))
def test_smiles_file_round_trip(rows: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(f"{smiles} {name}\n" for smiles, name in rows)
        path = save(Path(folder), "a.smi", lines)
        assert list(read(path)) == [
            {"smiles": smiles, "name": name.strip() or None} for smiles, name in rows
        ]


@busy
@given(st.binary(), st.sampled_from([".smi", ".sdf", ".csv", ".tsv", ".parquet", ".smi.gz"]))
def test_any_bytes_are_rows_or_one_line(content: bytes, suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder), f"a{suffix}", content)
        message, rows = "", []
        try:
            rows = list(read(path))
        except (RequestError, UnknownName) as error:
            message = str(error)
        assert bool(rows) != bool(message)
        assert len(message.splitlines()) <= 1
        assert all(row["smiles"] or row["error"] for row in rows)
        pa.table({name: [row[name] for row in rows] for name in ("smiles", "name")})


def test_parquet_of_nulls_dictionaries_and_other_types(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    smiles = pa.array(["CCO", None, "CC"]).dictionary_encode()
    parquet.write_table(pa.table({"SMILES": smiles, "id": [1, 2, 3], "weight": [1.0] * 3}), path)
    rows = list(read(path))
    assert rows[0] == {"smiles": "CCO", "name": "1"}
    assert rows[1]["error"] == "record 2: no SMILES"
    with pytest.raises(RequestError, match="'weight' holds double, not text"):
        read(path, "weight")


def test_a_truncated_gzip_keeps_what_came_before(tmp_path: Path) -> None:
    path = save(tmp_path, "a.smi.gz", gzip.compress(b"CCO\n" * 100_000)[:-40])
    rows = list(read(path))
    assert len(rows) > 10_000
    assert all(row["smiles"] == "CCO" for row in rows[:-1])
    assert f"record {len(rows)}: the rest of a.smi.gz cannot be read" in rows[-1]["error"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.smi", b"", "holds no molecules"),
        ("a.smi", b"# nothing\n\n", "holds no molecules"),
        ("a.sdf", b"\n\n", "holds no molecules"),
        ("a.csv", b"smiles\n", "holds no molecules"),
        ("a.smi.gz", b"CCO\n", "cannot be read: Not a gzipped file"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.csv", "smiles\nCCO\n".encode("utf-16"), "is not text in UTF-8"),
        ("a.pdb", b"ATOM", r"no known kind: known are \.smi.*\.parquet"),
    ],
)
def test_files_of_no_use_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        read(save(tmp_path, name, content))


def test_missing_paths_folders_and_needless_columns(tmp_path: Path) -> None:
    path = save(tmp_path, "ligands.smi", "CCO\n")
    with pytest.raises(RequestError, match=r"no such file: .*did you mean .*ligands\.smi\?"):
        read(tmp_path / "ligand.smi")
    with pytest.raises(RequestError, match=r"no such file: \S+$"):
        read(tmp_path / "nowhere" / "x.smi")
    with pytest.raises(RequestError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(RequestError, match="has no columns"):
        read(path, "smiles")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.sdf", ETHANOL * 1_500),
        ("a.smi", "CCO ethanol\n" * 20_000),
        ("a.csv", "smiles,name\n" + "CCO,ethanol\n" * 20_000),
    ],
)
def test_memory_does_not_grow_with_the_file(tmp_path: Path, name: str, content: str) -> None:
    path = save(tmp_path, name, content)
    next(read(path))
    tracemalloc.start()
    count = sum(1 for _ in read(path))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count >= 1_500
    assert peak < len(content) / 2

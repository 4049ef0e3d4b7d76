import base64
import html.parser
import io
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet
from rdkit import Chem

from foundation.domains.molecule import outputs
from foundation.domains.molecule.files import read

SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "input": pa.string(),
        "output": pa.string(),
        "valid": pa.bool_(),
        "reason": pa.string(),
        "seed": pa.int64(),
        "model": pa.string(),
        "canonical": pa.string(),
        "unique": pa.bool_(),
        "novel": pa.bool_(),
        "weight": pa.float64(),
        "logp": pa.float64(),
        "qed": pa.float64(),
        "sa": pa.float64(),
        "lipinski": pa.bool_(),
        "pains": pa.list_(pa.string()),
        "brenk": pa.list_(pa.string()),
    }
)


def row(number: int, smiles: str, **columns: Any) -> dict[str, Any]:
    valid = Chem.MolFromSmiles(smiles) is not None
    return {
        "id": number,
        "output": smiles,
        "valid": valid,
        "reason": None if valid else "does not parse",
        "canonical": Chem.CanonSmiles(smiles) if valid else None,
        "unique": True if valid else None,
        "qed": 0.5 if valid else None,
        **columns,
    }


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, SCHEMA)


def write(folder: Path, rows: list[dict[str, Any]], task: str = "generate") -> list[Path]:
    parquet.write_table(table(rows), folder / "results.parquet", row_group_size=7)
    return outputs.write(folder, task, folder / "results.parquet")


def records(sdf: Path) -> list[Chem.Mol]:
    return list(Chem.SDMolSupplier(str(sdf)))


def test_sdf_has_the_valid_rows_with_their_columns(tmp_path: Path) -> None:
    columns = {
        "seed": 3, "model": "molecule/starter", "novel": False, "lipinski": True,
        "weight": 46.069, "pains": [], "brenk": ["a_b(1)", "c d"],
    }  # fmt: skip
    rows = [row(5, "OCC", **columns), row(6, "C1CC"), row(7, "N[C@@H](C)C(=O)O")]
    sdf, png = write(tmp_path, rows)
    assert (sdf.name, png.name) == ("molecules.sdf", "molecules.png")
    first, second = records(sdf)
    assert first.GetProp("_Name") == "5"
    told = first.GetPropsAsDict(autoConvertStrings=False)
    assert "sha256" in told.pop("provenance")
    assert told == {
        "seed": "3", "model": "molecule/starter", "canonical": "CCO", "unique": "true",
        "novel": "false", "weight": "46.069", "qed": "0.5", "lipinski": "true",
        "brenk": "a_b(1); c d",
    }  # fmt: skip
    assert second.GetProp("_Name") == "7"
    assert [row["smiles"] for row in read(sdf)] == ["CCO", Chem.CanonSmiles(rows[2]["output"])]


@pytest.mark.parametrize(
    "smiles",
    ["F/C=C/F", "F/C=C\\F", "N[C@@H](C)C(=O)O", "[*:1]c1ccc([*:2])cc1", "[13CH4]", "[Na+].[Cl-]",
     "N->[Pt](<-N)(Cl)Cl", "c1ccc2c(c1)[nH]c1ccccc12", "[2H]OC", "[O-][N+](=O)C", "[H][H]"],
)  # fmt: skip
def test_the_structure_survives_the_sdf(tmp_path: Path, smiles: str) -> None:
    sdf, _ = write(tmp_path, [row(0, smiles)])
    (found,) = records(sdf)
    assert Chem.MolToSmiles(found) == Chem.CanonSmiles(smiles)
    assert found.GetConformer().GetPositions()[:, 2].max() == 0


def test_v3000_only_above_999_atoms(tmp_path: Path) -> None:
    large = row(1, "C" * 1000, unique=False)  # not drawn
    sdf, _ = write(tmp_path, [row(0, "CCO"), large])
    first, second, _ = sdf.read_text().split("$$$$\n")
    assert "V2000" in first
    assert "V3000" in second
    assert [molecule.GetNumAtoms() for molecule in records(sdf)] == [3, 1000]


@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(text=st.text(), name=st.text())
def test_no_text_breaks_an_sdf_record(text: str, name: str) -> None:
    text = "a\n\n$$$$\nM  END\n> <canonical>\n" + text
    with tempfile.TemporaryDirectory() as folder:
        sdf, _ = write(Path(folder), [row(0, "CCO", input=text, model=name), row(1, "CC")])
        first, second = records(sdf)
    assert first.GetProp("input").split() == text.split()
    assert first.GetProp("canonical") == "CCO"
    assert second.GetProp("_Name") == "1"


def test_picture_shows_the_first_valid_and_unique(tmp_path: Path) -> None:
    drawn = [row(number, "C" * (number + 2)) for number in range(8)]
    other = [row(100, "C("), row(101, "CCO", unique=False)]
    _, png = write(tmp_path, other + drawn[::-1])
    expected = png.read_bytes()
    _, png = write(tmp_path, drawn)
    assert png.read_bytes() == expected
    _, png = write(tmp_path, [*drawn[:7], row(7, "N")])
    assert png.read_bytes() != expected


@pytest.mark.parametrize(
    ("count", "columns", "lines"), [(1, 1, 1), (5, 5, 1), (6, 5, 2), (50, 5, 4)]
)
def test_picture_grows_to_five_by_four(
    tmp_path: Path, count: int, columns: int, lines: int
) -> None:
    _, png = write(tmp_path, [row(number, "c1ccccc1") for number in range(count)])
    with Image.open(png) as image:
        assert image.size == (420 * columns + 20, 376 * lines + 20)


def test_picture_is_light_opaque_and_has_ink_in_every_card(tmp_path: Path) -> None:
    _, png = write(tmp_path, [row(number, "c1ccccc1O", logp=-12.3, sa=1.0) for number in range(5)])
    with Image.open(png) as image:
        assert image.mode == "RGB"
        pixels = np.asarray(image.convert("L"))
    assert pixels[0, 0] > 230
    for card in range(5):
        drawing = pixels[60:300, 20 + 420 * card : 420 + 420 * card]
        caption = pixels[320:370, 30 + 420 * card : 410 + 420 * card]
        assert drawing.min() < 80
        assert caption.min() < 80


def test_nothing_valid_is_an_empty_sdf_and_a_picture_that_says_so(tmp_path: Path) -> None:
    for rows in ([], [row(0, "C(")]):
        sdf, png = write(tmp_path, rows)
        assert sdf.read_bytes() == b""
        with Image.open(png) as image:
            assert np.asarray(image.convert("L")).min() < 150


def test_tasks_without_molecules_write_nothing(tmp_path: Path) -> None:
    assert write(tmp_path, [row(0, "CCO")], task="embed") == []
    assert [path.name for path in tmp_path.iterdir()] == ["results.parquet"]


def test_writing_again_replaces_and_leaves_nothing_beside(tmp_path: Path) -> None:
    write(tmp_path, [row(0, "CCO"), row(1, "CC")])
    write(tmp_path, [row(0, "CCO")])
    assert len(records(tmp_path / "molecules.sdf")) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "molecules.png", "molecules.sdf", "results.parquet",
    ]  # fmt: skip


def test_a_full_disk_is_an_error_not_a_short_file(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    rows = [row(number, "CCO") for number in range(100)]
    parquet.write_table(table(rows), tmp_path / "results.parquet")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            outputs.write(tmp_path, "generate", tmp_path / "results.parquet")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["results.parquet"]


class Balance(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_has_a_picture_its_own_colours_and_the_counts() -> None:
    rows = [row(0, "CCO", novel=True), row(1, "OCC", unique=False, novel=False), row(2, "C(")]
    view = outputs.html(table(rows), Path())
    assert "3 molecules, 66.7 % valid, of these 50.0 % unique, 50.0 % novel" in view
    assert "background:#eef1f6;color:#1f2733" in view
    data = re.search(r"data:image/png;base64,([^\"]+)", view)
    assert data
    with Image.open(io.BytesIO(base64.b64decode(data[1]))) as image:
        assert image.size == (440, 396)


def test_html_never_holds_a_row_s_own_markup() -> None:
    bad = "<script>alert(1)</script>"
    view = outputs.html(
        table([row(0, bad, reason=bad, input=bad), row(1, "CC", model=bad)]), Path()
    )
    parser = Balance()
    parser.feed(view)
    assert parser.open == []
    assert parser.tags == {"div", "img"}


def test_views_of_no_rows_and_of_tables_without_checks() -> None:
    assert "0 molecules" in outputs.html(table([]), Path())
    assert outputs.text(table([])) == "0 molecules"
    bare = table([row(0, "CCO")]).select(["id", "output", "valid"])
    assert "1 molecule, 100.0 % valid<" in outputs.html(bare, Path())
    embedded = bare.append_column("embedding", pa.array([[0.5] * 4], pa.list_(pa.float32(), 4)))
    assert "CCO" in outputs.text(embedded)


def test_text_is_ten_plain_lines() -> None:
    rows = [row(0, "CCO", sa=1.25, logp=-0.04), row(1, "\x1b[2J\n(", reason="bad\x07")]
    view = outputs.text(table(rows + [row(number, "C" * 90) for number in range(2, 40)]))
    lines = view.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("40 molecules, 97.5 % valid")
    assert lines[1].split() == ["0", "CCO", "QED", "0.50", "SA", "1.2", "logP", "-0.0"]
    assert lines[2].endswith("bad\ufffd")
    assert all(line.isprintable() and len(line) < 110 for line in lines)


def test_a_long_table_is_written_by_processes_as_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smiles = ["CCO", "c1ccccc1", "C1CC", "CC(=O)Nc1ccc(O)cc1"]
    rows = [row(n, smiles[n % 4]) for n in range(outputs._ROWS_ALONE + 100)]
    parquet.write_table(table(rows), tmp_path / "results.parquet")
    outputs.write(tmp_path, "generate", tmp_path / "results.parquet")
    together = (tmp_path / "molecules.sdf").read_bytes()
    monkeypatch.setattr(outputs, "_ROWS_ALONE", 10_000)
    outputs.write(tmp_path, "generate", tmp_path / "results.parquet")
    assert together == (tmp_path / "molecules.sdf").read_bytes()
    assert together.count(b"$$$$") == sum(each["valid"] for each in rows)


def test_without_the_systems_drawing_libraries_all_but_the_picture_is_written(
    tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setitem(sys.modules, "rdkit.Chem.Draw", None)  # as where libXrender is not there
    (sdf,) = write(tmp_path, [row(0, "CCO")])
    assert sdf.read_text().count("$$$$") == 1
    assert "apt-get install libxrender1" in capsys.readouterr().err

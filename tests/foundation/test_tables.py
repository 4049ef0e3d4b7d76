"""Readers of tables and lines: nothing is dropped, nothing is guessed, memory stays small."""

import gzip
import json
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from foundation import tables
from foundation.errors import RequestError, UnknownName

READERS = {".txt": tables.lines, **tables.tables(("text", "prompt"), ("label", "class"))}
busy = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


def save(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(path: Path) -> list[tuple[str | None, ...]]:
    return [record.cells for record in tables.read(path, READERS, "texts")]


def reasons(path: Path) -> list[str | None]:
    return [record.reason for record in tables.read(path, READERS, "texts")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", "id,Class,TEXT\n1,x,one\n2,y, two \n"),
        ("a.csv", "\ufefftext;label\none;x\n two ;y\n"),
        ("a.tsv", "prompt\tlabel\none\tx\n two \ty\n"),
        ("a.jsonl", '{"text": "one", "label": "x"}\n\n{"label": "y", "text": " two "}\n'),
    ],
)
def test_columns_are_found_by_any_of_their_names(tmp_path: Path, name: str, content: str) -> None:
    assert cells(save(tmp_path, name, content)) == [("one", "x"), (" two ", "y")]
    packed = save(tmp_path, f"{name}.gz", gzip.compress(content.encode()))
    assert cells(packed) == [("one", "x"), (" two ", "y")]


def test_parquet_and_numbers_as_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"label": [1, None], "text": ["one", None]}), path)
    assert cells(path) == [("one", "1"), (None, None)]
    assert cells(save(tmp_path, "a.jsonl", '{"text": "one", "label": 1}')) == [("one", "1")]


def test_lines_keep_their_blanks_and_lose_their_ends(tmp_path: Path) -> None:
    assert cells(save(tmp_path, "a.txt", "one\r\n\n two \nlast")) == [
        ("one",),
        (" two ",),
        ("last",),
    ]


def test_a_jsonl_file_keeps_the_neighbours_of_a_bad_record(tmp_path: Path) -> None:
    content = (
        '{"text": "one"}\nnope\n[1]\n{"text": 5}\n{"other": 1}\n{"text": "a\\ud800b"}\n'
        '{"text": "\\ud83d\\ude00"}\n' + "[" * 100_000 + "\n"
    )
    path = save(tmp_path, "a.jsonl", content)
    found = reasons(path)
    assert found[0] is found[4] is found[6] is None
    assert str(found[1]).startswith("record 2: not JSON")
    assert found[2] == 'record 3: no JSON object, such as {"text": "..."}'
    assert found[3] == "record 4: 'text' is no text but int"
    assert found[5] == "record 6: not text: a lone surrogate"
    assert str(found[7]).startswith("record 8: not JSON")
    texts = [row[0] if row else None for row in cells(path)]
    assert texts[5:7] == ["a\ufffdb", "\U0001f600"]


def test_ten_megabytes_on_one_line(tmp_path: Path) -> None:
    long = "word " * 2_000_000
    assert cells(save(tmp_path, "a.txt", f"one\n{long}\ntwo"))[1] == (long,)
    line = json.dumps({"text": long})
    assert cells(save(tmp_path, "a.jsonl", line)) == [(long, None)]
    path = save(tmp_path, "a.csv", f"text,label\none,x\n{long},y\ntwo,z\n")
    assert reasons(path) == [None, "record 2: field larger than field limit (131072)", None]


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.jsonl"])
def test_a_line_too_long_to_hold_costs_only_itself(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "LONGEST", 1000)
    good = '{"text": "one"}' if name == "a.jsonl" else "text" if name == "a.csv" else "one"
    path = save(tmp_path, name, f"{good}\n{'x' * 5000}\n{good}\n{'y' * 5000}\n{good}")
    found = reasons(path)
    first = 1 if name == "a.csv" else 2
    assert found[first - 1] == f"record {first}: a line of more than 1,000 characters"
    assert [reason is None for reason in found][first:] == [True, False, True]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "holds no texts"),
        ("a.txt", b"\n \n", "holds no texts"),
        ("a.csv", b"text\n", "holds no texts"),
        ("a.jsonl", b"\x00\x01\x02", "is not text in UTF-8"),
        ("a.csv", "text\n1\n".encode("utf-16"), "is not text in UTF-8"),
        ("a.parquet", b"PAR1", "cannot be read"),
        ("a.txt.gz", b"one\n", "cannot be read"),
        ("a.csv", b"x" * 200_000, "cannot be read: field larger than field limit"),
        ("a.docx", b"PK", "no known kind"),
        ("a.parquet.gz", b"PK", "no known kind"),
        ("a.csv", b"test,id\n1,2\n", "unknown column 'text' in a.csv: did you mean 'test'"),
        ("a.jsonl", b'{"txt": "x"}', "unknown column 'text' in a.jsonl: did you mean 'txt'"),
    ],
)
def test_files_of_no_use_are_refused_in_one_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    with pytest.raises((RequestError, UnknownName), match=message) as caught:
        list(tables.read(save(tmp_path, name, content), READERS, "texts"))
    assert len(str(caught.value).splitlines()) == 1


@busy
@given(
    st.binary(max_size=200), st.sampled_from(["a.txt", "a.csv", "a.jsonl", "a.tsv", "a.parquet"])
)
def test_any_bytes_are_records_or_one_line(content: bytes, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder), name, content)
        message, records = "", []
        try:
            records = list(tables.read(path, READERS, "texts"))
        except (RequestError, UnknownName) as error:
            message = str(error)
        assert bool(records) != bool(message)
        assert len(message.splitlines()) <= 1
        assert all(r.error or r.cells for r in records)
        assert [r.number for r in records] == list(range(1, len(records) + 1))


@busy
@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1), min_size=1, max_size=10))
def test_jsonl_round_trip(texts: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        lines = "".join(json.dumps({"text": text}) + "\n" for text in texts)
        path = save(Path(folder), "a.jsonl", lines)
        assert [row[0] for row in cells(path)] == texts


def test_an_object_may_have_columns_that_the_first_one_lacks(tmp_path: Path) -> None:
    lines = ['{"text": "one"}', '{"text": "two", "Class": "y"}', '{"label": "z", "text": "three"}']
    path = save(tmp_path, "a.jsonl", "\n".join(lines))
    assert cells(path) == [("one", None), ("two", "y"), ("three", "z")]

"""Texts in from every kind of file, labels and answers out."""

import csv
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from foundation.domains.language import DOMAIN
from foundation.domains.language.files import read
from foundation.domains.language.outputs import html, write
from foundation.errors import InputError, RequestError
from foundation.requests import settings
from foundation.table import schema

CONTENTS = {
    "a.txt": "one\n\n two\n",
    "a.csv": "id,text\n1,one\n2, two\n",
    "a.tsv": "prompt\tid\none\t1\n two\t2\n",
    "a.jsonl": '{"text": "one"}\n{"text": " two"}\n',
}


@pytest.mark.parametrize("name", CONTENTS)
def test_every_kind_of_file_gives_the_same_requests(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(CONTENTS[name])
    given = {"input": str(tmp_path / name)}
    for task in ("generate", "score", "embed"):
        items = list(settings(DOMAIN, task, given).requests())
        assert [item.input for item in items] == ["one", " two"]
        assert all(item.reason is None for item in items)


def test_records_of_no_use_are_rows_with_their_reasons(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,id\ngood,1\n,2\nb\xe9d,3\n" + b"x" * 10_000_000 + b",4\nfine,5\n")
    items = list(settings(DOMAIN, "score", {"input": str(path)}).requests())
    assert [item.reason for item in items] == [
        None,
        "record 2: an empty text",
        "record 3: not text in UTF-8",
        "record 4: field larger than field limit (131072)",
        None,
    ]


def test_a_named_column_and_one_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("review,text\nnice,x\n")
    assert [row["text"] for row in read(path, "Review")] == ["nice"]
    with pytest.raises(InputError, match="did you mean 'review'"):
        read(path, "reviews")
    (tmp_path / "a.txt").write_text("x\n")
    with pytest.raises(RequestError, match="has no columns"):
        read(tmp_path / "a.txt", "text")


def results(folder: Path, task: str, rows: list[dict[str, object]]) -> Path:
    path = folder / "results.parquet"
    names = schema(DOMAIN.tasks[task].columns)
    parquet.write_table(pa.Table.from_pylist(rows, schema=names), path)
    return path


ROWS = [
    {"id": 0, "input": 'say "a",\nplease', "output": "x", "valid": True, "probability": 0.75,
     "unsure": False},
    {"id": 1, "input": "<b>", "output": None, "valid": False, "reason": "too long"},
]  # fmt: skip


def _lines(path: Path) -> list[dict[str, object]]:
    """The lines without what each says of where it came from."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all("sha256" in line.pop("provenance")["seal"] for line in found)
    return found


def test_labels_are_a_table_that_any_program_reads(tmp_path: Path) -> None:
    (path,) = write(tmp_path, "classify", results(tmp_path, "classify", ROWS))
    assert path.name == "labels.csv"
    with path.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert first == {"id": "0", "text": 'say "a",\nplease', "label": "x", "probability": "0.75",
                     "unsure": "false", "reason": ""}  # fmt: skip
    assert (second["label"], second["reason"]) == ("", "too long")


def test_answers_are_lines_of_json(tmp_path: Path) -> None:
    rows = [{"id": 0, "input": "hi", "output": "\u00fc\n", "valid": True, "ended": "end"}, ROWS[1]]
    rows[1] = {"id": 1, "input": "<b>", "output": None, "valid": False, "reason": "too long"}
    (path,) = write(tmp_path, "generate", results(tmp_path, "generate", rows))
    assert _lines(path) == [
        {"id": 0, "prompt": "hi", "text": "\u00fc\n", "ended": "end"},
        {"id": 1, "prompt": "<b>", "text": None, "reason": "too long"},
    ]


def test_spans_are_json_lines_and_bio(tmp_path: Path) -> None:
    spans = [{"start": 3, "end": 11, "label": "city", "text": "New York"}]
    rows = [{"id": 0, "input": "in New York.", "output": json.dumps(spans), "valid": True,
             "starts": [3], "ends": [11], "labels": ["city"], "probabilities": [0.25],
             "unsure": True}, ROWS[1]]  # fmt: skip
    rows[1] = {"id": 1, "input": "<b>", "output": None, "valid": False, "reason": "too long"}
    lines, bio = write(tmp_path, "tag", results(tmp_path, "tag", rows))
    assert _lines(lines) == [
        {"id": 0, "text": "in New York.", "spans": [{**spans[0], "probability": 0.25}],
         "unsure": True},
        {"id": 1, "text": "<b>", "spans": None, "reason": "too long"},
    ]  # fmt: skip
    assert bio.read_text() == "in\tO\nNew\tB-city\nYork\tI-city\n.\tO\n\n"


def test_scores_have_no_file_of_their_own(tmp_path: Path) -> None:
    assert write(tmp_path, "score", tmp_path / "none") == []


def test_a_notebook_shows_text_as_text(tmp_path: Path) -> None:
    table = parquet.read_table(results(tmp_path, "classify", ROWS))
    shown = html(table, tmp_path)
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert "too long" in shown

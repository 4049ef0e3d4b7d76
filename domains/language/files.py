"""Texts from files: CSV, TSV, JSONL, Parquet, and plain text with one text a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation import tables
from foundation.errors import RequestError
from foundation.tables import Record

TEXT_COLUMNS = ("text", "prompt")
LABEL_COLUMNS = ("label", "category", "intent", "class")
_LINES: dict[str, tables.Reader] = {".txt": tables.lines, ".text": tables.lines}


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of `path` in file order, each `{"text": str, "prompt": the same}`, for a task's item.

    A record that cannot be read has the key `error`, with its number. `column` names the column of
    a table, case aside; without it, `text` or `prompt`. Kinds and errors: `tables.read`.
    """
    path = Path(path)
    if column and tables.kind(path) in _LINES:
        tables.check_exists(path)
        raise RequestError(f"task.column: {path.name} is no table and has no columns: leave it out")
    readers = {**_LINES, **tables.tables([column] if column else TEXT_COLUMNS)}
    return map(_row, tables.read(path, readers, "texts"))


def read_examples(path: Path) -> list[tuple[str, str]]:
    """(text, label) of every record of a table; RequestError for one that lacks either."""
    setting = "task.examples"
    readers = tables.tables(TEXT_COLUMNS, LABEL_COLUMNS)
    pairs = []
    for record in tables.read(path, readers, "examples", setting):
        text, label = record.cells or (None, None)
        if record.error is not None:
            raise RequestError(f"{setting}: {path}: {record.reason}")
        if not (text or "").strip() or not (label or "").strip():
            lacking = "label" if (text or "").strip() else "text"
            raise RequestError(f"{setting}: {path}: record {record.number} has no {lacking}")
        pairs.append((str(text), str(label).strip()))
    return pairs


def _row(record: Record) -> dict[str, Any]:
    text = record.cells[0] if record.cells else None
    error = record.error
    if error is None and not (text or "").strip():
        error = "an empty text"
    elif error is None and "\ufffd" in (text or ""):
        error = "not text in UTF-8"
    row: dict[str, Any] = {"text": text, "prompt": text}
    return {**row, "error": f"record {record.number}: {error}"} if error else row

"""Code from files: source files, tables of prompts, and standard input."""

import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from foundation import tables
from foundation.domains.code.languages import LANGUAGES
from foundation.errors import RequestError
from foundation.requests import STANDARD_INPUT
from foundation.tables import LONGEST, Record

CODE_COLUMNS = ("prefix", "prompt", "text", "code")
_OTHERS = (("suffix",), ("path",), ("language",))


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of `path` in file order, with the fields of requests: prompt (and text), suffix, ...

    A source file is one row, as standard input is, with a hole marked in it or not. A table (.csv,
    .tsv, .jsonl, .parquet) has a row a record: `column` names that of the code before the hole;
    without it, prefix, prompt, text or code. A record that cannot be read has the key `error`.
    """
    path = Path(path)
    if path == STANDARD_INPUT:
        return iter([_row(_record(sys.stdin.buffer.read(LONGEST + 1)), None)])
    readers = tables.tables([column] if column else CODE_COLUMNS, *_OTHERS)
    if tables.kind(path) not in readers:
        if column:
            tables.check_exists(path)
            raise RequestError(f"task.column: {path.name} is no table and has no columns")
        whole: dict[str, tables.Reader] = dict.fromkeys([*LANGUAGES, ".txt"], _source)
        return (_row(record, str(path)) for record in tables.read(path, whole | readers, "code"))
    return (_row(record, None) for record in tables.read(path, readers, "prompts"))


def read_source(path: str, setting: str) -> str:
    """The text of a source file, read once while it is untouched; RequestError if it is none."""
    found = Path(path).expanduser()
    tables.check_exists(found, setting)
    state = found.stat()
    return _text(found, setting, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _text(path: Path, setting: str, changed: int, size: int) -> str:
    if size > LONGEST:
        raise RequestError(f"{setting}: {path} has more than {LONGEST:,} bytes")
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise RequestError(f"{setting}: {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise RequestError(f"{setting}: {path} is not text in UTF-8") from None


def _source(path: Path) -> Iterator[Record]:
    with tables.text(path, newline="") as file:
        yield _record(file.read(LONGEST + 1))


def _record(content: str | bytes) -> Record:
    if len(content) > LONGEST:
        return Record(1, error=f"more than {LONGEST:,} characters")
    words = content.decode("utf-8", "replace") if isinstance(content, bytes) else content
    return Record(1, (words, None, None, None))


def _row(record: Record, path: str | None) -> dict[str, Any]:
    code, suffix, own, language = record.cells or (None, None, None, None)
    row: dict[str, Any] = {"prompt": code, "text": code, "suffix": suffix}
    row |= {"path": path or own, "language": language}
    error = record.error
    if error is None and "\ufffd" in (code or "") + (suffix or ""):
        error = "not text in UTF-8"
    return {**row, "error": f"record {record.number}: {error}"} if error else row

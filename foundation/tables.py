"""Rows of the files people keep data in: CSV, TSV, JSONL, Parquet and lines, read as a stream."""

import contextlib
import csv
import difflib
import gzip
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from foundation.errors import RequestError, UnknownName

LONGEST = 1 << 24
"""Characters of one line; a longer one is a record with an error, and is never held whole."""
_SNIFFED_BYTES = 1 << 16
_DAMAGE = (OSError, EOFError, ValueError, zlib.error, csv.Error)


@dataclass(frozen=True, slots=True)
class Record:
    """Record `number` of a file, counted from 1: its cells as they stand there, or an error."""

    number: int
    cells: tuple[str | None, ...] = ()
    error: str | None = None

    @property
    def reason(self) -> str | None:
        """The error with its place, for a row of results."""
        return None if self.error is None else f"record {self.number}: {self.error}"


Reader = Callable[[Path], Iterator[Record]]


def read(
    path: Path, readers: Mapping[str, Reader], noun: str, setting: str = "task.input"
) -> Iterator[Record]:
    """Records of `path` in file order, in memory that does not grow with the file.

    The kind of file is its suffix, one of `readers`; all but Parquet may be packed (`.gz`). Text is
    UTF-8, with or without a byte-order mark; other bytes become U+FFFD. A record that cannot be
    read is never dropped, and a file that breaks off keeps the records before the break. `noun`
    and `setting` are words of the messages.

    Raises:
        RequestError: no such file, an unknown kind, not text, empty, or damaged from the start.
        UnknownName: the table has no such column.
    """
    check_exists(path, setting)
    reader = readers.get(kind(path))
    if reader is None:
        packable = ", ".join(suffix for suffix in readers if suffix != ".parquet")
        also = " and .parquet" if ".parquet" in readers else ""
        raise RequestError(
            f"{setting}: {path.name} is of no known kind: known are {packable} "
            f"(each also with .gz){also}"
        )
    records = _until_damage(reader(path), path, setting)
    first = next(records, None)
    if first is None:
        raise RequestError(f"{setting}: {path} holds no {noun}")
    return itertools.chain([first], records)


def tables(needed: Sequence[str], *optional: Sequence[str]) -> dict[str, Reader]:
    """Readers of .csv, .tsv, .jsonl and .parquet by suffix.

    A record's first cell is of the first column of `needed` that the file has, the others of the
    first of each `optional`, or None where there is none. Names are compared case aside.
    """
    columns = Columns(tuple(needed), tuple(map(tuple, optional)))
    return {
        ".csv": lambda path: _delimited(path, columns, ",;\t"),
        ".tsv": lambda path: _delimited(path, columns, "\t"),
        ".jsonl": lambda path: _jsonl(path, columns),
        ".parquet": lambda path: _parquet(path, columns),
    }


def lines(path: Path) -> Iterator[Record]:
    """Each line that is not blank, without its end."""
    with text(path) as file:
        number = 0
        for line in _Lines(file, RequestError):
            if isinstance(line, RequestError):
                number += 1
                yield Record(number, error=str(line))
            elif line.strip():
                number += 1
                yield Record(number, (line.rstrip("\n"),))


@dataclass(frozen=True)
class Columns:
    """Which columns are wanted; each is named by the names it may have."""

    needed: tuple[str, ...]
    optional: tuple[tuple[str, ...], ...]

    def places(self, header: Sequence[str], path: Path) -> list[int | None]:
        """Where in the header each is; UnknownName where the needed one is not."""
        first = _place(header, self.needed)
        if first is None:
            shown = (_printable(title[:40]) for title in header[:20])
            raise UnknownName("column", self.needed[0], shown, f"in {path.name}")
        return [first, *(_place(header, names) for names in self.optional)]


def kind(path: Path) -> str:
    """A file's suffix in lower case, without that of a packed file; Parquet is never packed."""
    suffix = path.suffix.lower()
    inner = Path(path.stem).suffix.lower()
    return inner if suffix == ".gz" and inner != ".parquet" else suffix


def check_exists(path: Path, setting: str = "task.input") -> None:
    """Raise RequestError for a folder or a file that is not there, with the nearest that is."""
    if path.is_dir():
        raise RequestError(f"{setting}: {path} is a folder: name a file in it")
    if path.exists():
        return
    siblings: list[str] = []
    with contextlib.suppress(OSError):
        siblings = os.listdir(path.parent)
    near = difflib.get_close_matches(path.name, siblings, n=1)
    mend = f" (did you mean {path.with_name(near[0])}?)" if near else ""
    raise RequestError(f"{setting}: no such file: {path}{mend}")


@contextlib.contextmanager
def text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file, packed or not; RequestError for a binary one."""
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        if b"\0" in file.read(_SNIFFED_BYTES):
            raise RequestError(f"{path} is not text in UTF-8: convert it first")
    with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline=newline) as file:
        yield file


def one_line(error: Exception) -> str:
    """What an exception says, on one line."""
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(words.split()) or type(error).__name__


def _until_damage(records: Iterator[Record], path: Path, setting: str) -> Iterator[Record]:
    done = 0
    try:
        for record in records:
            yield record
            done += 1
    except _DAMAGE as error:
        reason = one_line(error)
        if not done:
            raise RequestError(f"{setting}: {path} cannot be read: {reason}") from error
        yield Record(done + 1, error=f"the rest of {path.name} cannot be read: {reason}")


class _Lines:
    """A file's lines; of one longer than LONGEST the rest is skipped and `error` takes its place.

    A csv.Error is raised, not returned: csv.reader passes it on and can go on afterwards.
    """

    def __init__(self, file: TextIO, error: type[Exception]) -> None:
        self._file, self._error = file, error

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> Any:
        line = self._file.readline(LONGEST)
        if not line:
            raise StopIteration
        if len(line) < LONGEST or line.endswith("\n"):
            return line
        while (rest := self._file.readline(LONGEST)) and not rest.endswith("\n"):
            pass
        error = self._error(f"a line of more than {LONGEST:,} characters")
        if self._error is csv.Error:
            raise error
        return error


def _delimited(path: Path, columns: Columns, delimiters: str) -> Iterator[Record]:
    with text(path, newline="") as file:
        source = _Lines(file, csv.Error)
        header_line = next((line for line in source if line.strip()), None)
        if header_line is None:
            return
        delimiter = max(delimiters, key=header_line.count)
        # strict: a quote that is never closed is reported and does not swallow records.
        cells = csv.reader(_Again(header_line, source), delimiter=delimiter, strict=True)
        header = [title.strip() for title in next(cells)]
        places = columns.places(header, path)
        at = places[0] or 0
        number = 0
        while True:
            number += 1
            try:
                row = next(cells)
            except StopIteration:
                return
            except csv.Error as error:
                yield Record(number, error=one_line(error))
                continue
            if not any(map(str.strip, row)):
                number -= 1
            elif at >= len(row):
                yield Record(number, error=f"no column '{header[at]}'")
            else:
                yield Record(number, tuple([_cell(row, place) for place in places]))


class _Again:
    """A first line, then the others; unlike a chain it outlives an exception of theirs."""

    def __init__(self, first: str, others: Iterator[str]) -> None:
        self._first: str | None = first
        self._others = others

    def __iter__(self) -> "_Again":
        return self

    def __next__(self) -> str:
        if self._first is None:
            return next(self._others)
        line, self._first = self._first, None
        return line


def _jsonl(path: Path, columns: Columns) -> Iterator[Record]:
    """One object a line; the first one tells which name the needed column has."""
    needed: str | None = None
    for record in lines(path):
        if record.error is not None:
            yield record
            continue
        try:
            value = json.loads(record.cells[0] or "")
        except (ValueError, RecursionError) as error:
            yield Record(record.number, error=f"not JSON: {one_line(error)}")
            continue
        if not isinstance(value, dict):
            yield Record(record.number, error='no JSON object, such as {"text": "..."}')
            continue
        header = list(value)
        if needed is None:
            needed = header[columns.places(header, path)[0] or 0]
        # An object may lack what another has.
        places = [_place(header, names) for names in columns.optional]
        names = [needed, *(None if place is None else header[place] for place in places)]
        yield _from_object(record.number, value, names)


def _from_object(number: int, value: Mapping[str, Any], names: Sequence[str | None]) -> Record:
    first = value.get(names[0] or "")
    if first is not None and not isinstance(first, str):
        return Record(number, error=f"'{names[0]}' is no text but {type(first).__name__}")
    cells = [first, *(_plain(value.get(name or "")) for name in names[1:])]
    for cell in cells:
        if cell is not None and not storable(cell):
            clean = tuple(None if c is None else replaced(c) for c in cells)
            return Record(number, clean, "not text: a lone surrogate")
    return Record(number, tuple(cells))


def storable(words: str) -> bool:
    """Whether a string has a UTF-8 form: one with a lone surrogate has none."""
    return words.isascii() or replaced(words) == words


def replaced(words: str) -> str:
    """A string with each lone surrogate replaced by U+FFFD."""
    if words.isascii():
        return words
    return "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in words)


def _plain(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)


def _parquet(path: Path, columns: Columns) -> Iterator[Record]:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:
        schema = file.schema_arrow
        places = columns.places(schema.names, path)
        at = places[0] or 0
        held = schema.types[at]
        held = held.value_type if pa.types.is_dictionary(held) else held
        if not (pa.types.is_string(held) or pa.types.is_large_string(held)):
            column = f"'{schema.names[at]}' holds {held}, not text"
            raise RequestError(f"{column}: choose another column of {path.name}")
        number = 0
        wanted = sorted({schema.names[place] for place in places if place is not None})
        for batch in file.iter_batches(batch_size=1024, columns=wanted):
            for row in batch.to_pylist():
                number += 1
                values = [None if p is None else row[schema.names[p]] for p in places]
                yield Record(number, tuple(None if v is None else str(v) for v in values))


def _place(header: Sequence[str], names: Sequence[str]) -> int | None:
    folded = [title.casefold() for title in header]
    for name in names:
        if name in header:
            return list(header).index(name)
        if name.casefold() in folded:
            return folded.index(name.casefold())
    return None


def _printable(words: str) -> str:
    return "".join(c if c.isprintable() else "\ufffd" for c in words)


def _cell(row: Sequence[str], place: int | None) -> str | None:
    return row[place] if place is not None and place < len(row) else None

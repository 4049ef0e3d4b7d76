"""Molecules from the files chemists keep: SMILES, SDF, CSV, TSV and Parquet, read as a stream."""

import contextlib
import csv
import difflib
import gzip
import io
import itertools
import os
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from foundation.errors import RequestError, UnknownName

Row = dict[str, Any]

_SMILES_HEADERS = frozenset({"smiles", "canonical_smiles", "isomeric_smiles"})
_NAME_COLUMNS = ("name", "id")
_SNIFFED_BYTES = 1 << 16
_DAMAGE = (OSError, EOFError, ValueError, zlib.error)


def read(path: Path, column: str | None = None) -> Iterator[Row]:
    """Rows of `path` in file order, in memory that does not grow with the file.

    A row is `{"smiles": str, "name": str | None}`; a record that cannot be read has the key
    `error` as well ("record 7: ...", counted from 1) and is never dropped. The kind of file is
    its suffix; all but Parquet may be packed (`.gz`). `column` names the SMILES column of a
    table, case aside; without it, `smiles`. Text is UTF-8, with or without a byte-order mark.

    Raises:
        RequestError: no such file, an unknown kind, not text, empty, or damaged from the start.
        UnknownName: the table has no such column.
    """
    path = Path(path)
    _check_exists(path)
    reader = _reader(path, column)
    rows = _until_damage(reader, path)
    first = next(rows, None)
    if first is None:
        raise RequestError(f"task.input: {path} holds no molecules")
    return itertools.chain([first], rows)


def _check_exists(path: Path) -> None:
    if path.is_dir():
        raise RequestError(f"task.input: {path} is a folder: name a file in it")
    if path.exists():
        return
    siblings: list[str] = []
    with contextlib.suppress(OSError):
        siblings = os.listdir(path.parent)
    near = difflib.get_close_matches(path.name, siblings, n=1)
    mend = f" (did you mean {path.with_name(near[0])}?)" if near else ""
    raise RequestError(f"task.input: no such file: {path}{mend}")


def _reader(path: Path, column: str | None) -> Iterator[Row]:
    packed = path.suffix.lower() == ".gz"
    suffix = Path(path.stem if packed else path.name).suffix.lower()
    if suffix in _TABLES:
        return _TABLES[suffix](path, column or "smiles")
    if suffix == ".parquet" and not packed:
        return _parquet(path, column or "smiles")
    if suffix not in _LISTS:
        known = ", ".join([*_LISTS, *_TABLES])
        raise RequestError(
            f"task.input: {path.name} is of no known kind: known are {known} (each also with "
            ".gz) and .parquet"
        )
    if column:
        raise RequestError(f"task.column: {path.name} is no table and has no columns: leave it out")
    return _LISTS[suffix](path)


def _until_damage(rows: Iterator[Row], path: Path) -> Iterator[Row]:
    """A file that breaks off (a truncated download) keeps the rows before the break."""
    done = 0
    try:
        for row in rows:
            yield row
            done += 1
    except _DAMAGE as error:
        reason = _one_line(error)
        if not done:
            raise RequestError(f"task.input: {path} cannot be read: {reason}") from error
        yield _failed(done + 1, f"the rest of {path.name} cannot be read: {reason}")


@contextlib.contextmanager
def _text(path: Path, newline: str | None = None) -> Iterator[TextIO]:
    """Bytes that are not UTF-8 become U+FFFD, which no SMILES has and every table can store."""
    opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        if b"\0" in file.read(_SNIFFED_BYTES):
            raise RequestError(f"task.input: {path} is not text in UTF-8: convert it first")
    with opener(path, "rt", encoding="utf-8-sig", errors="replace", newline=newline) as file:
        yield file


def _smiles(path: Path) -> Iterator[Row]:
    with _text(path) as file:
        lines = (line.strip() for line in file)
        content: Iterator[str] = (line for line in lines if line and not line.startswith("#"))
        first = next(content, None)
        if first is None:
            return
        if first.split()[0].lower() not in _SMILES_HEADERS:
            content = itertools.chain([first], content)
        for number, line in enumerate(content, 1):
            smiles, *name = line.split(None, 1)
            yield _row(number, smiles, name[0] if name else None)


def _sdf(path: Path) -> Iterator[Row]:
    """Cut at `$$$$` here: fed a whole file, RDKit also loses the record after a truncated one."""
    with _text(path) as file:
        number, ended = 1, False
        block: list[str] = []
        for line in itertools.chain(file, ["$$$$"]):
            if line.startswith("$$$$"):
                if any(map(str.strip, block)):
                    yield _from_molblock(number, block)
                    number += 1
                block, ended = [], False
            elif not ended:
                # The data fields after the block can be large and are not used.
                block.append(line)
                ended = line.startswith("M  END")


def _from_molblock(number: int, lines: Sequence[str]) -> Row:
    from rdkit import Chem, rdBase

    name = lines[0].strip() or None
    record = io.BytesIO("".join(lines).encode())
    with rdBase.CaptureErrorLog() as log:
        # Unlike MolFromMolBlock, the supplier logs why.
        molecule = next(Chem.ForwardSDMolSupplier(record), None)
    if molecule is None:
        return _failed(number, _rdkit_reason(log.messages), name=name)
    if not molecule.GetNumAtoms():
        return _failed(number, "no atoms", name=name)
    return _row(number, Chem.MolToSmiles(molecule), name)


def _delimited(path: Path, column: str, delimiters: str) -> Iterator[Row]:
    with _text(path, newline="") as file:
        header_line = next((line for line in file if line.strip()), None)
        if header_line is None:
            return
        delimiter = max(delimiters, key=header_line.count)
        # strict: a quote that is never closed is reported and does not swallow molecules.
        cells = csv.reader(itertools.chain([header_line], file), delimiter=delimiter, strict=True)
        header = [title.strip() for title in next(cells)]
        at, name_at = _position(header, column, path), _name_position(header)
        number = 0
        while True:
            number += 1
            try:
                row = next(cells)
            except StopIteration:
                return
            except csv.Error as error:
                yield _failed(number, _one_line(error))
                continue
            if not any(map(str.strip, row)):
                number -= 1
            elif at >= len(row):
                yield _failed(number, f"no column '{header[at]}'")
            else:
                name = row[name_at] if name_at is not None and name_at < len(row) else None
                yield _row(number, row[at], name)


def _csv(path: Path, column: str) -> Iterator[Row]:
    return _delimited(path, column, ",;\t")


def _tsv(path: Path, column: str) -> Iterator[Row]:
    return _delimited(path, column, "\t")


def _parquet(path: Path, column: str) -> Iterator[Row]:
    import pyarrow as pa
    from pyarrow import parquet

    with parquet.ParquetFile(path, pre_buffer=False) as file:
        schema = file.schema_arrow
        at, name_at = _position(schema.names, column, path), _name_position(schema.names)
        kind = schema.types[at]
        kind = kind.value_type if pa.types.is_dictionary(kind) else kind
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise RequestError(f"task.column: '{schema.names[at]}' holds {kind}, not text")
        wanted = [schema.names[i] for i in (at, name_at) if i is not None]
        number = 0
        for batch in file.iter_batches(batch_size=1024, columns=wanted):
            columns = [values.to_pylist() for values in batch.columns]
            for text, *name in zip(*columns, strict=True):
                number += 1
                yield _row(number, text or "", None if name in ([], [None]) else str(name[0]))


_LISTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".smi": _smiles,
    ".smiles": _smiles,
    ".txt": _smiles,
    ".sdf": _sdf,
    ".sd": _sdf,
    ".mol": _sdf,
}
_TABLES: dict[str, Callable[[Path, str], Iterator[Row]]] = {".csv": _csv, ".tsv": _tsv}


def _position(header: Sequence[str], column: str, path: Path) -> int:
    if column in header:
        return header.index(column)
    folded = [title.casefold() for title in header]
    if column.casefold() in folded:
        return folded.index(column.casefold())
    raise UnknownName("column", column, (title[:40] for title in header[:20]), f"in {path.name}")


def _name_position(header: Sequence[str]) -> int | None:
    folded = [title.casefold() for title in header]
    return next((folded.index(name) for name in _NAME_COLUMNS if name in folded), None)


def _row(number: int, smiles: str, name: str | None) -> Row:
    smiles, name = smiles.strip(), (name or "").strip() or None
    if not smiles:
        return _failed(number, "no SMILES", name=name)
    if "\ufffd" in smiles:
        return _failed(number, "not text in UTF-8", smiles, name)
    if len(smiles.splitlines()) > 1:
        return _failed(number, "a line break inside the SMILES", smiles, name)
    return {"smiles": smiles, "name": name}


def _failed(number: int, reason: str, smiles: str = "", name: str | None = None) -> Row:
    return {"smiles": smiles, "name": name, "error": f"record {number}: {reason}"}


def _rdkit_reason(log: str) -> str:
    """The first line of RDKit's log that says something, without its time stamp."""
    for line in log.splitlines():
        text = re.sub(r"^\[[\d:]+\]\s*(ERROR:)?\s*", "", line).strip()
        if text.strip("*-") and not text.endswith("Violation"):
            return text
    return "RDKit cannot read it"


def _one_line(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split()) or type(error).__name__

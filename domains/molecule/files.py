"""Molecules from the files chemists keep: SMILES, SDF, and the tables of foundation.tables."""

import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from foundation import tables
from foundation.errors import RequestError
from foundation.tables import Record, text

Row = dict[str, Any]

_SMILES_HEADERS = frozenset({"smiles", "canonical_smiles", "isomeric_smiles"})
_NAME_COLUMNS = ("name", "id")


def read(path: Path, column: str | None = None) -> Iterator[Row]:
    """Rows of `path` in file order, in memory that does not grow with the file.

    A row is `{"smiles": str, "name": str | None}`; a record that cannot be read has the key
    `error` as well ("record 7: ...", counted from 1) and is never dropped. `column` names the
    SMILES column of a table, case aside; without it, `smiles`. Kinds and errors: `tables.read`.
    """
    path = Path(path)
    if column and tables.kind(path) in _LISTS:
        tables.check_exists(path)
        raise RequestError(f"task.column: {path.name} is no table and has no columns: leave it out")
    readers = {**_LISTS, **tables.tables([column or "smiles"], _NAME_COLUMNS)}
    return map(_row, tables.read(path, readers, "molecules"))


def _smiles(path: Path) -> Iterator[Record]:
    with text(path) as file:
        lines = (line.strip() for line in file)
        content: Iterator[str] = (line for line in lines if line and not line.startswith("#"))
        first = next(content, None)
        if first is None:
            return
        if first.split()[0].lower() not in _SMILES_HEADERS:
            content = itertools.chain([first], content)
        for number, line in enumerate(content, 1):
            smiles, *name = line.split(None, 1)
            yield Record(number, (smiles, name[0] if name else None))


def _sdf(path: Path) -> Iterator[Record]:
    """Cut at `$$$$` here: fed a whole file, RDKit also loses the record after a truncated one."""
    with text(path) as file:
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


def _from_molblock(number: int, lines: Sequence[str]) -> Record:
    from rdkit import Chem, rdBase

    name = lines[0].strip() or None
    record = io.BytesIO("".join(lines).encode())
    with rdBase.CaptureErrorLog() as log:
        # Unlike MolFromMolBlock, the supplier logs why.
        molecule = next(Chem.ForwardSDMolSupplier(record), None)
    if molecule is None:
        return Record(number, ("", name), _rdkit_reason(log.messages))
    if not molecule.GetNumAtoms():
        return Record(number, ("", name), "no atoms")
    return Record(number, (Chem.MolToSmiles(molecule), name))


_LISTS: dict[str, tables.Reader] = {
    ".smi": _smiles,
    ".smiles": _smiles,
    ".txt": _smiles,
    ".sdf": _sdf,
    ".sd": _sdf,
    ".mol": _sdf,
}


def _row(record: Record) -> Row:
    smiles, name = ((cell or "").strip() for cell in record.cells or ("", None))
    error = record.error or _wrong(smiles)
    row: Row = {"smiles": smiles, "name": name or None}
    return {**row, "error": f"record {record.number}: {error}"} if error else row


def _wrong(smiles: str) -> str | None:
    if not smiles:
        return "no SMILES"
    if "\ufffd" in smiles:
        return "not text in UTF-8"
    return "a line break inside the SMILES" if len(smiles.splitlines()) > 1 else None


def _rdkit_reason(log: str) -> str:
    """The first line of RDKit's log that says something, without its time stamp."""
    for line in log.splitlines():
        text = re.sub(r"^\[[\d:]+\]\s*(ERROR:)?\s*", "", line).strip()
        if text.strip("*-") and not text.endswith("Violation"):
            return text
    return "RDKit cannot read it"

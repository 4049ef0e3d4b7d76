"""A user's data -> rows on the disk, those to train on and those to measure on."""

import itertools
import json
import shutil
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation import hub, tables
from foundation.errors import InputError, RequestError, UnknownName
from foundation.registry import resolve
from foundation.sources import source
from foundation.spec import Tuning
from foundation.tuning.folds import drawn
from foundation.tuning.rows import Row, Rows, write

SHOWN = 1000
"""Reasons kept of rows that were refused; the others are only counted."""


@dataclass(frozen=True)
class Data:
    """Rows to train and to measure on, why some were refused, and the digests of their files."""

    rows: Rows
    held_out: Rows
    refused: int
    reasons: tuple[str, ...]
    digests: Mapping[str, str]


@dataclass(frozen=True)
class Wanted:
    """What data is asked for: addresses, which column is which field, and how it is divided.

    validation: the share measured on where `held_out` names nothing, 0 to below 1. seed: of that
    division.
    """

    data: str
    held_out: str | None = None
    columns: Mapping[str, str] | None = None
    validation: float = 0.1
    seed: int = 0


def gather(tuning: Tuning, wanted: Wanted, folder: Path) -> Data:
    """Read the data once, as a stream, into `folder`; InputError where there is none to use.

    Rows of one group of the domain's (one text, scaffold, place or file) are never parted. The
    first row of a label is trained on, and a held-out row of a label that is not is refused.
    """
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    path, told = folder / "rows.arrow", folder / "data.json"
    held = folder / "held_out.npy"
    if not told.exists():
        reading = _Reading(tuning, wanted)
        try:
            write(path, tuning.fields, reading.rows())
            reading.check()
        except InputError:
            shutil.rmtree(folder)  # a run that is refused leaves nothing
            raise
        np.save(held, np.frombuffer(reading.held, np.int8) == 1)
        told.write_text(json.dumps(reading.told()))
    found = json.loads(told.read_text())
    measured = np.load(held)
    return Data(
        Rows(path, np.flatnonzero(~measured)),
        Rows(path, np.flatnonzero(measured)),
        found["refused"],
        tuple(found["reasons"]),
        found["digests"],
    )


class _Reading:
    """One pass over the files; `held` tells of each row whether it is measured on."""

    def __init__(self, tuning: Tuning, wanted: Wanted) -> None:
        self._tuning, self._wanted = tuning, wanted
        self._group: Callable[[Row], str] | None = resolve(tuning.group) if tuning.group else None
        self._labels: set[str] = set()
        self._trained: set[str] = set()
        self.held = array("b")
        self.refused, self.reasons = 0, list[str]()
        self.digests: dict[str, str] = {}
        self._first: Row | None = None
        self._differs = False

    def rows(self) -> Iterator[Row]:
        wanted = self._wanted
        for row in self._from(wanted.data, "data"):
            self._compare(row)
            self.held.append(self._measured(row))
            yield row
        if wanted.held_out is None:
            return
        for row in self._from(wanted.held_out, "held_out"):
            label = row.get("label")
            if label is not None and label not in self._labels:
                self._refuse(f"held out: the label '{label}' is none of those trained on")
                continue
            self.held.append(1)
            yield row

    def check(self) -> None:
        """InputError for data that nothing can be learnt from."""
        trained = len(self.held) - sum(self.held)
        name = self._wanted.data
        if not trained:
            first = f"; the first: {self.reasons[0]}" if self.reasons else ""
            raise InputError(f"task.data: no row of {name} can be used{first}")
        if trained > 1 and not self._differs:
            raise InputError(f"task.data: all {trained:,} rows of {name} are the same")
        if len(self._labels) == 1:
            raise InputError(
                f"task.data: {name} has only the label '{next(iter(self._labels))}': give two"
            )

    def told(self) -> dict[str, Any]:
        return {"refused": self.refused, "reasons": self.reasons, "digests": self.digests}

    def _from(self, address: str, which: str) -> Iterator[Row]:
        local = hub.fetch([source(address, f"task.{which}")])[0]
        self.digests |= local.files
        read = resolve(self._tuning.read)
        for row in read(local.path, dict(self._wanted.columns or {})):
            if row.get("error"):
                self._refuse(f"{'held out: ' if which == 'held_out' else ''}{row['error']}")
            else:
                yield {name: row.get(name) for name in self._tuning.fields}

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        if len(self.reasons) < SHOWN:
            self.reasons.append(reason)

    def _compare(self, row: Row) -> None:
        self._first = self._first or row
        self._differs = self._differs or row != self._first

    def _measured(self, row: Row) -> int:
        """1 for a row that is measured on, by the hash of its group."""
        group = self._group(row) if self._group else json.dumps(row, sort_keys=True)
        label = row.get("label")
        new = label is not None and label not in self._labels
        if label is not None:
            self._labels.add(label)
        if new:
            self._trained.add(group)
        share = self._wanted.validation
        if self._wanted.held_out is not None or group in self._trained or not share:
            return 0
        return int(drawn(self._wanted.seed, group) / 2**64 < share)


def records(
    path: Path,
    fields: Mapping[str, Sequence[str]],
    columns: Mapping[str, str],
    noun: str,
    more: Mapping[str, tables.Reader] | None = None,
    check: Callable[[dict[str, Any]], str | None] = lambda row: None,
) -> Iterator[dict[str, Any]]:
    """Rows of a table, or of all tables of a folder: each the fields by name, or an `error`.

    fields: each with the names its column may have; the first is needed. columns: the column that
    the user named for a field. more: readers of other kinds of files, of the first field alone.
    check: why a row cannot be used, or None; it may change the row.
    """
    for name in columns:
        if name not in fields:
            raise UnknownName(
                "setting", f"task.columns.{name}", [f"task.columns.{k}" for k in fields]
            )
    names = [(columns[f],) if columns.get(f) else tuple(n) for f, n in fields.items()]
    readers = {**(more or {}), **tables.tables(names[0], *names[1:])}
    paths = [path]
    if path.is_dir():
        paths = sorted(p for p in path.rglob("*") if p.is_file() and tables.kind(p) in readers)
        if not paths:
            raise RequestError(f"task.data: {path} holds no {', '.join(readers)}")
    for file in paths:
        for record in tables.read(file, readers, noun, "task.data"):
            where = f"{file.name}: " if len(paths) > 1 else ""
            row = _row(record, fields, columns)
            error = row.pop("error") or check(row)
            row["error"] = f"{where}record {record.number}: {error}" if error else None
            yield row


def _row(
    record: tables.Record,
    fields: Mapping[str, Sequence[str]],
    columns: Mapping[str, str],
) -> dict[str, Any]:
    """The fields of a record; a column that the user named must have a value."""
    cells = dict(itertools.zip_longest(fields, record.cells[: len(fields)]))
    error = record.error
    if error is None:
        wanted = {next(iter(fields)): next(iter(fields)), **columns}
        lacking = [title for name, title in wanted.items() if not (cells[name] or "").strip()]
        error = f"no {lacking[0]}" if lacking else None
    found: dict[str, Any] = {n: v.strip() if n == "label" and v else v for n, v in cells.items()}
    return {**found, "error": error}

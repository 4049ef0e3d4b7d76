"""From what the user gave to numbered requests, checked once."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from foundation.errors import InputError, RequestError, UnknownName
from foundation.registry import resolve
from foundation.spec import Domain, Task
from foundation.tables import replaced


@dataclass(frozen=True)
class Item:
    """Request `id` of a run. `request` is None where `reason` says why it was refused."""

    id: int
    request: Any
    input: str | None = None
    reason: str | None = None


Feed = Iterable[Item | None]
"""Items as they come; None is a pause: those before it are not to wait for those after it."""
Packet = list[Item | None]
"""A piece of a feed, as it travels."""


@dataclass(frozen=True)
class Settings:
    """A task's settings: what makes its requests.

    count: requests of each row, at least 1, or None for an endless stream of them.
    input: a file or folder whose rows fill the request's fields; column: its column.
    rows: the same rows given inline, instead of a file.
    columns: the checks wanted; None for all.
    batch: rows of a batch, at least 1; None leaves it to the model's placement.
    fields: the request's own fields.
    """

    task: Task
    count: int | None
    request: Callable[..., Any]
    read: str | None = None
    input: Path | None = None
    column: str | None = None
    rows: tuple[Any, ...] | None = None
    columns: tuple[str, ...] | None = None
    batch: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def checks(self) -> tuple[str, ...] | None:
        """The task's columns that must be had: those wanted, and what `unique` is decided by."""
        if self.columns is None:
            return None
        needed = {*self.columns, *([self.task.unique_by] if self.unique else [])}
        return tuple(name for name in self.task.columns if name in needed)

    @property
    def unique(self) -> bool:
        """Whether the column `unique` is made."""
        return bool(self.task.unique_by) and (self.columns is None or "unique" in self.columns)

    @property
    def total(self) -> int | None:
        """How many requests there will be, where that is known before reading."""
        if self.count is None or self.input is not None:
            return None
        return self.count * (1 if self.rows is None else len(self.rows))

    @property
    def rereadable(self) -> bool:
        """Whether the requests can be read twice: no pipe or terminal is their input."""
        return self.input is None or self.input.is_file() or self.input.is_dir()

    def requests(self, first: int = 0, end: int | None = None) -> Iterator[Item]:
        """Each request with its number, refused ones with their reason; of a range, if given."""
        number = 0
        for row in self._rows():
            item = self._item(row)
            # Copies of a row differ in their number alone: those before the range are not made.
            last = None if self.count is None else number + self.count
            number = max(number, first if last is None else min(first, last))
            while (last is None or number < last) and (end is None or number < end):
                yield Item(number, item.request, item.input, item.reason)
                number += 1
            if number == end:
                return

    def counted(self) -> int | None:
        """How many requests there are, by reading all rows if need be; None: without end."""
        if self.total is not None or self.count is None:
            return self.total
        return self.count * sum(1 for _ in self._rows())

    def _rows(self) -> Iterator[Mapping[str, Any]]:
        if self.input is not None:
            yield from resolve(str(self.read))(self.input, self.column)
        elif self.rows is not None:
            yield from ({str(self.task.item): row} for row in self.rows)
        else:
            yield {}

    def _item(self, row: Mapping[str, Any]) -> Item:
        known = {f.name for f in fields(self.request)}  # type: ignore[arg-type]
        given = {k: v for k, v in row.items() if k in known and v is not None}
        text = None if self.task.item is None else given.get(self.task.item)
        text = None if text is None else replaced(str(text))
        missing = [name for name in needed(self.request) if name not in {**self.fields, **given}]
        if row.get("error") or missing:
            return Item(0, None, text, str(row.get("error") or f"{missing[0]} is missing"))
        try:
            request = self.request(**{**self.fields, **given})
        except InputError as error:
            return Item(0, None, text, str(error))
        if text is None and self.task.item is not None:
            value = getattr(request, self.task.item)
            text = None if value is None else replaced(str(value))
        return Item(0, request, text)


STANDARD_INPUT = Path("/dev/stdin")
"""What `task.input=-` names, for domains that read it."""
RUN_LEVEL = ("name", "input", "column", "count", "columns", "batch")


def needed(request: Any) -> list[str]:
    """The fields of a request's class that have no default."""
    return [
        field.name
        for field in fields(request)
        if field.default is MISSING and field.default_factory is MISSING
    ]


def settings(domain: Domain, name: str, given: Mapping[str, Any]) -> Settings:
    """Check what the user gave for a task: UnknownName or RequestError on what cannot be."""
    if name not in domain.tasks:
        raise UnknownName("task", name, domain.tasks, f"of {domain.name}")
    task = domain.tasks[name]
    request = resolve(task.request)
    plural = "" if task.item is None else task.item + ("" if task.item.endswith("s") else "s")
    own = [f.name for f in fields(request) if f.name != task.item]
    _refuse_unknown(given, [*RUN_LEVEL, *own, *filter(None, [plural, task.item])])
    rows = _inline(task, plural, given)
    path = given.get("input")
    if path is not None and rows is not None:
        raise RequestError(f"task.input and task.{plural} were both given: give one")
    made = Settings(
        task=task,
        count=_whole("count", given.get("count", task.count)),
        request=request,
        read=task.read or domain.read,
        input=_existing(path, task.read or domain.read, domain.name),
        column=given.get("column"),
        rows=rows,
        columns=_columns(task, given.get("columns")),
        batch=None if given.get("batch") is None else _whole("batch", given["batch"]),
        fields={k: given[k] for k in own if given.get(k) is not None},
    )
    _check_edge(made, name, plural)
    return made


def _refuse_unknown(given: Mapping[str, Any], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            raise UnknownName("setting", f"task.{key}", [f"task.{k}" for k in known if k != "name"])


def _inline(task: Task, plural: str, given: Mapping[str, Any]) -> tuple[Any, ...] | None:
    value = given.get(plural, given.get(task.item or ""))
    if value is None or not plural:
        return None
    rows = tuple(value) if isinstance(value, list | tuple) else (value,)
    if not rows:
        raise RequestError(f"task.{plural} is empty: give at least one")
    return rows


def _whole(key: str, value: Any) -> int | None:
    if value in (None, "inf", float("inf")):  # Hydra reads inf as a number
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RequestError(f"task.{key} must be a whole number of at least 1, got '{value}'")
    return value


def _existing(path: Any, read: str | None, domain: str) -> Path | None:
    if path is None:
        return None
    if read is None:
        raise RequestError(f"task.input: {domain} reads no files")
    found = STANDARD_INPUT if str(path) == "-" else Path(str(path)).expanduser()
    if not found.exists():
        beside = [p.name for p in found.parent.iterdir()] if found.parent.is_dir() else []
        raise UnknownName("file", found.name, beside, f"in {found.parent} (task.input)")
    return found


def _columns(task: Task, wanted: Any) -> tuple[str, ...] | None:
    if wanted is None:
        return None
    names = tuple(wanted) if isinstance(wanted, list | tuple) else (wanted,)
    known = [*task.columns, *(["unique"] if task.unique_by else [])]
    for name in names:
        if name not in known:
            raise UnknownName("column", name, known, "(task.columns)")
    return names


def _check_edge(made: Settings, name: str, plural: str) -> None:
    """Refuse before loading what no row of the input could mend."""
    needs = [name for name in needed(made.request) if name not in made.fields]
    if made.input is None and made.rows is None:
        if needs:
            how = f"give task.input=<file> or task.{plural}=[...]"
            raise InputError(f"task={name} needs {', '.join(needs)}: {how}")
        made.request(**made.fields)
    elif needs in ([], [made.task.item]) and made.task.item:
        _check_fields(made)


def _check_fields(made: Settings) -> None:
    """A setting that is out of range by itself is an error, not a reason on every row."""
    try:
        made.request(**{str(made.task.item): None, **made.fields})
    except RequestError as error:
        if not str(error).startswith(str(made.task.item)):
            raise
    except TypeError:
        return

"""What the way that task=adapt recommends says of rows that nobody has labelled (task.asked)."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation import hub
from foundation.durable import replacing
from foundation.registry import resolve
from foundation.sources import source
from foundation.spec import Tuning
from foundation.tuning.rows import Row, Rows, write

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Unlabelled:
    """Rows to be told, read once into `folder`; those that cannot be read keep their reason.

    columns: which column is which field; those of the label and the value need not be there.
    """

    def __init__(
        self, tuning: Tuning, address: str, columns: Mapping[str, str], folder: Path
    ) -> None:
        self._fields = [name for name in tuning.fields if name not in ("label", "value")]
        self._reasons: dict[int, str] = {}
        path = hub.fetch([source(address, "task.asked")])[0].path
        given = {name: column for name, column in columns.items() if name in self._fields}
        read = resolve(tuning.read)(path, given)
        folder.mkdir(parents=True, exist_ok=True)
        write(folder / "rows.arrow", tuning.fields, self._readable(read, tuning.fields))
        self.rows = Rows(folder / "rows.arrow")
        if len(self.rows):
            self._fields = [name for name in self._fields if self.rows[0][name] is not None]

    def _readable(
        self, read: Iterator[Mapping[str, Any]], fields: tuple[str, ...]
    ) -> Iterator[Row]:
        for number, row in enumerate(read):
            if row.get("error"):
                self._reasons[number] = str(row["error"])
            else:
                yield {name: row.get(name) if name in self._fields else None for name in fields}

    def write(
        self, tell: Callable[[Rows], "NDArray[Any]"], labels: tuple[str, ...], path: Path
    ) -> None:
        """A table with a row for each that was asked, in order: its fields, the label that is told
        and its probability, or the value; or the reason why there is none."""
        import csv

        told = ["label", "probability"] if labels else ["value"]
        answers = iter(zip(self.rows, tell(self.rows), strict=True) if len(self.rows) else ())
        with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
            rows = csv.DictWriter(file, [*self._fields, *told, "reason"])
            rows.writeheader()
            for number in range(len(self.rows) + len(self._reasons)):
                if number in self._reasons:
                    rows.writerow({"reason": self._reasons[number]})
                    continue
                row, given = next(answers)
                kept = {name: row[name] for name in self._fields}
                rows.writerow(kept | dict(zip(told, _told(given, labels), strict=True)))


def _told(given: Any, labels: tuple[str, ...]) -> tuple[Any, ...]:
    if not labels:
        return (f"{float(given):.6g}",)
    best = int(given.argmax())
    return labels[best], f"{float(given[best]):.4f}"

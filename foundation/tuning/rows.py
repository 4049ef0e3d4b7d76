"""Rows of data on the disk: read one at a time, so that memory does not grow with their number."""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from foundation.durable import replacing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TOGETHER = 64
"""Rows that are read at once to get one of them."""

Row = dict[str, str | None]


def write(path: Path, fields: Sequence[str], rows: Iterable[Row]) -> None:
    """Write rows of text fields as an Arrow file, whole or not at all."""
    import itertools

    import pyarrow as pa

    schema = pa.schema([(name, pa.large_string()) for name in fields])
    left = iter(rows)
    with (
        replacing(path) as part,
        pa.OSFile(str(part), "wb") as sink,
        pa.ipc.new_file(sink, schema) as file,
    ):
        while some := list(itertools.islice(left, TOGETHER)):
            file.write_batch(pa.RecordBatch.from_pylist(some, schema=schema))


class Rows(Sequence[Row]):
    """Some rows of an Arrow file that `write` wrote: those numbered `picks`, or all."""

    def __init__(self, path: Path, picks: "NDArray[np.int64] | None" = None) -> None:
        import numpy as np
        import pyarrow as pa

        # Not mapped into memory: what was read would count as this process's.
        self._file = pa.ipc.open_file(pa.OSFile(str(path), "rb"))
        self._path = path
        counts = [0]
        for number in range(self._file.num_record_batches):
            full = number + 1 < self._file.num_record_batches
            size = TOGETHER if full else self._file.get_batch(number).num_rows
            counts.append(counts[-1] + size)
        self._starts = counts
        self.picks = np.arange(counts[-1]) if picks is None else picks

    def __len__(self) -> int:
        return len(self.picks)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> "Rows": ...
    def __getitem__(self, place: int | slice) -> "Row | Rows":
        if isinstance(place, slice):
            return Rows(self._path, self.picks[place])
        row = int(self.picks[place])
        number = bisect_right(self._starts, row) - 1
        batch = self._file.get_batch(number)
        found: list[Row] = batch.slice(row - self._starts[number], 1).to_pylist()
        return found[0]

    def __iter__(self) -> Iterator[Row]:
        last, held = -1, []
        for row in self.picks.tolist():
            number = bisect_right(self._starts, row) - 1
            if number != last:
                last, held = number, self._file.get_batch(number).to_pylist()
            yield held[row - self._starts[number]]

    def take(self, places: Any) -> "Rows":
        """Those at some places."""
        return Rows(self._path, self.picks[places])

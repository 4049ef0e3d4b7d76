"""Parts -> one table, in the order of ids, in memory that does not grow with the rows."""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing
from foundation.table import storing
from foundation.trust import provenance
from foundation.trust.seal import seal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

ROWS = 4096
BUCKETS = 64
SCRATCH = ".join-"


def ordered(parts: Sequence[Path], schema: "pa.Schema") -> "Iterator[pa.RecordBatch]":
    """The parts' rows by id, each id once.

    A part overlaps only those written near it in time, so a part is read when an id of its range is
    due and held until its last row has gone out. The range stands in its name.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    waiting = sorted((_range(part), part) for part in parts)
    held = schema.empty_table()
    last = -1
    while waiting or len(held):
        if waiting:
            part = pq.read_table(waiting.pop(0)[1], schema=schema, use_threads=False)
            held = pa.concat_tables([held, part])
            held = held.sort_by("id")
        # Rows below every range still to come can go out.
        bound = waiting[0][0][0] if waiting else None
        ready = held if bound is None else held.filter(pc.less(held["id"], bound))
        held = held.slice(len(ready))
        ready, last = _once(ready, last)
        yield from ready.combine_chunks().to_batches(ROWS)


def write(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", path: Path, unique_by: str | None
) -> None:
    """Write results.parquet, sealed; with `unique_by`, add the column `unique`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    told = provenance.of_run(path.parent)
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=path.parent) as scratch,
        replacing(path) as part,
    ):
        plain = Path(scratch) / "plain.parquet"
        target = part if unique_by is None else plain
        with pq.ParquetWriter(target, schema, **storing(schema)) as writer:
            for rows in _gathered(batches):
                writer.write_table(rows)
            if unique_by is None:
                provenance.add_to_table(writer, told)
        if unique_by is None:
            seal(part)
            return
        pa.default_memory_pool().release_unused()
        first = first_bearers(plain, unique_by, Path(scratch))
        wide = schema.append(pa.field("unique", pa.bool_()))
        with pq.ParquetWriter(part, wide, **storing(wide)) as writer:
            for rows, batch in _numbered(plain):
                mark = pa.array(first[rows], mask=batch[unique_by].is_null().to_numpy(False))
                writer.write_batch(batch.append_column("unique", mark))
            provenance.add_to_table(writer, told)
        seal(part)


def stored(table: Path, columns: list[str] | None = None) -> "Iterator[pa.RecordBatch]":
    """A table, a row group at a time; ParquetFile.iter_batches would open them all at once."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(table) as file:
        for group in range(file.num_row_groups):
            yield from file.read_row_group(group, columns, use_threads=False).to_batches(ROWS)


def _gathered(batches: "Iterable[pa.RecordBatch]") -> "Iterator[pa.Table]":
    """Row groups of ROWS rows or a few more: the writer remembers each until the end."""
    import pyarrow as pa

    held: list[pa.RecordBatch] = []
    for batch in batches:
        held.append(batch)
        if sum(map(len, held)) >= ROWS:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def first_bearers(table: Path, key: str, scratch: Path) -> "NDArray[np.bool_]":
    """For each row of a table, whether it is the first with its value of `key`; null never is.

    Equal values have equal hashes, so the values are dealt to files by hash and each file is small
    enough to be compared exactly in memory. The marks are a file mapped into memory.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    count = pq.ParquetFile(table).metadata.num_rows
    marks = np.memmap(scratch / "marks", dtype=np.bool_, mode="w+", shape=max(1, count))
    fields = pa.schema([("key", pa.string()), ("row", pa.int64())])
    buckets = BUCKETS * max(1, count // 2**22)
    writers = [pa.ipc.new_file(scratch / f"{n}.arrow", fields) for n in range(buckets)]
    for rows, batch in _numbered(table, [key]):
        for bucket, dealt in _deal(batch[key].to_pylist(), rows, buckets):
            writers[bucket].write_batch(pa.record_batch(dealt, schema=fields))
    for number, writer in enumerate(writers):
        writer.close()
        with pa.ipc.open_file(scratch / f"{number}.arrow") as file:
            dealt = file.read_all()
        first = dealt.group_by("key", use_threads=False).aggregate([("row", "min")])["row_min"]
        marks[first.to_numpy()] = True
    return marks[:count]


def _deal(keys: list[Any], rows: "NDArray[np.int64]", buckets: int) -> Iterator[tuple[int, Any]]:
    dealt: dict[int, tuple[list[str], list[int]]] = {}
    for key, row in zip(keys, rows.tolist(), strict=True):
        if key is not None:
            digest = blake2b(key.encode(), digest_size=8).digest()
            pair = dealt.setdefault(int.from_bytes(digest) % buckets, ([], []))
            pair[0].append(key)
            pair[1].append(row)
    yield from ((bucket, list(pair)) for bucket, pair in dealt.items())


def _numbered(
    table: Path, columns: list[str] | None = None
) -> "Iterator[tuple[NDArray[np.int64], pa.RecordBatch]]":
    import numpy as np

    start = 0
    for batch in stored(table, columns):
        yield np.arange(start, start + len(batch)), batch
        start += len(batch)


def _range(part: Path) -> tuple[int, int]:
    low, high = part.name.split("-")[:2]
    return int(low), int(high)


def _once(rows: "pa.Table", last: int) -> "tuple[pa.Table, int]":
    """Drop rows whose id has gone out: the same request may stand in two parts after a crash."""
    import numpy as np

    if not len(rows):
        return rows, last
    ids = rows["id"].to_numpy()
    before = np.concatenate([[last], ids[:-1]])
    keep = ids > before
    return (rows if keep.all() else rows.filter(keep)), int(ids[-1])

"""The windows of a finished run of task=embed, nearest first: an index on the disk (usearch).

It is made at the first search beside embedding.parquet and then mapped into memory, not read.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.durable import replacing, write_json
from foundation.errors import InputError

INDEX, ABOUT = "windows.usearch", "windows.usearch.json"
EXACT = 20_000  # windows that are all compared, rather than by way of the graph


@dataclass(frozen=True)
class VectorIndex:
    """An open index. mean: of all windows' vectors, without which they are compared."""

    folder: Path
    index: Any
    mean: NDArray[np.float32]

    @classmethod
    def open(cls, folder: Path, units: int) -> "VectorIndex":
        """The index of a run folder, made if it is not there; InputError where it is of others."""
        from usearch.index import Index

        table = folder / "embedding.parquet"
        if not table.is_file():
            raise InputError(f"index: {folder} has no embedding.parquet: embed scenes with a CRS")
        size = [table.stat().st_size, table.stat().st_mtime_ns]
        about = _about(folder)
        if about.get("table") != size:
            _make(folder, size)
            about = _about(folder)
        if about["units"] != units:
            raise InputError(f"index: {folder} has vectors of {about['units']} units, not {units}")
        return cls(
            folder,
            Index.restore(str(folder / INDEX), view=True),
            np.array(about["mean"], np.float32),
        )

    def nearest(
        self, vector: NDArray[np.float32], count: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Rows of embedding.parquet and their cosines, the nearest first."""
        found = self.index.search(vector - self.mean, count, exact=len(self.index) <= EXACT)
        rows: NDArray[np.int64] = found.keys.astype(np.int64)
        return rows, 1 - found.distances

    def rows(self, numbers: NDArray[np.int64]) -> Any:
        """These rows of embedding.parquet as a table, in their order, without the vectors."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = ["scene", "window", "kept", "valid_fraction", "geometry", "bbox"]
        found: dict[int, Any] = {}
        with pq.ParquetFile(self.folder / "embedding.parquet") as file:
            first = 0
            for group in range(file.num_row_groups):
                count = file.metadata.row_group(group).num_rows
                inside = [n for n in numbers.tolist() if first <= n < first + count]
                if inside:
                    rows = file.read_row_group(group, columns).take([n - first for n in inside])
                    found |= {n: rows.slice(at, 1) for at, n in enumerate(inside)}
                first += count
        return pa.concat_tables([found[n] for n in numbers.tolist()])


def _about(folder: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    except (OSError, ValueError):
        return {}
    return about if (folder / INDEX).is_file() else {}


def _make(folder: Path, size: list[int]) -> None:
    from usearch.index import Index

    total, count, units = None, 0, 0
    for _, vectors in _vectors(folder):
        total = vectors.sum(0, np.float64) + (0 if total is None else total)
        count, units = count + len(vectors), vectors.shape[1]
    if total is None:
        raise InputError(f"index: {folder} has no window with a vector")
    mean = (total / count).astype(np.float32)
    index = Index(ndim=units, metric="cos", dtype="f16")
    for rows, vectors in _vectors(folder):
        index.add(rows, vectors - mean)
    try:
        with replacing(folder / INDEX) as part:
            index.save(str(part))
        write_json(folder / ABOUT, {"table": size, "units": units, "mean": mean.tolist()})
    except OSError as error:
        raise InputError(f"index: cannot write it to {folder}: {error.strerror}") from error


def _vectors(folder: Path) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """(row numbers, vectors) of the windows that have one, a row group at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / "embedding.parquet") as file:
        first = 0
        for group in range(file.num_row_groups):
            column = file.read_row_group(group, ["embedding"])["embedding"].combine_chunks()
            there = column.is_valid().to_numpy(zero_copy_only=False)
            values = column.drop_null().flatten().to_numpy()
            if there.any():
                yield first + np.flatnonzero(there), values.reshape(int(there.sum()), -1)
            first += len(column)

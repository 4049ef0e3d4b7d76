"""`task=search`: the windows of many scenes that are most like an example."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.adapter import Output
from foundation.domains.geospatial import footprints
from foundation.domains.geospatial.inputs import Search
from foundation.domains.geospatial.parts import OfScene, RasterParts
from foundation.domains.geospatial.vector_index import VectorIndex
from foundation.durable import replacing
from foundation.errors import RequestError


class Searching(OfScene):
    """One example, and the folder of the windows among which its like are looked for."""

    def __init__(self, request: Search, parts: RasterParts, sink: Path | None, model: str) -> None:
        super().__init__(parts)
        self.request, self.sink = request, sink
        self._folder = Path(request.index).expanduser()
        _same_model(self._folder, model)

    def join(self) -> Output:
        """The nearest windows, as lists in the scene's row and as matches.parquet."""
        found = self.parts.summary()
        if found.reason is not None:
            return found
        index = VectorIndex.open(self._folder, self.parts.units.window)
        try:
            vector = found.extra["embedding"] if self.request.at is None else self._at()
        except RequestError as error:
            return Output(None, str(error), found.extra, refused=True)
        rows, cosines = index.nearest(vector, self.request.nearest)
        table = index.rows(rows)
        extra = {
            **found.extra,
            "scenes": table["scene"].to_pylist(),
            "scene_windows": table["window"].to_pylist(),
            "similarities": [float(cosine) for cosine in cosines],
        }
        if self.sink is not None:
            self._write(table, cosines)
        return replace(found, value=extra["scenes"][0], extra=extra)

    def _at(self) -> NDArray[np.float32]:
        """The vector of the window that keeps the place asked for."""
        from rasterio.warp import transform

        facts = self.parts.facts
        if facts.crs is None or facts.pixel is None:
            raise RequestError(f"{self.parts.name} has no CRS: task.at cannot be found on it")
        place = list(self.request.at or ())
        longitude, latitude = place
        (x,), (y,) = transform("OGC:CRS84", facts.crs, [longitude], [latitude])
        column, row = ~facts.pixel @ (x, y)
        for strip in self.parts.strips():
            top, bottom, left, right = strip.windows.T
            inside = (top <= row) & (row < bottom) & (left <= column) & (column < right)
            if inside.any():
                vector: NDArray[np.float32] = strip.pooled[inside][0]
                if np.isfinite(vector[0]):
                    return vector
                raise RequestError(
                    f"{self.parts.name} is not valid at {list(self.request.at or ())}"
                )
        raise RequestError(f"{place} lies outside {self.parts.name}")

    def _write(self, table: Any, cosines: NDArray[np.float32]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        assert self.sink is not None
        self.sink.mkdir(parents=True, exist_ok=True)
        count = len(table)
        table = table.add_column(0, "example", pa.array([self.parts.raster] * count))
        table = table.add_column(1, "rank", pa.array(range(1, count + 1), pa.int64()))
        table = table.add_column(2, "similarity", pa.array(cosines, pa.float32()))
        table = table.replace_schema_metadata(footprints.metadata(["Polygon", "MultiPolygon"]))
        with replacing(self.sink / "matches.parquet") as part:
            pq.write_table(table, part, compression="zstd")


def _same_model(folder: Path, model: str) -> None:
    """RequestError where an index is of another model's vectors."""
    record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    there = record["model"]["name"]
    if there != model:
        raise RequestError(f"index: {folder} was made with model={there}, not {model}")

"""Vectors at the coordinates a user names: points.parquet."""

from pathlib import Path

import numpy as np

from foundation.domains.geospatial import features, footprints
from foundation.domains.geospatial.facts import Facts
from foundation.domains.geospatial.scene import Strips
from foundation.durable import replacing
from foundation.errors import RequestError


def check(facts: Facts, name: str) -> None:
    """RequestError where points cannot be laid on a scene."""
    if facts.crs is None or facts.transform is None:
        raise RequestError(f"{name} has no CRS: points cannot be laid on it")


def write(folder: Path, facts: Facts, strips: Strips, scene: str, path: str) -> None:
    """A row a point: its place, and the vector of the patch it lies in, null off the scene."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import shapely

    check(facts, Path(scene).name)
    found = features.read(Path(path).expanduser(), facts.crs)
    places = [patch(facts, shape) for shape in found.shapes]
    vectors: list[np.ndarray | None] = [None] * len(places)
    top = 0
    for strip in strips():
        for number, place in enumerate(places):
            if place is not None and top <= place[0] < top + len(strip.vectors):
                vector = strip.vectors[place[0] - top, place[1]].astype(np.float32)
                vectors[number] = vector if np.isfinite(vector[0]) else None
        top += len(strip.vectors)
        units = strip.vectors.shape[2]
    there = [p is not None for p in places]
    reasons = [
        None if v is not None else "not valid there" if on else "off the scene"
        for v, on in zip(vectors, there, strict=True)
    ]
    ground = features.read(Path(path).expanduser(), "OGC:CRS84").shapes
    table = pa.table(
        {
            "scene": pa.array([scene] * len(places)),
            "point": pa.array(range(len(places)), pa.int64()),
            "reason": pa.array(reasons, pa.string()),
            "embedding": pa.array(vectors, pa.list_(pa.float32(), units)),
            "geometry": pa.array(
                [None if s is None else shapely.to_wkb(s.centroid) for s in ground], pa.binary()
            ),
        }
    ).replace_schema_metadata(footprints.metadata(["Point"], box=False))
    with replacing(folder / "points.parquet") as part:
        pq.write_table(table, part, compression="zstd")


def patch(facts: Facts, shape: object) -> tuple[int, int] | None:
    """The row and column of the patch in which a shape's middle lies; None off the scene."""
    if shape is None or facts.transform is None:
        return None
    middle = shape.centroid  # type: ignore[attr-defined]
    column, row = ~facts.transform @ (middle.x, middle.y)
    place = int(np.floor(row)), int(np.floor(column))
    inside = 0 <= place[0] < facts.rows and 0 <= place[1] < facts.columns
    return place if inside else None

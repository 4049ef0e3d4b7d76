"""A table of windows with their outlines: GeoParquet 1.1."""

import json
import struct
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

    from foundation.domains.geospatial.facts import Facts
    from foundation.domains.geospatial.strips import Strip

Ring = NDArray[np.float64]
SIDES = ("xmin", "ymin", "xmax", "ymax")


def metadata(shapes: list[str], box: bool = True) -> dict[str, str]:
    """GeoParquet's own: longitude and latitude (OGC:CRS84), which an absent `crs` means."""
    column: dict[str, Any] = {"encoding": "WKB", "geometry_types": shapes}
    if box:
        column["covering"] = {"bbox": {side: ["bbox", side] for side in SIDES}}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return {"geo": json.dumps(geo)}


def schema(units: int) -> "pa.Schema":
    """The table's columns. kept: pixels of the upright scene, [top, bottom, left, right]."""
    import pyarrow as pa

    box = pa.struct([(side, pa.float64()) for side in SIDES])
    return pa.schema(
        [
            ("scene", pa.string()),
            ("window", pa.int64()),
            ("kept", pa.list_(pa.int32(), 4)),
            ("valid_fraction", pa.float32()),
            ("reason", pa.string()),
            ("embedding", pa.list_(pa.float32(), units)),
            ("geometry", pa.binary()),
            ("bbox", box),
        ],
        metadata=metadata(["Polygon", "MultiPolygon"]),
    )


def table(strip: "Strip", facts: "Facts", name: str, first: int) -> "pa.Table":
    """The windows of a strip, numbered from `first`."""
    import pyarrow as pa

    count, units = strip.pooled.shape
    there = np.isfinite(strip.pooled[:, 0])
    outlines = [_outline(rings) for rings in _rings(strip.windows, facts)]
    reasons = [
        None if seen else f"valid pixels: {share:.1%}"
        for seen, share in zip(there, strip.valid, strict=True)
    ]
    rows = [row if seen else None for seen, row in zip(there, strip.pooled, strict=True)]
    return pa.table(
        [
            pa.array([name] * count),
            pa.array(range(first, first + count), pa.int64()),
            pa.array(strip.windows.tolist(), pa.list_(pa.int32(), 4)),
            pa.array(strip.valid, pa.float32()),
            pa.array(reasons, pa.string()),
            pa.array(rows, pa.list_(pa.float32(), units)),
            pa.array([shape for shape, _ in outlines], pa.binary()),
            pa.array([box for _, box in outlines], schema(units).field("bbox").type),
        ],
        schema=schema(units),
    )


def _rings(windows: NDArray[np.int32], facts: "Facts") -> list[Ring | None]:
    """Outlines [5, 2] in longitude and latitude; None where the ground is not known."""
    from rasterio.warp import transform

    if facts.crs is None or facts.pixel is None:
        return [None] * len(windows)
    top, bottom, left, right = windows.T.astype(np.float64)
    columns = np.stack([left, right, right, left, left], 1).ravel()
    rows = np.stack([bottom, bottom, top, top, bottom], 1).ravel()
    a, b, c, d, e, f = facts.pixel[:6]
    xs, ys = a * columns + b * rows + c, d * columns + e * rows + f
    longitudes, latitudes = transform(facts.crs, "OGC:CRS84", xs, ys)
    rings = np.stack([longitudes, latitudes], 1).reshape(-1, 5, 2)
    return [ring if np.isfinite(ring).all() else None for ring in rings]


def _outline(ring: Ring | None) -> tuple[bytes | None, dict[str, float] | None]:
    """Well-known binary and bounding box; what crosses the antimeridian is cut in two there."""
    if ring is None:
        return None, None
    around = (ring[:, 0] + 180) % 360 - 180
    if np.ptp(around) <= 180:
        ring = np.stack([around, ring[:, 1]], 1)
        return _polygon(ring), _box(ring)
    shifted = np.stack([around % 360, ring[:, 1]], 1)
    west, east = (_cut(shifted, keep_west) for keep_west in (True, False))
    east = east - [360, 0]
    shape = struct.pack("<BII", 1, 6, 2) + _polygon(west) + _polygon(east)
    box = {**_box(ring), "xmin": float(west[:, 0].min()), "xmax": float(east[:, 0].max())}
    return shape, box  # xmin > xmax: GeoParquet's and GeoJSON's sign of a crossing


def _cut(ring: Ring, keep_west: bool) -> Ring:
    """The part of a ring on one side of 180 degrees (Sutherland and Hodgman 1974)."""
    kept: list[Any] = []
    for one, other in pairwise(ring):
        inside = [(point[0] <= 180) == keep_west for point in (one, other)]
        if inside[0]:
            kept.append(one)
        if inside[0] != inside[1]:
            share = (180 - one[0]) / (other[0] - one[0])
            kept.append(one + share * (other - one))
    return np.array([*kept, kept[0]])


def _polygon(ring: Ring) -> bytes:
    return struct.pack("<BIII", 1, 3, 1, len(ring)) + np.ascontiguousarray(ring, "<f8").tobytes()


def _box(ring: Ring) -> dict[str, float]:
    (xmin, ymin), (xmax, ymax) = ring.min(0), ring.max(0)
    return {"xmin": float(xmin), "ymin": float(ymin), "xmax": float(xmax), "ymax": float(ymax)}

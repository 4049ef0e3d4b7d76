"""Points and polygons of a user: GeoPackage, GeoJSON, anything GDAL reads, and CSV of points."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foundation.errors import RequestError, UnknownName

LONGITUDES, LATITUDES = ("longitude", "lon", "lng", "x"), ("latitude", "lat", "y")


@dataclass(frozen=True)
class Features:
    """shapes: of shapely, in the CRS asked for; None where one lies off it. values: a column's."""

    shapes: list[Any]
    values: list[Any]


def read(path: Path, crs: Any, columns: tuple[str, ...] = ()) -> Features:
    """The features of a file, and the first of `columns` that it has; None a feature without.

    crs: of rasterio, to which they are brought. RequestError where the file cannot be used.
    """
    if not path.is_file():
        raise RequestError(f"there is no file {path}")
    if path.suffix.lower() == ".csv":
        shapes, values, source = *_table(path, columns), "OGC:CRS84"
    else:
        shapes, values, source = _layer(path, columns)
    return Features([_brought(shape, source, crs) for shape in shapes], values)


def _layer(path: Path, columns: tuple[str, ...]) -> tuple[list[Any], list[Any], Any]:
    import pyogrio
    import shapely

    try:
        meta, _, geometry, fields = pyogrio.raw.read(path)
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise RequestError(f"{path.name} cannot be read: {str(error).partition(chr(10))[0]}") from (
            error
        )
    if geometry is None or not len(geometry):
        raise RequestError(f"{path.name} holds no geometry")
    names = [str(name) for name in meta["fields"]]
    values = [None] * len(geometry)
    if columns:
        values = fields[names.index(_column(columns, names, path))].tolist()
    return list(shapely.from_wkb(geometry)), values, meta["crs"] or "OGC:CRS84"


def _table(path: Path, columns: tuple[str, ...]) -> tuple[list[Any], list[Any]]:
    import shapely

    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file)
        names = list(rows.fieldnames or ())
        x, y = (_column(wanted, names, path) for wanted in (LONGITUDES, LATITUDES))
        value = _column(columns, names, path) if columns else None
        shapes, values = [], []
        for number, row in enumerate(rows, 2):
            try:
                shapes.append(shapely.Point(float(row[x]), float(row[y])))
            except (TypeError, ValueError) as error:
                raise RequestError(f"{path.name}, line {number}: no coordinates") from error
            values.append(row[value] if value else None)
    if not shapes:
        raise RequestError(f"{path.name} holds no point")
    return shapes, values


def _column(wanted: tuple[str, ...], names: list[str], path: Path) -> str:
    for name in wanted:
        for there in names:
            if there.lower() == name.lower():
                return there
    raise UnknownName("column", wanted[0], names, f"of {path.name}")


def _brought(shape: Any, source: Any, crs: Any) -> Any:
    """A shape in another CRS; None where it has no place there."""
    import shapely
    from rasterio.crs import CRS
    from rasterio.warp import transform

    if shape is None or shape.is_empty:
        return None
    start = CRS.from_user_input(source)

    def moved(xys: Any) -> Any:
        xs, ys = transform(start, crs, xys[:, 0], xys[:, 1])
        return np.stack([xs, ys], 1)

    found = shape if start == crs else shapely.transform(shape, moved)
    return found if np.isfinite(shapely.get_coordinates(found)).all() else None

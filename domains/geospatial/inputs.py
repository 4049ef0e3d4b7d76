"""What may be asked of a geospatial model, checked when the request is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.domains.geospatial import sensors
from foundation.errors import RequestError

STORES = ("float16", "int8")
METHODS = ("linear", "knn")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One raster that is read in windows: what all tasks share.

    raster: a path or GDAL address of one. In a file's name `{band}` stands for one file a band,
        and `{date}` (20200131, 2020-01-31 or 2020031) for one raster a date, of models that take
        series.
    sensor: a built-in sensor or a YAML of the user's own, for bands without names.
    bands: a name for each band of the raster, in its order, null for one to leave out.
    resolution: metres a pixel: to which a georeferenced raster is resampled, and which a picture
        without georeference has; above 0. Null: as it is.
    offset: added to the stored values before the sensor's scale, such as -1000 for Sentinel-2 of
        processing baseline 04.00; null: as the product's name has it.
    clouds: a raster of the same ground that tells where clouds are, which then are not valid.
    cloud_values: its values that are clouds, such as [3, 8, 9, 10] of Sentinel-2's SCL; null: all
        but 0.
    least_valid: share of a window's pixels that must be valid, 0 to 1, else it is not embedded.
    halo: half the patches by which windows overlap and their vectors are blended, 0 to 3.
    """

    raster: str
    sensor: str | None = None
    bands: Sequence[str | None] | None = None
    resolution: float | None = None
    offset: float | None = None
    clouds: str | None = None
    cloud_values: Sequence[int] | None = None
    least_valid: float = 0.5
    halo: int = 1

    def __post_init__(self) -> None:
        if self.raster is not None and not str(self.raster).strip():
            raise RequestError("raster is empty: give the path of one")
        if self.sensor is not None:
            sensors.named(str(self.sensor))
        if self.bands is not None and (
            isinstance(self.bands, str)
            or not all(b is None or isinstance(b, str) for b in self.bands)
        ):
            raise RequestError(f"bands must be a list of names, got '{self.bands}'")
        if self.resolution is not None and not _number(self.resolution) > 0:
            raise RequestError(f"resolution must be metres above 0, got {self.resolution}")
        if self.offset is not None and _number(self.offset) != _number(self.offset):
            raise RequestError(f"offset must be a number, got {self.offset}")
        if self.cloud_values is not None and (
            isinstance(self.cloud_values, str)
            or not all(isinstance(value, int) for value in self.cloud_values)
        ):
            raise RequestError(f"cloud_values must be a list of numbers, got {self.cloud_values}")
        if not 0 <= _number(self.least_valid) <= 1:
            raise RequestError(f"least_valid must lie between 0 and 1, got {self.least_valid}")
        whole = isinstance(self.halo, int) and not isinstance(self.halo, bool)
        if not whole or not 0 <= self.halo <= 3:
            raise RequestError(f"halo must be a whole number, 0 to 3, got {self.halo}")


@dataclass(frozen=True, kw_only=True)
class Embed(Scene):
    """One raster to be embedded.

    store: of embedding.tif: "float16", or "int8" with a scale a band, in half the room.
    points: a file (GeoPackage, GeoJSON, CSV with lon and lat) at whose places vectors are wanted
        too, in points.parquet.
    """

    __doc__ = f"{__doc__}\n{Scene.__doc__}"
    store: str = "float16"
    points: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _one_of("store", self.store, STORES)
        _file("points", self.points)


@dataclass(frozen=True, kw_only=True)
class Search(Scene):
    """The windows most like a raster, or like the place `at` in it, among those of earlier runs.

    index: the folder of a finished task=embed of the same model.
    nearest: how many are wanted, 1 to 10,000.
    at: [longitude, latitude] in the raster; null: the whole of it.
    """

    __doc__ = f"{__doc__}\n{Scene.__doc__}"
    index: str
    nearest: int = 10
    at: Sequence[float] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (Path(str(self.index)).expanduser() / "record.json").is_file():
            raise RequestError(f"index: {self.index} is no finished run of task=embed")
        if type(self.nearest) is not int or not 1 <= self.nearest <= 10_000:
            raise RequestError(f"nearest must be a whole number, 1 to 10,000, got {self.nearest}")
        if self.at is not None:
            numbers = [] if isinstance(self.at, str) else [_number(v) for v in self.at]
            if len(numbers) != 2 or not (abs(numbers[0]) <= 360 and abs(numbers[1]) <= 90):
                raise RequestError(f"at must be [longitude, latitude], got {self.at}")


@dataclass(frozen=True, kw_only=True)
class Change(Scene):
    """How much each patch differs between two dates; the raster is the later one.

    before: the earlier raster; the later one is brought to its pixels.
    """

    __doc__ = f"{__doc__}\n{Scene.__doc__}"
    before: str


@dataclass(frozen=True, kw_only=True)
class Probe(Scene):
    """A classifier learnt from a few labelled places of a raster, and its map of all of it.

    labels: points or polygons (GeoPackage, GeoJSON, CSV of points). label: their column; null:
        class, label or name.
    method: "linear" (logistic regression) or "knn" (of the 5 nearest).
    folds: parts of the cross-validation, 2 to 20. block: metres a side of the squares that are held
        out whole; null: 4 windows.
    """

    __doc__ = f"{__doc__}\n{Scene.__doc__}"
    labels: str
    label: str | None = None
    method: str = "linear"
    folds: int = 5
    block: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _file("labels", self.labels)
        _one_of("method", self.method, METHODS)
        if type(self.folds) is not int or not 2 <= self.folds <= 20:
            raise RequestError(f"folds must be a whole number, 2 to 20, got {self.folds}")
        if self.block is not None and not _number(self.block) > 0:
            raise RequestError(f"block must be metres above 0, got {self.block}")


@dataclass(frozen=True, kw_only=True)
class Label(Scene):
    """A class for each patch, or for the whole, from a head that was learnt before.

    head: the head.safetensors of a task=probe; null: the one that a tuned model brings.
    """

    __doc__ = f"{__doc__}\n{Scene.__doc__}"
    head: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        _file("head", self.head)


def _one_of(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise RequestError(f"{name} must be one of {', '.join(known)}, got '{value}'")


def _file(name: str, value: Any) -> None:
    if value is not None and not Path(str(value)).expanduser().is_file():
        raise RequestError(f"{name}: there is no file {value}")


def _number(value: Any) -> float:
    """A number, or NaN, which no range holds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float("nan")

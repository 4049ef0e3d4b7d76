"""What may be asked of a geospatial model, checked when the request is made."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from foundation.domains.geospatial import sensors
from foundation.errors import RequestError


@dataclass(frozen=True)
class Embed:
    """One raster to be embedded.

    raster: a path or GDAL address of one; `{band}` in a file's name stands for one file a band.
    sensor: a built-in sensor or a YAML of the user's own, for bands without names.
    bands: a name for each band of the raster, in its order, null for one to leave out.
    resolution: metres a pixel: to which a georeferenced raster is resampled, and which a picture
        without georeference has; above 0. Null: as it is.
    offset: added to the stored values before the sensor's scale, such as -1000 for Sentinel-2 of
        processing baseline 04.00; null: as the product's name has it.
    least_valid: share of a window's pixels that must be valid, 0 to 1, else it is not embedded.
    halo: patches that overlapping windows see beyond those that are kept of them, 0 to 3.
    """

    raster: str
    sensor: str | None = None
    bands: Sequence[str | None] | None = None
    resolution: float | None = None
    offset: float | None = None
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
        if not 0 <= _number(self.least_valid) <= 1:
            raise RequestError(f"least_valid must lie between 0 and 1, got {self.least_valid}")
        whole = isinstance(self.halo, int) and not isinstance(self.halo, bool)
        if not whole or not 0 <= self.halo <= 3:
            raise RequestError(f"halo must be a whole number, 0 to 3, got {self.halo}")


def _number(value: Any) -> float:
    """A number, or NaN, which no range holds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return float("nan")

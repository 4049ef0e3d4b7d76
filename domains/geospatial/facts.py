"""What is known of a scene once it is open, and what of it stands in the tables."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine

from foundation.domains.geospatial.reading import Raster
from foundation.domains.geospatial.sources import UNREADABLE


@dataclass(frozen=True)
class Facts:
    """rows, columns: patches. transform: of a patch; pixel: of a pixel, both None without ground.

    distance: metres a pixel. place: latitude and longitude of the middle. gdal: version, settings.
    """

    height: int
    width: int
    rows: int
    columns: int
    transform: Affine | None
    pixel: Affine | None
    crs: Any
    sensor: str
    bands: tuple[str, ...]
    wavelengths: tuple[float, ...]
    distance: float
    assumed: str | None
    place: tuple[float, float] | None
    gdal: str

    @classmethod
    def of(cls, raster: Raster, patch: int) -> "Facts":
        transform = raster.transform
        return cls(
            height=raster.height,
            width=raster.width,
            rows=-(-raster.height // patch),
            columns=-(-raster.width // patch),
            transform=None if transform is None else transform @ Affine.scale(patch),
            pixel=transform,
            crs=raster.crs,
            sensor=raster.match.sensor.name,
            bands=tuple(band.name for band in raster.match.bands),
            wavelengths=raster.wavelengths,
            distance=raster.distance,
            assumed=raster.assumed,
            place=_middle(raster),
            gdal=raster.gdal,
        )

    def columns_of_table(self) -> dict[str, Any]:
        """What the results' row tells of the scene."""
        return {
            "sensor": self.sensor,
            "bands": list(self.bands),
            "assumed": self.assumed,
            "resolution": self.distance,
            "crs": None if self.crs is None else self.crs.to_string(),
            "height": self.height,
            "width": self.width,
            "gdal": self.gdal,
        }


def _middle(raster: Raster) -> tuple[float, float] | None:
    from rasterio.warp import transform

    if raster.transform is None or raster.crs is None:
        return None
    x, y = raster.transform @ (raster.width / 2, raster.height / 2)
    try:
        longitude, latitude = transform(raster.crs, "OGC:CRS84", [x], [y])
    except UNREADABLE:  # an engineer's own system of coordinates
        return None
    there = np.isfinite([latitude[0], longitude[0]]).all()
    return (float(latitude[0]), float(longitude[0])) if there else None

"""Rasters brought to other pixels by GDAL: north-up, at a resolution, or on another's grid."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from foundation.domains.geospatial.sources import UNREADABLE, Source, plainly_opened, short
from foundation.errors import RequestError


@dataclass(frozen=True)
class Grid:
    """Pixels on the ground: those of an upright raster."""

    crs: Any
    transform: Affine
    height: int
    width: int


def lies_on(grid: Grid, file: Any) -> bool:
    """Whether a file's pixels are those of the grid, to a hundredth of a pixel."""
    same = file.crs == grid.crs and file.shape == (grid.height, grid.width)
    near = file.transform.almost_equals(grid.transform, abs(grid.transform.a) / 100)
    return bool(same and near)


def warped(
    sources: Sequence[Source],
    resolution: float | None,
    stack: ExitStack,
    grid: Grid | None = None,
) -> list[Source]:
    """The sources north-up, at `resolution` metres or on the grid where one is given."""
    made: dict[int, Any] = {}
    for source in sources:
        file = source.file
        if id(file) not in made:
            settings: dict[str, Any] = {"resampling": Resampling.bilinear}
            if source.nodata is None and ColorInterp.alpha not in file.colorinterp:
                settings["add_alpha"] = True  # what lies beside a turned raster is not valid
            try:
                if grid is not None:
                    settings |= {k: getattr(grid, k) for k in Grid.__dataclass_fields__}
                elif resolution is not None:
                    settings |= _target(file, resolution)
                made[id(file)] = stack.enter_context(WarpedVRT(file, **settings))
            except UNREADABLE as error:
                raise RequestError(f"cannot be brought north-up: {short(error)}") from error
    return [
        Source(made[id(s.file)], s.number, s.name, s.nodata, s.masked or s.nodata is None)
        for s in sources
    ]


def _target(file: Any, resolution: float) -> dict[str, Any]:
    from rasterio.warp import calculate_default_transform

    crs = file.crs
    if crs.is_geographic:
        west, south, east, north = file.bounds
        zone = int(((west + east) / 2 + 180) % 360 // 6) + 1
        crs = rasterio.crs.CRS.from_epsg((32600 if (south + north) / 2 >= 0 else 32700) + zone)
    size = resolution / crs.linear_units_factor[1]
    transform, width, height = calculate_default_transform(
        file.crs, crs, file.width, file.height, *file.bounds, resolution=size
    )
    return {"crs": crs, "transform": transform, "width": width, "height": height}


def clouds(address: str, file: Any, stack: ExitStack) -> Any:
    """A mask of clouds on the pixels of an open file, the nearest value each."""
    try:
        mask = stack.enter_context(plainly_opened(address))
        if file.crs is None or mask.crs is None:
            if mask.shape != file.shape:
                raise RequestError(
                    f"has {file.height} x {file.width} pixels and its clouds "
                    f"{mask.height} x {mask.width}"
                )
            return mask
        grid = {k: getattr(file, k) for k in ("crs", "transform", "width", "height")}
        return stack.enter_context(WarpedVRT(mask, resampling=Resampling.nearest, **grid))
    except UNREADABLE as error:
        raise RequestError(f"has no clouds at {Path(address).name}: {short(error)}") from error

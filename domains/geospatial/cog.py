"""A cloud-optimised GeoTIFF, written a few rows at a time."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.shutil import copy
from rasterio.windows import Window

from foundation.domains.geospatial.facts import Facts
from foundation.domains.geospatial.reading import CACHE
from foundation.durable import replacing
from foundation.trust import provenance
from foundation.trust.seal import seal

BLOCK = 128


def write(
    path: Path,
    facts: Facts,
    rows: Iterable[NDArray[Any]],
    names: Sequence[str],
    *,
    dtype: str = "float32",
    nodata: float = np.nan,
    overviews: str = "average",
    scales: Sequence[float] | None = None,
    colours: Mapping[int, tuple[int, int, int, int]] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write rows of patches [bands, some rows, columns] from the top, a band a name.

    Rows without a value are left out of the file. scales: value = stored * scale, a band each. The
    file carries its provenance.
    """
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": facts.rows,
        "width": facts.columns,
        "count": len(names),
        "dtype": dtype,
        "nodata": nodata,
        "crs": facts.crs,
        "transform": facts.transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": 16,
        "interleave": "pixel",
        "bigtiff": "if_safer",
        "sparse_ok": True,
    }
    plain = path.with_name(f".{path.stem}.plain.tif")
    with rasterio.Env(GDAL_CACHEMAX=CACHE), rasterio.open(plain, "w", **profile) as file:
        file.descriptions = tuple(names)
        if scales is not None:
            file.scales = tuple(scales)
        if colours is not None:
            file.write_colormap(1, dict(colours))
        told = provenance.text(provenance.of_run(path.parent))
        file.update_tags(**(tags or {}), FOUNDATION=told)
        top = 0
        for block in rows:
            empty = np.isnan(block) if np.isnan(nodata) else block == nodata
            if not empty.all():
                window = Window(0, top, facts.columns, block.shape[1])
                file.write(block.astype(dtype), window=window)
            top += block.shape[1]
    predictor = "floating_point" if np.dtype(dtype).kind == "f" else "no"
    with rasterio.Env(GDAL_CACHEMAX=CACHE, SPARSE_OK_OVERVIEW=True), replacing(path) as part:
        copy(
            plain,
            part,
            driver="COG",
            overview_resampling=overviews,
            compress="deflate",
            predictor=predictor,
            blocksize=BLOCK,
            bigtiff="if_safer",
            sparse_ok=True,
        )
        seal(part)
    plain.unlink()

"""The files of one embedded scene: a raster of vectors, a table of windows, a picture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.shutil import copy
from rasterio.windows import Window

from foundation.domains.geospatial import footprints
from foundation.durable import replacing

if TYPE_CHECKING:
    from foundation.domains.geospatial.parts import Strip
    from foundation.domains.geospatial.reading import Raster

Strips = Callable[[], Iterator["Strip"]]
BLOCK = 128
PICTURE = 2048  # pixels of the map's longer side, at most


@dataclass(frozen=True)
class Facts:
    """What is known of a scene once it is open. rows, columns: patches. transform: of a patch."""

    height: int
    width: int
    rows: int
    columns: int
    transform: Affine | None
    pixel: Affine | None
    crs: Any
    sensor: str
    bands: tuple[str, ...]
    distance: float
    assumed: str | None

    @classmethod
    def of(cls, raster: "Raster", patch: int) -> "Facts":
        transform = raster.transform
        return cls(
            raster.height,
            raster.width,
            -(-raster.height // patch),
            -(-raster.width // patch),
            None if transform is None else transform @ Affine.scale(patch),
            transform,
            raster.crs,
            raster.match.sensor.name,
            tuple(band.name for band in raster.match.bands),
            raster.distance,
            raster.assumed,
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
        }


def write(folder: Path, facts: Facts, strips: Strips, name: str) -> None:
    """Write embedding.tif, map.png and windows.parquet into a folder."""
    _cog(folder / "embedding.tif", facts, strips)
    _map(folder / "map.png", facts, strips)
    _table(folder / "windows.parquet", facts, strips, name)


def _cog(path: Path, facts: Facts, strips: Strips) -> None:
    """A cloud-optimised GeoTIFF: a pixel a patch, a band a unit, NaN for none.

    Values have the precision of half floats, and are stored as floats whose last bits are zero and
    compress to nothing: with NBITS=16, GDAL 3.10 leaves what memory held around the last tiles.
    """
    units = next(strips()).vectors.shape[2]
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": facts.rows,
        "width": facts.columns,
        "count": units,
        "dtype": "float32",
        "nodata": np.nan,
        "crs": facts.crs,
        "transform": facts.transform,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": 16,
        "interleave": "pixel",
        "bigtiff": "if_safer",
        "sparse_ok": True,
    }
    plain = path.with_name(".plain.tif")
    with rasterio.open(plain, "w", **profile) as file:
        file.descriptions = tuple(f"embedding_{n}" for n in range(units))
        top = 0
        for strip in strips():
            vectors = strip.vectors
            if np.isfinite(vectors[..., 0]).any():
                window = Window(0, top, facts.columns, len(vectors))
                file.write(vectors.transpose(2, 0, 1).astype(np.float32), window=window)
            top += len(vectors)
    settings = {
        "compress": "deflate",
        "predictor": "floating_point",
        "blocksize": BLOCK,
        "bigtiff": "if_safer",
    }
    with replacing(path) as part:
        copy(
            plain,
            part,
            driver="COG",
            overview_resampling="average",
            **settings,
        )
    plain.unlink()


def _table(path: Path, facts: Facts, strips: Strips, name: str) -> None:
    import pyarrow.parquet as pq

    writer = None
    with replacing(path) as part:
        number = 0
        for strip in strips():
            rows = footprints.table(strip, facts, name, number)
            number += len(rows)
            writer = writer or pq.ParquetWriter(part, rows.schema, compression="zstd")
            writer.write_table(rows)
        if writer is not None:
            writer.close()


def _map(path: Path, facts: Facts, strips: Strips) -> None:
    """Three principal components of the patches as red, green and blue; none is transparent."""
    from PIL import Image

    step = max(1, -(-max(facts.rows, facts.columns) // PICTURE))
    coarse = np.concatenate([strip.vectors[::step, ::step] for strip in strips()]).astype(
        np.float32
    )
    there = np.isfinite(coarse[..., 0])
    colours = np.zeros((*there.shape, 4), np.uint8)
    colours[there, :3] = components(coarse[there])
    colours[there, 3] = 255
    larger = max(1, 512 // max(there.shape))
    picture = Image.fromarray(colours).resize(
        (there.shape[1] * larger, there.shape[0] * larger), Image.Resampling.NEAREST
    )
    with replacing(path) as part:
        picture.save(part, format="png")


def components(vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The first three principal components of vectors [rows, units], stretched to 0 .. 255."""
    centred = vectors - vectors.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    axes = axes[:, ::-1][:, :3]
    # An axis has no sign of its own: its largest share is made positive, so that maps agree.
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), range(axes.shape[1])])
    shares = centred @ axes
    low, high = np.percentile(shares, [2, 98], axis=0)
    stretched = (shares - low) / np.maximum(high - low, 1e-6)
    colours: NDArray[np.uint8] = (255 * np.clip(stretched, 0, 1)).astype(np.uint8)
    return colours

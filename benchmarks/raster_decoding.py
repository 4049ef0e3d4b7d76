"""How fast does one core read Sentinel-2's JPEG 2000, and how fast deflate?

    python -m benchmarks.raster_decoding

Bands of real Sentinel-2 L2A scenes (--rasters), side by side in a square of 1,024 pixels, are
written without loss as JPEG 2000 in tiles of 1,024, as the products are, and as a GeoTIFF in
deflated blocks of 256. Each is read whole --rounds times by one thread, from the page cache.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmarks.record import RESULTS, save

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIDE, TILE = 1024, 256
FORMATS: dict[str, dict[str, Any]] = {
    "jpeg 2000": {
        "driver": "JP2OpenJPEG", "QUALITY": 100, "REVERSIBLE": "YES",
        "blockxsize": SIDE, "blockysize": SIDE,
    },
    "deflate": {
        "driver": "GTiff", "compress": "deflate", "predictor": 2, "tiled": True,
        "blockxsize": TILE, "blockysize": TILE,
    },
}  # fmt: skip


def landscape(folder: Path, band: int) -> "NDArray[np.uint16]":
    """One band of as many scenes as fill a square, each cut to TILE pixels."""
    import numpy as np
    import rasterio

    across = SIDE // TILE
    square = np.zeros((SIDE, SIDE), np.uint16)
    paths = sorted(folder.rglob("*.tif"))
    for place in range(across**2):
        with rasterio.open(paths[place % len(paths)]) as file:
            top, left = (TILE * each for each in divmod(place, across))
            scene = file.read(band)[:TILE, :TILE]
            square[top : top + len(scene), left : left + scene.shape[1]] = scene
    return square


def measured(
    path: Path, how: dict[str, Any], square: "NDArray[np.uint16]", rounds: int
) -> dict[str, float]:
    """Megapixels a second of one core, and bits a pixel of the file."""
    import rasterio

    shape = {"height": SIDE, "width": SIDE, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", **shape, **how) as file:
        file.write(square, 1)
    seconds = []
    for _ in range(rounds):
        began = time.process_time()
        with rasterio.open(path) as file:
            found = file.read(1)
        seconds.append(time.process_time() - began)
        if not (found == square).all():
            raise RuntimeError(f"{path.name} is not what was written")
    bits = 8 * path.stat().st_size / square.size
    return {"megapixels": square.size / median(seconds) / 1e6, "bits": bits}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = Path(os.environ.get("FOUNDATION_DATA", Path(__file__).parents[1] / "../shared/data"))
    parser.add_argument("--rasters", type=Path, default=data / "rasters/s2_satclip")
    parser.add_argument("--bands", type=int, nargs="+", default=[2, 8, 11])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    os.environ.update(GDAL_NUM_THREADS="1", OPJ_NUM_THREADS="1")  # before GDAL is loaded
    found: dict[str, list[dict[str, float]]] = {name: [] for name in FORMATS}
    with tempfile.TemporaryDirectory() as scratch:
        for band in given.bands:
            square = landscape(given.rasters, band)
            for name, how in FORMATS.items():
                path = Path(scratch) / f"{band}-{name}"
                found[name].append(measured(path, how, square, given.rounds))
    told = {
        name: {key: median(each[key] for each in rows) for key in rows[0]}
        for name, rows in found.items()
    }
    for name, each in told.items():
        print(
            f"{name}: {each['megapixels']:.1f} megapixels of a band a second and core, "
            f"{each['bits']:.1f} bits a pixel"
        )
    settings = {"bands": given.bands, "rounds": given.rounds, "side": SIDE}
    print(save("raster_decoding", {"settings": settings, "formats": told}, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

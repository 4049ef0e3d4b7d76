"""Does memory grow with a raster? A sparse one of 25,000 pixels a side against 100,000.

    python -m benchmarks.raster_memory

Both hold the same share of valid ground, in squares spread over all of it, and everything is
written: COG, tables and map. Compared are the peaks of the whole process tree. The network is the
starter's with fewer units, since the files grow with those and not the memory of reading.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from benchmarks.process import Usage, measure
from benchmarks.record import RESULTS, save

SQUARE, EVERY = 512, 12_500
"""Pixels a side of the ground that is valid, and from one such square to the next."""
MOST = 2 * 2**30


def write_raster(path: Path, side: int) -> None:
    import rasterio
    from rasterio.windows import Window

    profile = {
        "driver": "GTiff", "height": side, "width": side, "count": 3, "dtype": "uint8",
        "crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 0, 0, -10, 9_000_000),
        "compress": "deflate", "tiled": True, "blockxsize": 512, "blockysize": 512,
        "sparse_ok": True, "bigtiff": "yes", "nodata": 0, "photometric": "RGB",
    }  # fmt: skip
    random = np.random.default_rng(0)
    ground = random.integers(1, 255, (3, SQUARE, SQUARE), dtype="uint8")
    with rasterio.open(path, "w", **profile) as file:
        for top in range(0, side, EVERY):
            for left in range(0, side, EVERY):
                file.write(ground, window=Window(left, top, SQUARE, SQUARE))


def write_model(folder: Path, width: int) -> None:
    import torch

    from foundation.domains.geospatial.network import Shape, SpectralTransformer
    from foundation.domains.geospatial.training import GeospatialTraining

    torch.manual_seed(0)
    GeospatialTraining(SpectralTransformer(Shape(width=width, layers=2, heads=1))).save(folder)


def peak(side: int, model: Path, folder: Path) -> Usage:
    raster = folder / f"{side}.tif"
    write_raster(raster, side)
    command = [sys.executable, "-m", "foundation", "model=geospatial/starter", "task=embed"]
    command += [f"model.path={model}", f"task.input={raster}", f"resume={folder}/{side}"]
    return measure([*command, "placement=cpu"], timeout=7200, every=0.1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--small", type=int, default=25_000, help="pixels a side")
    parser.add_argument("--large", type=int, default=100_000, help="pixels a side")
    parser.add_argument("--width", type=int, default=16, help="units of the network")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_model(folder / "model", given.width)
        sides = (given.small, given.large)
        used = {side: peak(side, folder / "model", folder) for side in sides}
    times = used[given.large].memory / used[given.small].memory
    for side, usage in used.items():
        print(f"{side:,} x {side:,}: {usage.memory / 2**20:,.0f} MiB, {usage.wall:.0f} s")
    within = all(usage.memory <= MOST for usage in used.values())
    print(f"{times:.2f} times as much; at most 2 GiB: {'yes' if within else 'no'}")
    body = {
        "usage": {str(side): asdict(usage) for side, usage in used.items()},
        "times": times,
        "width": given.width,
        "at_most": MOST,
    }
    print(save("raster_memory", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

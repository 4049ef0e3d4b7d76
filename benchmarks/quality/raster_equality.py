"""Is an embedding the same however its scene is stored, and does no seam show?

    python -m benchmarks.quality.raster_equality SCENE.tif [--model FOLDER]

Writes the scene south-up, turned by 90 degrees, in tiles, compressed, and cut in two where the
windows of the parts align, embeds each, and prints the least cosine to the scene's own vectors at
the same coordinates; and of a part whose windows lie half-way between (`unaligned`), which sees
other surroundings. Then the step from patch to patch across the borders of windows, beside the
mean and spread of steps inside them. Vectors are compared in float32 runs of the model.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from benchmarks.record import RESULTS, save
from foundation.adapter import Placement
from foundation.domains.geospatial.grid import spans
from foundation.model import Model
from foundation.registry import spec

WINDOW, HALO, PATCH = 8, 1, 8


def write(path: Path, pixels: Any, transform: Affine, like: Any, **layout: Any) -> str:
    with rasterio.open(
        path, "w", driver="GTiff", count=len(pixels), height=pixels.shape[1],
        width=pixels.shape[2], dtype=pixels.dtype, crs=like.crs, transform=transform, **layout,
    ) as file:  # fmt: skip
        file.write(pixels)
        file.descriptions = ("red", "green", "blue", "nir")[: len(pixels)]
    return str(path)


def variants(scene: Path, folder: Path) -> dict[str, str]:
    """The scene in other clothes; the halves end where a window of the whole begins."""
    with rasterio.open(scene) as file:
        pixels, at = file.read(), file.transform
        _, height, width = pixels.shape
        turned = np.ascontiguousarray(pixels.transpose(0, 2, 1)[:, ::-1])
        step = (WINDOW - 2 * HALO) * PATCH
        middle = width // 2 // step * step
        apart = (WINDOW // 2 - HALO) * PATCH
        tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128}
        made = {
            "plain": (pixels, at, {}),
            "south_up": (pixels[:, ::-1], at @ Affine(1, 0, 0, 0, -1, height), {}),
            "turned": (turned, at @ Affine(0, -1, width, 1, 0, 0), {}),
            "tiled": (pixels, at, tiles),
            "compressed": (pixels, at, {**tiles, "compress": "deflate", "predictor": 2}),
            "west": (pixels[:, :, : middle + 2 * HALO * PATCH], at, {}),
            "east": (pixels[:, :, middle:], at @ Affine.translation(middle, 0), {}),
            "unaligned": (pixels[:, :, apart:], at @ Affine.translation(apart, 0), {}),
        }
        return {
            name: write(folder / f"{name}.tif", *parts[:2], file, **parts[2])
            for name, parts in made.items()
        }


def vectors(model: Model, raster: str, folder: Path) -> tuple[Any, Affine]:
    model.embed(rasters=[raster], folder=folder).finish()
    with rasterio.open(folder / "embedding.tif") as file:
        return file.read(), file.transform


def cosines(one: Any, here: Affine, other: Any, there: Affine, edge: int) -> np.ndarray:
    """Of patches at the same coordinates; `edge` columns at the other's cut are left out."""
    column, row = ~here @ (there.c, there.f)
    assert abs(column - round(column)) < 1e-6, "the grids do not align"
    assert abs(row - round(row)) < 1e-6, "the grids do not align"
    first = round(column)
    low = edge if first else 0
    high = other.shape[2] - (0 if first + other.shape[2] >= one.shape[2] else edge)
    a, b = one[:, :, first + low : first + high], other[:, :, low:high]
    found: np.ndarray = (a * b).sum(0) / (np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0))
    return found[np.isfinite(found)]


def seams(found: Any) -> dict[str, float]:
    """1 - cosine of neighbours: mean across borders, and mean and spread of lines inside."""
    unit = found / np.linalg.norm(found, axis=0)
    border, inside = [], []
    for axis in (1, 2):
        count = unit.shape[axis]
        one, other = (np.take(unit, range(f, count - 1 + f), axis) for f in (0, 1))
        steps = 1 - (one * other).sum(0)
        lines = np.nanmean(steps, 1 if axis == 1 else 0)
        at = [span.first - 1 for span in spans(count, WINDOW, HALO) if span.first]
        border += lines[at].tolist()
        inside += np.delete(lines, at).tolist()
    return {
        "border": float(np.mean(border)),
        "inside": float(np.mean(inside)),
        "inside_spread": float(np.std(inside)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--model", help="a folder in place of the starter's own")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    chosen = spec("geospatial/starter", **({"path": asked.model} if asked.model else {}))
    model = Model(chosen, Placement("cpu", "float32"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = {
            kind: vectors(model, raster, folder / kind)
            for kind, raster in variants(asked.scene, folder).items()
        }
    plain, at = runs.pop("plain")
    alike = {}
    for kind, (other, there) in runs.items():
        edge = 2 * HALO if kind in ("west", "east") else 0
        found = cosines(plain, at, other, there, edge)
        alike[kind] = {
            "least": float(found.min()), "middle": float(np.median(found)), "patches": len(found),
        }  # fmt: skip
        print(kind, alike[kind])
    apart = alike.pop("unaligned")
    steps = seams(plain)
    print("steps", steps)
    body = {"cosines": alike, "unaligned": apart, "steps": steps}
    print(save("raster_equality", body, asked.out))


if __name__ == "__main__":
    main()

"""Does another way to read the starter's network tell more of places, change and land use?

    python -m benchmarks.quality.geo_readouts [--model FOLDER]

The measures of `suite=geo` but land cover, with the network's vectors read in other ways, of the
trained network and of the same untrained. Windows: the pooled vector as it is; the same joined with
the layout, which is what each of 4 x 4 cells has apart from its window, by principal components of
unit variance, fitted to windows of s2_satclip for each network; the layout alone; all patches.
Patches: what leaves the stem and each block, the last joined with the stem, and with the statistics
of the bands. FOUNDATION_DATA/rasters must be there.
"""

import argparse
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.record import RESULTS, save
from foundation.adapter import Placement
from foundation.domains.geospatial import baselines, suite
from foundation.domains.geospatial.adapter import PASS, RasterEmbedder
from foundation.domains.geospatial.collection import data_folder
from foundation.domains.geospatial.parts import Part
from foundation.draws import Draws
from foundation.model import Model
from foundation.registry import spec

HELD_OUT = ("8845", "566084", "275979")
WITH_OFFSET = ("252161", "445", "57755", "70541", "74721", "75123", "766272", "770287")
"""Of s2_satclip: places never trained on, and products with the +1000 of baseline 04.00."""
LENGTH, SHRUNK = 0.25, 0.02
Array = NDArray[np.float32]
PLAIN: dict[str, baselines.Embedder] = {
    "band_statistics": baselines.statistics,
    "random_convolutions": baselines.convolutions,
}
Seen = dict[str, Any]
"""Of windows: parts, pooled [windows, units], states [windows, depths, 8, 8, width]."""


class Eye:
    """One network, and what it has seen; each window is looked at once."""

    def __init__(self, adapter: RasterEmbedder) -> None:
        self._adapter, self._kept = adapter, dict[bytes, tuple[Array, Array]]()
        self.fits: dict[tuple[int, int], tuple[Array, Array]] = {}

    def __call__(self, parts: Sequence[Part]) -> Seen:
        keys = [hashlib.sha256(part.pixels.tobytes()).digest() for part in parts]
        new = [at for at, key in enumerate(keys) if key not in self._kept]
        for first in range(0, len(new), PASS["cpu"]):
            some = new[first : first + PASS["cpu"]]
            for at, both in zip(some, self._look([parts[at] for at in some]), strict=True):
                self._kept[keys[at]] = both
        pooled, states = zip(*(self._kept[key] for key in keys), strict=True)
        return {"parts": parts, "pooled": np.stack(pooled), "states": np.stack(states)}

    def _look(self, parts: Sequence[Part]) -> list[tuple[Array, Array]]:
        network, found = self._adapter.encoder.module, []
        stages = [network.spectra, *network.blocks[:-1], network.norm]

        def keep(stage: Any, given: Any, tokens: torch.Tensor) -> None:
            found.append(tokens[:, -64:].unflatten(1, (8, 8)).float().numpy())

        hooks = [stage.register_forward_hook(keep) for stage in stages]
        outputs = dict(self._adapter.run("embed", parts, Draws(0, range(len(parts)))))
        for hook in hooks:
            hook.remove()
        return [(outputs[row].value[0], np.stack([s[row] for s in found])) for row in outputs]


def cells(seen: Seen, side: int) -> Array:
    """Means of the last block's patches in side x side cells [windows, cells, width]."""
    last = seen["states"][:, -1]
    step = last.shape[1] // side
    grid = last.reshape(len(last), side, step, side, step, -1).mean((2, 4))
    return grid.reshape(len(last), side * side, -1)


def layout(eye: Eye, seen: Seen, side: int, units: int, fitting: Sequence[Part]) -> Array:
    """What cells have apart from their window, of unit variance [windows, cells * units]."""
    if (side, units) not in eye.fits:
        known = cells(eye(fitting), side)
        mean = known.mean(0)
        rows = _apart(known, mean).reshape(-1, known.shape[-1])
        variance, components = np.linalg.eigh(rows.T @ rows / len(rows))
        variance, components = variance[::-1][:units], components[:, ::-1][:, :units]
        eye.fits[side, units] = mean, components / np.sqrt(variance + SHRUNK * variance.mean())
    mean, projection = eye.fits[side, units]
    told: Array = (_apart(cells(seen, side), mean) @ projection).reshape(len(seen["parts"]), -1)
    return told / np.maximum(np.linalg.norm(told, axis=1, keepdims=True), 1e-9)


def _apart(cells: Array, mean: Array) -> Array:
    apart = cells - mean
    return apart - apart.mean(1, keepdims=True)


def of_windows(fitting: Sequence[Part]) -> dict[str, Callable[[Eye, Seen], Array]]:
    def joined(eye: Eye, seen: Seen) -> Array:
        told = LENGTH * layout(eye, seen, 4, 8, fitting)
        return np.concatenate([seen["pooled"], told], 1)

    return {
        "as it is": lambda eye, seen: seen["pooled"],
        "joined with the layout": joined,
        "layout, 4 x 4 x 8": lambda eye, seen: layout(eye, seen, 4, 8, fitting),
        "layout, 4 x 4 x 32": lambda eye, seen: layout(eye, seen, 4, 32, fitting),
        "layout, 8 x 8 x 32": lambda eye, seen: layout(eye, seen, 8, 32, fitting),
        "all patches": lambda eye, seen: seen["states"][:, -1].reshape(len(seen["parts"]), -1),
    }


def of_patches(depths: int) -> dict[str, Callable[[Eye, Seen], Array]]:
    def at(*chosen: int) -> Callable[[Eye, Seen], Array]:
        return lambda eye, seen: np.concatenate([seen["states"][:, n] for n in chosen], -1)

    def beside(eye: Eye, seen: Seen) -> Array:
        return np.concatenate([at(-1)(eye, seen), baselines.statistics(seen["parts"])[1]], -1)

    named = {f"block {n}" if n else "stem": at(n) for n in range(depths)}
    return {**named, "stem and last block": at(0, -1), "last block and band statistics": beside}


def measured(
    eyes: dict[str, Eye],
    ways: dict[str, Callable[[Eye, Seen], Array]],
    measures: Sequence[str],
    dense: bool,
) -> dict[str, Any]:
    """Each way's figures: the trained network's, the untrained one's, and what is gained."""
    root, found = data_folder() / "rasters", dict[str, Any]()
    for way, read in ways.items():

        def of(eye: Eye, read: Any = read) -> baselines.Embedder:
            def vectors(parts: Sequence[Part]) -> baselines.Vectors:
                seen = eye(parts)
                last = seen["states"][:, -1]
                return (seen["pooled"], read(eye, seen)) if dense else (read(eye, seen), last)

            return vectors

        embedders = {name: of(eye) for name, eye in eyes.items()} | PLAIN
        for measure in measures:
            figures = suite.MEASURES[measure](root, embedders, None, 0)
            found.setdefault(way, {}).update(figures)
            for name, one in figures.items():
                if not name.endswith(("chance", "correlation", "difference", "reciprocal_rank")):
                    print(
                        f"{way}: {name} {one['mean']:.3f} ({one['low']:.3f} to {one['high']:.3f})"
                    )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="a folder in place of the starter's own")
    parser.add_argument("--out", type=Path, default=RESULTS)
    asked = parser.parse_args()
    chosen = spec("geospatial/starter", **({"path": asked.model} if asked.model else {}))
    adapter: RasterEmbedder = Model(chosen, Placement("cpu", "bfloat16")).adapter  # type: ignore[assignment]
    eyes = {"model": Eye(adapter), "untrained": Eye(adapter.untrained(0))}
    fitting = [
        window.part
        for path in sorted((data_folder() / "rasters/s2_satclip").glob("*.tif"))
        if path.stem.split("_")[1] not in HELD_OUT
        for window in suite._windows(
            path,
            names=suite.L2A,
            offset=-1000.0 if path.stem.split("_")[1] in WITH_OFFSET else 0.0,
        )
    ]
    windows = measured(eyes, of_windows(fitting), ("place_recognition", "change"), dense=False)
    depths = len(adapter.encoder.module.blocks) + 1
    patches = measured(eyes, of_patches(depths), ("land_use", "land_use_blocks"), dense=True)
    print(save("geo_readouts", {"windows": windows, "patches": patches}, asked.out))


if __name__ == "__main__":
    main()

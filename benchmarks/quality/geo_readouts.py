"""What of the starter's network tells places, change and land use apart?

    python -m benchmarks.quality.geo_readouts [--model FOLDER]

The measures of `suite=geo` but land cover, with the network's vectors read in other ways, of the
trained network and of the same untrained. Windows: the vector as it is, without the layout, the
layout alone, all patches. Patches: what leaves the stem and each block, the last joined with the
stem, and with the statistics of the bands. FOUNDATION_DATA/rasters must be there.
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


def of_windows(layout: int) -> dict[str, Callable[[Seen], Array]]:
    """layout: units of it, the last of a window's vector."""
    return {
        "as it is": lambda seen: seen["pooled"],
        "without the layout": lambda seen: seen["pooled"][:, :-layout],
        "the layout alone": lambda seen: seen["pooled"][:, -layout:],
        "all patches": lambda seen: seen["states"][:, -1].reshape(len(seen["parts"]), -1),
    }


def of_patches(depths: int) -> dict[str, Callable[[Seen], Array]]:
    def at(*chosen: int) -> Callable[[Seen], Array]:
        return lambda seen: np.concatenate([seen["states"][:, n] for n in chosen], -1)

    def beside(seen: Seen) -> Array:
        return np.concatenate([at(-1)(seen), baselines.statistics(seen["parts"])[1]], -1)

    named = {f"block {n}" if n else "stem": at(n) for n in range(depths)}
    return {**named, "stem and last block": at(0, -1), "last block and band statistics": beside}


def measured(
    eyes: dict[str, Eye],
    ways: dict[str, Callable[[Seen], Array]],
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
                return (seen["pooled"], read(seen)) if dense else (read(seen), last)

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
    network = adapter.encoder.module
    ways = of_windows(network.layout.units)
    windows = measured(eyes, ways, ("place_recognition", "change"), dense=False)
    depths = len(network.blocks) + 1
    patches = measured(eyes, of_patches(depths), ("land_use", "land_use_blocks"), dense=True)
    print(save("geo_readouts", {"windows": windows, "patches": patches}, asked.out))


if __name__ == "__main__":
    main()

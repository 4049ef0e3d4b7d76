"""What a sceptic would try first: vectors of windows and patches without any training."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from foundation.domains.geospatial.adapter import RasterEmbedder
from foundation.domains.geospatial.parts import Part
from foundation.draws import Draws

Vectors = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Of the windows [windows, units], and of their patches [windows, down, across, units]."""
Embedder = Callable[[Sequence[Part]], Vectors]
FILTERS = 512
TOGETHER = 64


def statistics(parts: Sequence[Part], patch: int = 8) -> Vectors:
    """Each band's mean, standard deviation, and tenth and ninetieth percentile."""
    pixels = np.stack([part.pixels for part in parts])
    rows, bands, height, width = pixels.shape
    cells = pixels.reshape(rows, bands, height // patch, patch, width // patch, patch)
    cells = cells.transpose(0, 2, 4, 1, 3, 5).reshape(
        rows, height // patch, width // patch, bands, -1
    )
    return _described(pixels.reshape(rows, bands, -1)), _described(cells)


def _described(values: NDArray[np.float32]) -> NDArray[np.float32]:
    low, high = np.percentile(values, [10, 90], axis=-1)
    found = np.concatenate([values.mean(-1), values.std(-1), low, high], -1)
    return found.astype(np.float32)


def convolutions(parts: Sequence[Part], patch: int = 8) -> Vectors:
    """Means of FILTERS random filters of 5 x 5, rectified (Rahimi and Recht 2008; MOSAIKS 2021)."""
    pixels = torch.from_numpy(np.stack([part.pixels for part in parts]))
    dice = torch.Generator().manual_seed(0)
    bands = pixels.shape[1]
    filters = torch.randn(FILTERS, bands, 5, 5, generator=dice) / (25 * bands) ** 0.5
    shift = torch.randn(FILTERS, generator=dice)
    with torch.inference_mode():
        seen = functional.conv2d(pixels, filters, shift, stride=2, padding=2).relu()
        cells = functional.avg_pool2d(seen, patch // 2).permute(0, 2, 3, 1)
    return seen.mean((2, 3)).numpy(), cells.numpy()


def of_model(adapter: RasterEmbedder) -> Embedder:
    """The model's own vectors."""

    def vectors(parts: Sequence[Part]) -> Vectors:
        pairs = dict(adapter.run("embed", parts, Draws(0, range(len(parts)))))
        found = [pairs[row].value for row in range(len(parts))]
        return np.stack([whole for whole, _ in found]), np.stack([each for _, each in found])

    return vectors


def all_of(adapter: RasterEmbedder, seed: int) -> dict[str, Embedder]:
    """The model and the three baselines, by name."""
    return {
        "model": of_model(adapter),
        "band_statistics": statistics,
        "random_convolutions": convolutions,
        "untrained": of_model(adapter.untrained(seed)),
    }


def wholes(embedder: Embedder, parts: Sequence[Part]) -> NDArray[np.float32]:
    """Vectors of windows alone, for many windows: those of the patches are let go at once."""
    found = [embedder(parts[at : at + TOGETHER])[0] for at in range(0, len(parts), TOGETHER)]
    return np.concatenate(found)


def embedded(embedder: Embedder, parts: Sequence[Part]) -> Vectors:
    """Vectors of parts of one number of bands, a few at a time."""
    found = [embedder(parts[at : at + TOGETHER]) for at in range(0, len(parts), TOGETHER)]
    windows, each = (np.concatenate(vectors) for vectors in zip(*found, strict=True))
    return windows, each

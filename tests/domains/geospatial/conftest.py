"""A tiny model and small rasters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from foundation.domains.geospatial.network import Shape, SpectralTransformer
from foundation.domains.geospatial.training import GeospatialTraining
from foundation.spec import ModelSpec

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)
Write = Callable[..., Path]
Stored = Callable[[Any, Affine], tuple[Any, Affine]]
ORIENTATIONS: dict[str, Stored] = {
    "north-up": lambda a, t: (a, t),
    "south-up": lambda a, t: (a[:, ::-1], t @ Affine(1, 0, 0, 0, -1, a.shape[1])),
    "mirrored": lambda a, t: (a[:, :, ::-1], t @ Affine(-1, 0, a.shape[2], 0, 1, 0)),
    "half turn": lambda a, t: (
        a[:, ::-1, ::-1], t @ Affine(-1, 0, a.shape[2], 0, -1, a.shape[1])
    ),
    "transposed": lambda a, t: (a.transpose(0, 2, 1), t @ Affine(0, 1, 0, 1, 0, 0)),
    "turned": lambda a, t: (a.transpose(0, 2, 1)[:, ::-1], t @ Affine(0, -1, a.shape[2], 1, 0, 0)),
    "turned back": lambda a, t: (
        a.transpose(0, 2, 1)[:, :, ::-1], t @ Affine(0, 1, 0, -1, 0, a.shape[1])
    ),
    "transposed and turned": lambda a, t: (
        a.transpose(0, 2, 1)[:, ::-1, ::-1], t @ Affine(0, -1, a.shape[2], -1, 0, a.shape[1])
    ),
}  # fmt: skip
"""North-up pixels [bands, rows, columns] and their transform -> the same ground, stored so."""


@pytest.fixture(scope="session")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A network of two small layers with random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    network = SpectralTransformer(Shape(spectra=4, stem=16, width=16, layers=2, heads=2, ratio=2))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    GeospatialTraining(network).save(folder)
    return ModelSpec(
        name="geospatial/tiny",
        domain="geospatial",
        adapter="foundation.domains.geospatial.adapter:RasterEmbedder",
        source=f"path:{folder}",
        tasks=("embed", "search", "change", "probe", "segment", "classify"),
        parameters=sum(weight.numel() for weight in network.parameters()),
    )


@pytest.fixture(scope="session")
def orientations() -> dict[str, Stored]:
    """The eight ways to store a raster whose rows and columns lie along the axes of its CRS."""
    return ORIENTATIONS


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write pixels [bands, rows, columns] as a raster, in UTM zone 33 at 10 m unless said."""

    def writer(name: str, pixels: Any, *, names: Any = None, **profile: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        settings = {
            "driver": "GTiff",
            "count": len(pixels),
            "height": pixels.shape[1],
            "width": pixels.shape[2],
            "dtype": pixels.dtype,
            "crs": "EPSG:32633",
            "transform": UTM,
            **profile,
        }
        with rasterio.open(path, "w", **settings) as file:
            file.write(pixels)
            if names:
                file.descriptions = names
        return path

    return writer


@pytest.fixture(scope="session")
def ground() -> Callable[..., Any]:
    """A smooth landscape of uint8 with a little noise [bands, rows, columns]."""
    return _ground


def _ground(rows: int, columns: int, bands: int = 3, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    down, across = np.mgrid[0:rows, 0:columns]
    waves = [
        100 + 60 * np.sin(down / (9 + 5 * b)) * np.cos(across / (13 + 3 * b)) for b in range(bands)
    ]
    return (np.stack(waves) + random.normal(0, 4, (bands, rows, columns))).clip(1, 254).astype("u1")

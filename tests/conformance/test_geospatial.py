"""The geospatial model keeps the contract."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine

from foundation.domains.geospatial.network import Shape, SpectralTransformer
from foundation.domains.geospatial.training import GeospatialTraining
from foundation.registry import domain
from foundation.requests import Item, settings
from foundation.spec import ModelSpec
from foundation.testing.contract import AdapterContract

BANDS = {"a.tif": 3, "b.tif": 4, "c.tif": 3, "d.tif": 6, "e.tif": 3}


class TestEmbed(AdapterContract):
    task = "embed"
    wrong = ({"rasters": ["x"], "resolution": -1}, {"rasters": ["x"], "halo": 7}, {"count": 0})
    unreadable = "no-such-file.tif"

    @pytest.fixture(autouse=True)
    def _rasters(self, tmp_path: Path) -> None:
        random = np.random.default_rng(0)
        for number, (name, bands) in enumerate(BANDS.items()):
            pixels = random.integers(1, 255, (bands, 60 + 9 * number, 70), dtype="uint8")
            with rasterio.open(
                tmp_path / name, "w", driver="GTiff", count=bands, height=pixels.shape[1],
                width=70, dtype="uint8", crs="EPSG:32633", transform=Affine(10, 0, 0, 0, -10, 5e6),
            ) as file:  # fmt: skip
                file.write(pixels)
        self.given = {"rasters": [str(tmp_path / name) for name in BANDS]}

    @pytest.fixture
    def spec(self, tmp_path: Path) -> ModelSpec:
        torch.manual_seed(0)
        network = SpectralTransformer(Shape(spectra=4, stem=32, width=64, layers=2, heads=2))
        GeospatialTraining(network).save(tmp_path / "tiny")
        return ModelSpec(
            name="geospatial/tiny",
            domain="geospatial",
            adapter="foundation.domains.geospatial.adapter:RasterEmbedder",
            source=f"path:{tmp_path / 'tiny'}",
            tasks=("embed",),
            parameters=sum(weight.numel() for weight in network.parameters()),
        )

    def requests(self, spec: ModelSpec) -> list[Item]:
        return list(settings(domain("geospatial"), self.task, self.given).requests())

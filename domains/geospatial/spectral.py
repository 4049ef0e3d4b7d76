"""The starter's architecture as an encoder of windows; the network itself is in `network`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from foundation.domains.geospatial.intake import Intake
from foundation.domains.geospatial.network import SpectralTransformer
from foundation.domains.geospatial.parts import Part


class SpectralEncoder:
    """Any bands at any ground distance, as a sensor's asinh of standard deviations."""

    def __init__(self, network: SpectralTransformer) -> None:
        self.module = network
        self.intake = Intake(patch=network.shape.patch)
        self.width = network.shape.width

    @classmethod
    def read(cls, folder: Path, options: Mapping[str, Any]) -> "SpectralEncoder":
        from foundation.domains.geospatial.training import read_network

        return cls(read_network(folder))

    def untrained(self, seed: int) -> "SpectralEncoder":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return SpectralEncoder(SpectralTransformer(self.module.shape))

    def __call__(self, pixels: Tensor, batch: Sequence[Part]) -> tuple[Tensor, Tensor]:
        bands = torch.tensor([part.wavelengths for part in batch], device=pixels.device)
        distance = torch.tensor([part.distance for part in batch], device=pixels.device)
        found: tuple[Tensor, Tensor] = self.module(pixels, bands, distance)
        return found

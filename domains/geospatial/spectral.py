"""The starter's architecture as an encoder of windows; the network itself is in `network`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from foundation.domains.geospatial.intake import Intake, Units
from foundation.domains.geospatial.network import SpectralTransformer
from foundation.domains.geospatial.parts import Part

PATCHES, LAYOUT = 0.3, 0.4
"""Lengths of the patches' mean and of the layout, where that of the summary is 1."""


class SpectralEncoder:
    """Any bands at any ground distance, as a sensor's asinh of standard deviations.

    A window's vector is its summary joined with the mean of its patches and its layout: the summary
    tells windows apart, the patches what is in them, and the layout where.
    """

    def __init__(self, network: SpectralTransformer) -> None:
        self.module = network
        self.intake = Intake(patch=network.shape.patch)
        width = network.shape.width
        self.units = Units(2 * width + network.layout.units, width)

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
        summary, layout, patches = self.module(pixels, bands, distance)
        each = (summary.float(), patches.float().mean((1, 2)), layout.float())
        summary, mean, layout = (functional.normalize(one, dim=1) for one in each)
        return torch.cat([summary, PATCHES * mean, LAYOUT * layout], 1), patches

"""Prithvi-EO-2.0 (Szwarcman et al. 2024): up to four dates of six bands, with time and place.

Loads the published state dict (huggingface.co/ibm-nasa-geospatial, Apache-2.0); of the masked
autoencoder the encoder alone.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foundation.domains.geospatial.intake import Intake, Units
from foundation.domains.geospatial.layers import Block, loaded, state_dict, waves
from foundation.domains.geospatial.parts import Part
from foundation.errors import SourceError

COMMAND = "python -m foundation.domains.geospatial.converting <file.pt> <folder>"


class Coordinates(nn.Module):
    """Two numbers (year and day, or latitude and longitude) as waves, half the units each."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.scale = nn.Parameter(torch.full((1,), 0.1))

    def forward(self, pairs: Tensor) -> Tensor:
        """[..., 2] -> [..., width]."""
        half = self.width // 2
        parts = [waves(half, pairs[..., 0]), waves(self.width - half, pairs[..., 1])]
        return self.scale * torch.cat(parts, -1)


class Embedding(nn.Module):
    """Pixels [rows, bands, dates, height, width] -> tokens, date by date."""

    def __init__(self, bands: int, patch: int, width: int) -> None:
        super().__init__()
        size = (1, patch, patch)
        self.proj = nn.Conv3d(bands, width, size, size)

    def forward(self, pixels: Tensor) -> Tensor:
        out: Tensor = self.proj(pixels).flatten(2).transpose(1, 2)
        return out


class Prithvi(nn.Module):
    """Tokens [rows, 1 + dates * patches, width], the class token first."""

    def __init__(
        self, bands: int, patch: int, width: int, layers: int, heads: int, coordinates: bool
    ) -> None:
        super().__init__()
        self.shape = (bands, patch, width, layers, heads, coordinates)
        self.patch_embed = Embedding(bands, patch, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        if coordinates:
            self.temporal_embed_enc = Coordinates(width)
            self.location_embed_enc = Coordinates(width)
        self.blocks = nn.ModuleList(Block(width, heads, 4, 1e-5) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-5)

    def forward(self, pixels: Tensor, days: Tensor | None, places: Tensor | None) -> Tensor:
        """days [rows, dates, 2]: year and day. places [rows, 2]: latitude and longitude."""
        dates, patch = pixels.shape[2], self.shape[1]
        height, width = (side // patch for side in pixels.shape[3:])
        tokens = self.patch_embed(pixels)
        tokens = tokens + positions(self.shape[2], dates, height, width).to(tokens.device)
        if days is not None:
            tokens = tokens + self.temporal_embed_enc(days).repeat_interleave(height * width, 1)
        if places is not None:
            tokens = tokens + self.location_embed_enc(places)[:, None]
        whole = self.cls_token.expand(len(tokens), -1, -1).to(tokens.dtype)
        tokens = torch.cat([whole, tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens)
        return out


def positions(units: int, dates: int, height: int, width: int) -> Tensor:
    """Waves of a token's column, row and date: six, six and four sixteenths of the units."""
    place = torch.arange(dates * height * width)
    row, column = place // width % height, place % width
    share = units // 16
    parts = [waves(6 * share, column), waves(6 * share, row)]
    return torch.cat([*parts, waves(4 * share, place // (width * height))], -1)


class PrithviEncoder:
    """Six bands of reflectance; the whole is the mean of the patches, a patch that of its dates."""

    def __init__(self, module: Prithvi, intake: Intake) -> None:
        self.module, self.intake = module, intake
        self.units = Units(module.shape[2], module.shape[2])

    @classmethod
    def read(cls, folder: Path, options: Mapping[str, Any]) -> "PrithviEncoder":
        """options: width, layers, heads; coordinates: whether it takes dates and places (TL)."""
        intake = Intake.of({"side": 224, "patch": 16, "numbers": "reflectance", **options})
        if not intake.bands:
            raise SourceError("model.options.bands: name the bands that the model takes")
        width, layers, heads = (int(options[name]) for name in ("width", "layers", "heads"))
        module = Prithvi(
            len(intake.bands),
            intake.patch,
            width,
            layers,
            heads,
            bool(options.get("coordinates")),
        )
        weights = state_dict(folder, COMMAND)
        encoder = {k.removeprefix("encoder."): v for k, v in weights.items()}
        loaded(module, encoder, folder)
        return cls(module, intake)

    def untrained(self, seed: int) -> "PrithviEncoder":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return PrithviEncoder(Prithvi(*self.module.shape), self.intake)

    def __call__(self, pixels: Tensor, batch: Sequence[Part]) -> tuple[Tensor, Tensor]:
        pixels = pixels[:, None] if pixels.dim() == 4 else pixels
        pixels = pixels.transpose(1, 2)
        days = places = None
        if self.module.shape[5] and all(part.days for part in batch):
            told = [[[day.year, day.day] for day in part.days] for part in batch]
            days = torch.tensor(told, dtype=torch.float32, device=pixels.device)
        if self.module.shape[5] and all(part.place for part in batch):
            found = [part.place for part in batch]
            places = torch.tensor(found, dtype=torch.float32, device=pixels.device)
        tokens = self.module(pixels, days, places)[:, 1:]
        side = self.intake.side // self.intake.patch
        patches = tokens.unflatten(1, (-1, side, side)).mean(1)
        return patches.mean((1, 2)), patches

"""DOFA (Xiong et al. 2024): a patch embedding whose weights are generated from wavelengths.

Loads the published state dict (github.com/zhu-xlab/DOFA, weights CC-BY-4.0).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from foundation.domains.geospatial.intake import Intake, Units
from foundation.domains.geospatial.layers import Block, loaded, state_dict, waves
from foundation.domains.geospatial.parts import Part

GENERATED = 128  # units of the generator, and its tokens that belong to no band
SCALE = 0.01  # of what is generated
COMMAND = "python -m foundation.domains.geospatial.converting <file.pth> <folder>"


class Residual(nn.Module):
    """Two rectified layers beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(width, width)
        self.w2 = nn.Linear(width, width)

    def forward(self, rows: Tensor) -> Tensor:
        out: Tensor = rows + self.w2(self.w1(rows).relu()).relu()
        return out


class Generator(nn.Module):
    """Wavelengths' waves [bands, units] -> a kernel a band [bands, pixels * width], a bias."""

    def __init__(self, pixels: int, width: int) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(GENERATED, 4, activation="gelu", dropout=0.0)
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc_weight = nn.Linear(GENERATED, pixels * width)
        self.fc_bias = nn.Linear(GENERATED, width)
        self.weight_tokens = nn.Parameter(0.02 * torch.randn(GENERATED, GENERATED))
        self.bias_token = nn.Parameter(0.02 * torch.randn(1, GENERATED))

    def forward(self, bands: Tensor) -> tuple[Tensor, Tensor]:
        tokens = self.transformer_encoder(torch.cat([self.weight_tokens, bands, self.bias_token]))
        kernels = self.fc_weight(tokens[GENERATED:-1] + bands)
        return kernels, self.fc_bias(tokens[-1])


class Embedding(nn.Module):
    """Pixels [rows, bands, height, width] at wavelengths [bands] in nm -> tokens."""

    def __init__(self, patch: int, width: int) -> None:
        super().__init__()
        self.patch, self.width = patch, width
        self.weight_generator = Generator(patch * patch, width)
        self.fclayer = Residual(GENERATED)

    def forward(self, pixels: Tensor, wavelengths: Tensor) -> Tensor:
        bands = self.fclayer(waves(GENERATED, wavelengths))
        kernels, bias = self.weight_generator(bands)
        kernels = kernels.view(len(wavelengths), self.patch, self.patch, self.width)
        kernels = kernels.permute(3, 0, 1, 2) * SCALE
        seen = functional.conv2d(pixels, kernels, bias * SCALE, stride=self.patch, padding=1)
        return seen.flatten(2).transpose(1, 2)


class Dofa(nn.Module):
    """Pixels at wavelengths -> tokens [rows, 1 + patches, width], the class token first."""

    def __init__(self, side: int, patch: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.shape = (side, patch, width, layers, heads)
        self.patch_embed = Embedding(patch, width)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + (side // patch) ** 2, width), False)
        self.blocks = nn.ModuleList(Block(width, heads, 4, 1e-6) for _ in range(layers))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, pixels: Tensor, wavelengths: Tensor) -> Tensor:
        tokens = self.patch_embed(pixels, wavelengths)
        whole = self.cls_token.expand(len(tokens), -1, -1).to(tokens.dtype)
        tokens = torch.cat([whole, tokens], 1) + self.pos_embed
        for block in self.blocks:
            tokens = block(tokens)
        out: Tensor = self.norm(tokens)
        return out


class DofaEncoder:
    """Any bands, in their sensor's standard deviations; the whole is the patches' mean.

    DOFA was pretrained on each sensor's numbers in the standard deviations of its data set.
    """

    def __init__(self, module: Dofa, intake: Intake) -> None:
        self.module, self.intake = module, intake
        self.units = Units(module.shape[2], module.shape[2])

    @classmethod
    def read(cls, folder: Path, options: Mapping[str, Any]) -> "DofaEncoder":
        """options: width, layers and heads; side and patch of `Intake`."""
        intake = Intake.of({"side": 224, "patch": 16, "numbers": "deviations", **options})
        shape = (int(options[name]) for name in ("width", "layers", "heads"))
        module = Dofa(intake.side, intake.patch, *shape)
        loaded(module, state_dict(folder, COMMAND), folder)
        return cls(module, intake)

    def untrained(self, seed: int) -> "DofaEncoder":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return DofaEncoder(Dofa(*self.module.shape), self.intake)

    def __call__(self, pixels: Tensor, batch: Sequence[Part]) -> tuple[Tensor, Tensor]:
        # Windows that share a batch may be of other sensors: kernels are generated for each.
        found = torch.empty(0)
        for bands in sorted({part.wavelengths for part in batch}):
            rows = torch.tensor([part.wavelengths == bands for part in batch])
            rows = rows.to(pixels.device)
            tokens = self.module(pixels[rows], torch.tensor(bands, device=pixels.device))
            if not len(found):
                found = tokens.new_empty(len(batch), *tokens.shape[1:])
            found[rows] = tokens
        side = self.intake.side // self.intake.patch
        patches = found[:, 1:]
        return patches.mean(1), patches.unflatten(1, (side, side))

"""The starter's network: a vision transformer that takes any bands at any ground distance."""

import math
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from foundation.attention import attended

FREQUENCIES = 8
WAVES = 5  # of a layout, down and across


@dataclass(frozen=True)
class Shape:
    """patch: pixels a side. spectra: virtual bands. stem, width: units. layers, heads: of blocks.

    ratio: hidden units of a block's perceptron, times width.
    """

    patch: int = 8
    spectra: int = 12
    stem: int = 384
    width: int = 192
    layers: int = 8
    heads: int = 3
    ratio: int = 4


def octaves(value: Tensor, low: float, high: float) -> Tensor:
    """log2 of a value, scaled from [low, high] to [-1, 1], as sines and cosines [..., 2 F + 1]."""
    place = (2 * torch.log2(value) - math.log2(low) - math.log2(high)) / math.log2(high / low)
    angle = place[..., None] * (2.0 ** torch.arange(FREQUENCIES, device=value.device)) * math.pi / 4
    return torch.cat([place[..., None], angle.sin(), angle.cos()], -1)


def positions(rows: Tensor, columns: Tensor, width: int) -> Tensor:
    """Sines and cosines of token rows and columns [..., tokens] -> [..., tokens, width]."""
    step = torch.arange(width // 4, device=rows.device) * (-math.log(1000.0) / (width // 4))
    angles = [place[..., None] * step.exp() for place in (rows, columns)]
    waves = [f(angle) for angle in angles for f in (torch.sin, torch.cos)]
    return 0.25 * torch.cat(waves, -1)  # or places would drown what is seen there


class Spectra(nn.Module):
    """Bands at wavelengths -> virtual bands, mixed with weights that are a function of wavelength.

    So a patch is embedded by one kernel whatever the sensor. The kernel of a band at wavelength w
    is the sum of the virtual bands' kernels weighted by `mix(w)`: generated weights as in DOFA
    (Xiong et al. 2024), factored.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        features = 2 * FREQUENCIES + 1
        self.mix = nn.Sequential(nn.Linear(features, 64), nn.GELU(), nn.Linear(64, shape.spectra))
        self.about = nn.Sequential(
            nn.Linear(2 * features, shape.width), nn.GELU(), nn.Linear(shape.width, shape.width)
        )
        self.kernel = nn.Linear(shape.spectra * shape.patch**2, shape.stem)
        self.out = nn.Linear(shape.stem, shape.width)

    def forward(self, patches: Tensor, bands: Tensor, distance: Tensor) -> Tensor:
        """Patches [rows, tokens, bands, pixels] -> tokens [rows, tokens, width].

        bands: wavelengths in nm [rows, bands], 0 where a row has no such band (its pixels are not
        looked at). distance: metres a pixel [rows].
        """
        present = (bands > 0).float()
        count = present.sum(1, keepdim=True).clamp(min=1)
        waves = octaves(bands.clamp(min=300), 300, 3000)
        weights = self.mix(waves) * (present / count.sqrt())[..., None]
        mixed = torch.einsum("ntbp,nbk->ntkp", patches, weights.to(patches.dtype)).flatten(2)
        seen = (waves * (present / count)[..., None]).sum(1)
        about = self.about(torch.cat([seen, octaves(distance, 0.25, 256)], -1))
        tokens: Tensor = self.out(functional.gelu(self.kernel(mixed))) + about[:, None]
        return tokens


def _attended(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Scaled dot-product attention [rows, heads, tokens, units]."""
    if not torch.is_grad_enabled():
        return attended(query, key, value)
    # On a CPU torch's fused kernel goes back through few tokens four times slower than this.
    weights = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
    mixed: Tensor = weights.softmax(-1).to(value.dtype) @ value
    return mixed


class Block(nn.Module):
    """Attention and a perceptron, each after a layer norm (Dosovitskiy et al. 2021)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.before = nn.LayerNorm(shape.width)
        self.qkv = nn.Linear(shape.width, 3 * shape.width)
        self.out = nn.Linear(shape.width, shape.width)
        self.between = nn.LayerNorm(shape.width)
        self.up = nn.Linear(shape.width, shape.ratio * shape.width)
        self.act = nn.GELU()
        self.down = nn.Linear(shape.ratio * shape.width, shape.width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [rows, tokens, width] -> the same shape."""
        rows, count, width = tokens.shape
        qkv = self.qkv(self.before(tokens)).view(rows, count, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = _attended(query, key, value)
        tokens = tokens + self.out(mixed.transpose(1, 2).reshape(rows, count, width))
        tokens = tokens + self.down(self.act(self.up(self.between(tokens))))
        return tokens


class Layout(nn.Module):
    """Patches' vectors -> where in their window what they tell of lies.

    A few channels of them as the slowest waves down and across (a discrete cosine transform), but
    for the constant one: what a mean forgets.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        waves = WAVES**2 - 1
        channels = max(1, width // waves)
        self.units = waves * channels
        self.channels = nn.Linear(width, channels, bias=False)
        self.strength = nn.Parameter(torch.ones(waves))

    def forward(self, patches: Tensor) -> Tensor:
        """[rows, down, across, width] -> [rows, units]."""
        down, across = (_waves(count, patches) for count in patches.shape[1:3])
        laid = torch.einsum("nhwc,ih,jw->nijc", self.channels(patches), down, across)
        return (laid.flatten(1, 2)[:, 1:] * self.strength[:, None]).flatten(1)


def _waves(count: int, like: Tensor) -> Tensor:
    """The WAVES slowest cosines over `count` places [WAVES, count], as strong for any count."""
    place = (torch.arange(count, device=like.device) + 0.5) * (math.pi / count)
    waves = torch.cos(torch.arange(WAVES, device=like.device)[:, None] * place)
    return (waves / count).to(like.dtype)


class Seen(NamedTuple):
    """summary: what tells windows apart [rows, width]. layout: [rows, units], see `Layout`.

    patches: [rows, height / patch, width / patch, width].
    """

    summary: Tensor
    layout: Tensor
    patches: Tensor


class SpectralTransformer(nn.Module):
    """Pixels of any bands -> a vector a patch, and two of the whole; see `Seen`."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.spectra = Spectra(shape)
        self.summary = nn.Parameter(torch.zeros(shape.width))
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.width)
        self.layout = Layout(shape.width)
        for name, weight in self.named_parameters():
            if weight.ndim == 2 and "blocks" in name:
                nn.init.trunc_normal_(weight, std=0.02)
            elif weight.ndim == 2:  # what is seen goes on as strong as it came
                nn.init.normal_(weight, std=weight.shape[1] ** -0.5)
            elif name.endswith("bias"):
                nn.init.zeros_(weight)
        with torch.no_grad():
            self.spectra.mix[2].get_parameter("weight").mul_(1.5)

    def forward(self, pixels: Tensor, bands: Tensor, distance: Tensor) -> Seen:
        """Pixels [rows, bands, height, width] in standard deviations -> vectors.

        See `Spectra` for bands and distance.
        """
        height, width = (side // self.shape.patch for side in pixels.shape[2:])
        place = torch.arange(height * width, device=pixels.device)
        summary, tokens = self.tokens(
            patches(pixels, self.shape.patch), bands, distance, place // width, place % width
        )
        laid = tokens.unflatten(1, (height, width))
        return Seen(summary, self.layout(laid), laid)

    def tokens(
        self, patches: Tensor, bands: Tensor, distance: Tensor, rows: Tensor, columns: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Some patches of a picture, at token rows and columns [rows, tokens] -> the summaries
        [rows, width] and the patches [rows, tokens, width]; see `forward`."""
        tokens = self.spectra(patches, bands, distance)
        tokens = tokens + positions(rows, columns, self.shape.width)
        summary = self.summary.expand(len(tokens), 1, -1).to(tokens.dtype)
        tokens = torch.cat([summary, tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        tokens = self.norm(tokens)
        return tokens[:, 0], tokens[:, 1:]

    def config(self) -> dict[str, Any]:
        """What `Shape(**config)` needs to build it again."""
        return asdict(self.shape)


def patches(pixels: Tensor, side: int) -> Tensor:
    """[rows, bands, height, width] -> [rows, tokens, bands, side * side], row by row."""
    rows, bands, height, width = pixels.shape
    cut = pixels.reshape(rows, bands, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(rows, -1, bands, side * side)

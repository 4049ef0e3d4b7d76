"""A vision transformer's blocks under the names that published state dicts use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from foundation.attention import attended
from foundation.errors import SourceError


class Attention(nn.Module):
    """Self-attention (Vaswani et al. 2017) of tokens [rows, tokens, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        rows, count, width = tokens.shape
        qkv = self.qkv(tokens).view(rows, count, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = attended(*qkv)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(rows, count, width))
        return out


class Perceptron(nn.Module):
    """Two layers with GELU between them."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        out: Tensor = self.fc2(self.act(self.fc1(tokens)))
        return out


class Block(nn.Module):
    """Attention and a perceptron, each after a layer norm (Dosovitskiy et al. 2021)."""

    def __init__(self, width: int, heads: int, ratio: float, epsilon: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=epsilon)
        self.mlp = Perceptron(width, int(width * ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        out: Tensor = tokens + self.mlp(self.norm2(tokens))
        return out


def waves(width: int, places: Tensor) -> Tensor:
    """Sines, then cosines of places [...], at wavelengths to 10,000 (Vaswani et al. 2017):
    [..., width]."""
    rates = torch.arange(width // 2, dtype=torch.float64, device=places.device) / (width / 2)
    angles = places.double()[..., None] / 10_000**rates
    return torch.cat([angles.sin(), angles.cos()], -1).float()


def state_dict(folder: Path, command: str) -> Mapping[str, Tensor]:
    """The one safetensors file of a folder; SourceError says how a published pickle becomes one."""
    from safetensors.torch import load_file

    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        raise SourceError(
            f"{folder} must hold the weights as one safetensors file. The published one is a "
            f"pickle, which is never read here as a model; turn it into one: {command}"
        )
    weights: Mapping[str, Tensor] = load_file(str(found[0]))
    return weights


def loaded(module: nn.Module, weights: Mapping[str, Any], folder: Path) -> None:
    """Put weights into a module; what it has no use for is left, what it lacks is SourceError."""
    report = module.load_state_dict(weights, strict=False)
    if report.missing_keys:
        raise SourceError(f"{folder} lacks weights of its model: {report.missing_keys[0]}")

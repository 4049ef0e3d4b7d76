"""What drawing a picture needs, from the shapes that a pipeline's configs tell."""

from collections.abc import Mapping
from typing import Any

from foundation.hub.facts import config
from foundation.spec import ModelSpec

DECODING = 3.5
"""Tensors of the autoencoder's widest layers at full size that are held at once, about."""
STEPPING = {"unet": 36, "transformer": 24}
"""Tensors of a UNet's first layers, or of a transformer's block, that are held at once, about."""
PIXEL = 3 * 4 * 3
"""Bytes of a pixel as float32, twice, and as a picture."""
GUIDED = 2
"""Passes of a step with guidance, side by side."""


def drawing(spec: ModelSpec, pixels: int, size: int) -> int:
    """Bytes of one picture while it is drawn, in numbers of `size` bytes."""
    held = STEPPING["transformer" if config(spec, "transformer") else "unet"]
    stepping = _tokens(spec, pixels) * _width(spec) * size * held * GUIDED
    return int(max(stepping, _decoding(spec, pixels, size)) + PIXEL * pixels)


def operations(spec: ModelSpec, pixels: int, parameters: int) -> float:
    """Of one step: 2 a parameter of the denoiser for each token, about."""
    sizes: Mapping[str, int] = spec.facts.get("parameters", {})
    denoiser = [n for path, n in sizes.items() if path.startswith(("unet/", "transformer/"))]
    count = sum(denoiser) or parameters
    # A UNet's parameters see fewer and fewer places the deeper they are.
    share = 0.1 if config(spec, "unet") else 1.0
    return 2.0 * GUIDED * share * count * _tokens(spec, pixels)


def _decoding(spec: ModelSpec, pixels: int, size: int) -> float:
    """Of the autoencoder's last block, whose tensors are as large as the picture."""
    vae = config(spec, "vae")
    channels = vae.get("block_out_channels") or vae.get("decoder_block_out_channels")
    if not channels:
        return 0.0 if spec.facts.get("configs") else pixels * size * DECODING * 256
    return pixels * size * DECODING * float(channels[min(1, len(channels) - 1)])


def _tokens(spec: ModelSpec, pixels: int) -> float:
    """Places that the denoiser sees: of latents, 8 pixels a side, and a transformer's patches."""
    vae = config(spec, "vae")
    latent = _scale(vae) if vae or not spec.facts.get("configs") else 1
    patch = int(config(spec, "transformer").get("patch_size") or 1)
    return pixels / (latent * patch) ** 2


def _scale(vae: Mapping[str, Any]) -> int:
    """Pixels of a latent's side."""
    return int(2 ** (len(vae.get("block_out_channels", (1,) * 4)) - 1))


def _width(spec: ModelSpec) -> int:
    """Numbers of a place."""
    unet, transformer = config(spec, "unet"), config(spec, "transformer")
    if unet.get("block_out_channels"):
        return int(unet["block_out_channels"][0])
    if transformer.get("hidden_size"):
        return int(transformer["hidden_size"])
    heads, each = transformer.get("num_attention_heads"), transformer.get("attention_head_dim")
    return int(heads) * int(each) if heads and each else 1024

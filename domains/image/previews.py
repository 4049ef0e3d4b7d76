"""Unfinished pictures, shown while they are drawn by the pipeline's own callback."""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.image.inputs import Generate
from foundation.domains.image.loading import parameters
from foundation.errors import RequestError

if TYPE_CHECKING:
    import torch

SIDE = 32  # latents a side that are decoded; more would cost as much as the picture


def previews(
    pipe: Any, batch: Sequence[Generate], seeds: Sequence[int], size: tuple[int, int]
) -> dict[str, Any]:
    """The callback of a call whose pictures are to be looked at meanwhile; nothing otherwise."""
    if all(request.preview is None for request in batch):
        return {}
    if "callback_on_step_end" not in parameters(pipe) or not _readable(pipe):
        raise RequestError(f"preview: {type(pipe).__name__} shows no unfinished pictures")

    def show(pipe: Any, step: int, _time: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        pixels = _decoded(pipe, tensors["latents"], size)
        for request, seed, picture in zip(batch, seeds, pixels, strict=True):
            _show(request.preview, seed, step, picture)
        return tensors

    return {"callback_on_step_end": show}


def _show(where: str | Callable[[int, int, Any], None] | None, seed: int, step: int,
          picture: Any) -> None:  # fmt: skip
    if where is None:
        return
    if callable(where):
        where(seed, step, picture)
        return
    from PIL import Image

    from foundation.durable import replacing

    folder = Path(where).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{seed}.png") as part, part.open("wb") as file:
        Image.fromarray(picture).save(file, "PNG")


def _readable(pipe: Any) -> bool:
    """Whether latents are a grid, or packed in the one way that several pipelines share."""
    unpack = getattr(pipe, "_unpack_latents", None)
    if unpack is None:
        return not any(name.startswith("_unpack") for name in dir(pipe))
    return len(inspect.signature(unpack).parameters) == 4


def _decoded(pipe: Any, latents: "torch.Tensor", size: tuple[int, int]) -> Any:
    """Latents -> bytes [rows, height, width, 3], small where the picture is large."""
    import torch
    from torch.nn.functional import interpolate

    with torch.no_grad():
        if latents.ndim == 3:
            latents = pipe._unpack_latents(latents, size[1], size[0], pipe.vae_scale_factor)
        film = latents.ndim == 5  # a video's VAE, with one frame
        grid = latents[:, :, 0] if film else latents
        vae = getattr(pipe, "vae", None)
        if vae is not None:
            side = max(grid.shape[-2:])
            if side > SIDE:
                grid = interpolate(grid.float(), scale_factor=SIDE / side, mode="area")
            grid = _unscaled(grid, vae.config).to(vae.dtype)
            grid = vae.decode(grid[:, :, None] if film else grid, return_dict=False)[0]
            grid = grid[:, :, 0] if film else grid
        pixels = (grid.float() / 2 + 0.5).clamp(0, 1).nan_to_num() * 255
        return pixels.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _unscaled(grid: "torch.Tensor", config: Any) -> "torch.Tensor":
    mean, deviation = getattr(config, "latents_mean", None), getattr(config, "latents_std", None)
    if mean is not None and deviation is not None:
        shape = (1, -1, 1, 1)
        return grid * grid.new_tensor(deviation).view(shape) + grid.new_tensor(mean).view(shape)
    shift = getattr(config, "shift_factor", None) or 0.0
    return grid / getattr(config, "scaling_factor", 1.0) + shift

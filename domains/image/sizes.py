"""Which sizes a pipeline can draw."""

import inspect
from collections.abc import Mapping, Sequence
from math import lcm
from typing import Any

from foundation.errors import RequestError


def check_size(pipe: Any, given: Mapping[str, int], sides: Sequence[int] | None) -> None:
    """RequestError for a width or height the pipeline would refuse, round or never learnt.

    Some pipelines round a size in silence, so it is not left to them.
    """
    multiple = _multiple(pipe)
    for name, side in given.items():
        if sides is not None and side not in sides:
            raise RequestError(f"{name} {side}: this model draws {', '.join(map(str, sides))} only")
        if side % multiple:
            below = side // multiple * multiple
            near = [str(each) for each in (below, below + multiple) if each]
            raise RequestError(
                f"{name} {side}: this model draws multiples of {multiple}; "
                f"the nearest are {' and '.join(near)}"
            )


def _multiple(pipe: Any) -> int:
    scale = int(getattr(pipe, "vae_scale_factor", 8))
    if getattr(pipe, "transformer", None) is None:
        return lcm(8, scale)
    patch = getattr(pipe.transformer.config, "patch_size", None) or 1
    patch = patch if isinstance(patch, int) else max(patch)
    if hasattr(pipe, "_pack_latents"):
        patch = lcm(2, patch)
    return scale * patch


def fitting(pipe: Any, size: tuple[int, int]) -> dict[str, int]:
    """The nearest size, not above a picture's own, that the pipeline can draw."""
    multiple = _multiple(pipe)
    return {
        name: max(multiple, side // multiple * multiple)
        for name, side in zip(("width", "height"), size, strict=True)
    }


def usual(pipe: Any) -> dict[str, int] | None:
    """The size a pipeline draws when it is given none, where that can be told."""
    taken = inspect.signature(type(pipe).__call__).parameters
    if any(getattr(taken.get(side), "default", None) is not None for side in ("width", "height")):
        return {side: int(taken[side].default) for side in ("width", "height")}
    denoiser = getattr(pipe, "transformer", None) or getattr(pipe, "unet", None)
    side = pipe.config.get("default_sample_size") or vars(pipe).get("default_sample_size")
    side = side or getattr(getattr(denoiser, "config", None), "sample_size", None)
    if not isinstance(side, int):
        return None
    pixels = side * int(getattr(pipe, "vae_scale_factor", 8))
    return {"width": pixels, "height": pixels}

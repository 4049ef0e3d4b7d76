"""task.speed=exact: what makes a pipeline faster and changes its pictures by rounding alone."""

from typing import Any

from foundation.domains.image.fast import denoiser_name
from foundation.domains.image.quiet import quiet

REPAYS = 300
"""Passes of a picture after which compiling is taken to repay itself: it costs about a minute."""


class Exact:
    """A pipeline laid out for its device; on CUDA its repeated blocks are compiled in time."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._passes = 0
        self._compiled = False

    def before(self, passes: int) -> None:
        """Called before pictures are drawn that take so many passes of the denoiser in all."""
        self._passes += passes
        denoiser = getattr(self._pipe, denoiser_name(self._pipe))
        repays = self._passes >= REPAYS and denoiser.device.type == "cuda"
        if repays and not self._compiled and getattr(denoiser, "_repeated_blocks", None):
            denoiser.compile_repeated_blocks(dynamic=True)
            self._compiled = True


def lay_out(pipe: Any, fuse: bool) -> Exact:
    """Fuse the projections of queries, keys and values, and keep channels last in convolutions.

    fuse: whether that may be done: LoRA weights are laid on the projections as they were trained.
    """
    import torch

    denoiser = getattr(pipe, denoiser_name(pipe))
    if fuse and _fuses(denoiser):
        with quiet():
            denoiser.fuse_qkv_projections()
    for part in (denoiser, getattr(pipe, "vae", None)):
        if part is not None and any(isinstance(m, torch.nn.Conv2d) for m in part.modules()):
            part.to(memory_format=torch.channels_last)
    return Exact(pipe)


def _fuses(denoiser: Any) -> bool:
    """Whether its projections are apart and of plain weights."""
    attentions = [part for part in denoiser.modules() if hasattr(part, "fuse_projections")]
    apart = attentions and all(hasattr(part, "to_q") for part in attentions)
    quantised = getattr(denoiser, "hf_quantizer", None) is not None
    return bool(apart) and not quantised and hasattr(denoiser, "fuse_qkv_projections")

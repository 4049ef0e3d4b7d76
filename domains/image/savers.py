"""What a pipeline can do to need less memory: offered to the core, which decides."""

from typing import TYPE_CHECKING, Any

from foundation.domains.image.fast import denoiser_name

if TYPE_CHECKING:
    from collections.abc import Callable


class Savers:
    """The savers of one pipeline, mildest first.

    vae-slicing decodes one picture of a batch at a time and vae-tiling one part of it, which can be
    seen at the seams of large pictures; text-encoders and group-offload keep weights in main memory
    and bring them to the device when they are needed.
    """

    def __init__(self, pipe: Any, device: str) -> None:
        self._pipe, self._device = pipe, device
        self._known: dict[str, Callable[[], None]] = {}
        vae = getattr(pipe, "vae", None)
        for name, method in (("vae-slicing", "enable_slicing"), ("vae-tiling", "enable_tiling")):
            if hasattr(vae, method):
                self._known[name] = getattr(vae, method)
        self._away = False
        if device.startswith("cuda"):
            self._known |= {"text-encoders": self._encoders, "group-offload": self._denoiser}

    def place(self, away: bool) -> None:
        """Bring the pipeline to its device; away: its weights stay in main memory until needed."""
        self._away = away and self._device.startswith("cuda")
        if not self._away:
            self._pipe.to(self._device)
            return
        self._pipe.enable_group_offload(
            offload_type="leaf_level", use_stream=True, **self._devices()
        )

    def names(self) -> list[str]:
        """What can be switched on."""
        return [name for name in self._known if not self._away or name.startswith("vae")]

    def switch_on(self, name: str) -> None:
        self._known[name]()

    def _encoders(self) -> None:
        from diffusers.hooks import apply_group_offloading

        for name, part in self._pipe.components.items():
            if name.startswith("text_encoder") and part is not None:
                apply_group_offloading(part, offload_type="leaf_level", **self._devices())

    def _denoiser(self) -> None:
        part = getattr(self._pipe, denoiser_name(self._pipe))
        part.enable_group_offload(offload_type="leaf_level", use_stream=True, **self._devices())

    def _devices(self) -> dict[str, Any]:
        import torch

        return {"onload_device": torch.device(self._device), "offload_device": torch.device("cpu")}

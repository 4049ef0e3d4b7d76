"""Any text-to-image pipeline of diffusers behind the core's interface.

Options of a model's YAML:
    steps, guidance, width, height: used where a request says nothing; else the pipeline's own.
    sides: the widths and heights the model was trained on, where it can do no others.
    call: further arguments of the pipeline's call.
    batch: pictures drawn together.
"""

import json
from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement
from foundation.domains.image.inputs import SEEDS, Generate
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
WORKING = 64  # bytes a pixel while a picture is drawn, about
DARK = 3  # of 255; a picture no brighter is black


class TextToImage:
    """A DiffusionPipeline that draws from text: generate."""

    pipe: Any

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Weights in `spec.dtype`, "auto" being float32; a request's pixels."""
        options = spec.options
        width = getattr(request, "width", None) or options.get("width", 512)
        height = getattr(request, "height", None) or options.get("height", 512)
        weights = BYTES.get(spec.dtype, 4) * (spec.parameters or 0)
        return Cost(weights=weights, memory=WORKING * width * height)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.domains.image.loading import add_loras, parameters, read_pipeline

        if placement.threads:
            torch.set_num_threads(placement.threads)
        self.pipe = read_pipeline(folder, getattr(torch, placement.dtype))
        self._loras = add_loras(self.pipe, spec.deltas)
        self.pipe.to(placement.device)
        self._taken = parameters(self.pipe)
        self._options = dict(spec.options)
        self._plain = self.pipe.scheduler

    def key(self, task: str, request: Generate) -> Hashable:
        """All that one call of a pipeline has for all its pictures."""
        return (
            request.width,
            request.height,
            request.steps,
            request.guidance,
            request.scheduler,
            request.lora,
            request.negative is None,
        )

    def run(
        self, task: str, batch: Sequence[Generate], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        """Draw the pictures of one key together, each from its own noise."""
        try:
            given = self._call(batch[0])
            pictures = self._draw(batch, given, draws)
        except (RequestError, ValueError) as error:  # pipelines check what they are given
            reason = str(error).strip().partition("\n")[0]
            yield from ((row, Output(None, reason, refused=True)) for row in range(len(batch)))
            return
        from foundation.domains.image.prompts import cut

        for row, (request, picture, seed) in enumerate(
            zip(batch, pictures, seeds(batch, draws), strict=True)
        ):
            value, why = _checked(picture)
            extra = {
                "image_seed": seed,
                "width": picture.shape[1],
                "height": picture.shape[0],
                "steps": given["num_inference_steps"],
                "guidance": given.get("guidance_scale", given.get("true_cfg_scale")),
                "scheduler": request.scheduler,
                "negative": request.negative,
                "lora": request.lora,
                "loras": json.dumps(self._loras) if self._loras else None,
                "cut": cut(self.pipe, self._taken, request.prompt),
            }
            usage = {"images": 1.0, "steps": float(given["num_inference_steps"])}
            yield row, Output(value, why, extra=extra, usage=usage)

    def savers(self) -> Sequence[str]:
        """Ways to need less memory, mildest first."""
        vae = getattr(self.pipe, "vae", None)
        known = {"vae-slicing": "enable_slicing", "vae-tiling": "enable_tiling"}
        return [name for name, method in known.items() if hasattr(vae, method)]

    def save_memory(self, name: str) -> None:
        getattr(self.pipe.vae, {"vae-slicing": "enable_slicing"}.get(name, "enable_tiling"))()

    def close(self) -> None:
        del self.pipe, self._plain

    def _call(self, request: Generate) -> dict[str, Any]:
        """The arguments that all pictures of a key share; RequestError for what cannot be."""
        from foundation.domains.image.sizes import check_size

        wanted = {
            name: getattr(request, name) or self._options.get(name)
            for name in ("width", "height", "steps")
        }
        given: dict[str, Any] = {
            name: wanted[name] for name in ("width", "height") if wanted[name] is not None
        }
        check_size(self.pipe, given, self._options.get("sides"))
        steps = wanted["steps"] or self._taken.get("num_inference_steps")
        given["num_inference_steps"] = steps
        guidance = request.guidance
        if guidance is None:
            guidance = self._options.get("guidance")
        if guidance is not None:
            given[self._guidance(request)] = float(guidance)
        elif "guidance_scale" in self._taken:
            given["guidance_scale"] = self._taken["guidance_scale"]
        if request.negative is not None and "negative_prompt" not in self._taken:
            raise RequestError(f"negative: {type(self.pipe).__name__} takes no negative prompt")
        return {**given, **self._options.get("call", {})}

    def _guidance(self, request: Generate) -> str:
        """Models that were distilled take their guidance apart from a negative prompt's."""
        true = "true_cfg_scale" in self._taken
        distilled = true and "guidance_scale" in self._taken and request.negative is None
        return "true_cfg_scale" if true and not distilled else "guidance_scale"

    def _draw(
        self, batch: Sequence[Generate], given: dict[str, Any], draws: Draws
    ) -> "NDArray[np.float32]":
        """Pictures [rows, height, width, 3], 0 to 1."""
        import numpy as np
        import torch

        from foundation.domains.image.loading import scale_loras
        from foundation.domains.image.quiet import quiet
        from foundation.domains.image.schedulers import scheduler

        first = batch[0]
        scale_loras(self.pipe, self._loras, first.lora)
        if first.negative is not None:
            given = {**given, "negative_prompt": [str(request.negative) for request in batch]}
        # One generator a picture, on the CPU: the same noise whatever the batch or the device.
        generators = [torch.Generator().manual_seed(seed) for seed in seeds(batch, draws)]
        with quiet():
            self.pipe.scheduler = self._plain
            if first.scheduler is not None:
                self.pipe.scheduler = scheduler(first.scheduler, self._plain)
            made = self.pipe(
                prompt=[request.prompt for request in batch],
                generator=generators,
                output_type="np",
                **given,
            ).images
        return np.asarray(made)


def seeds(batch: Sequence[Generate], draws: Draws) -> list[int]:
    """Each picture's own seed: the one asked for, or one drawn for its request."""
    halves = (draws.uniform(0, (2,)).astype("float64") * 2**24).astype("int64").tolist()
    return [
        (high * 2**24 + low) % SEEDS if request.image_seed is None else request.image_seed
        for request, (high, low) in zip(batch, halves, strict=True)
    ]


def _checked(picture: "NDArray[np.float32]") -> "tuple[NDArray[np.uint8] | None, str | None]":
    """A picture as bytes, or why it is none."""
    import numpy as np

    if not np.isfinite(picture).all():
        return None, "the picture is not a number: try another dtype (placement.dtype=float32)"
    pixels = (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
    return pixels, "the picture is black" if pixels.max() < DARK else None

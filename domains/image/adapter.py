"""Any text-to-image pipeline of diffusers behind the core's interface.

Options of a model's YAML:
    steps, guidance, width, height, negative: used where a request is silent; else the pipeline's.
    sides: the widths and heights the model was trained on, where it can do no others.
    call: further arguments of the pipeline's call.
    batch: pictures drawn together.
    variant: of the weights, e.g. fp16, where a folder holds several.
    config: a folder of configuration, for a model that is a single file of weights.
    parts: part -> a GGUF, a safetensors file or a folder it is read from; see parts.py.
    quantise: part -> how diffusers quantises it; see parts.py.
    fast: how task.speed=fast draws; see fast.py.
    distance: a source of DINO weights, by which a fast picture's distance is told, too.
"""

import json
import time
from collections.abc import Hashable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement
from foundation.domains.image.inputs import SEEDS, Generate
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.placement.geometry import SIZES
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 50  # of a picture, where nothing tells
DARK = 3  # of 255; a picture no brighter is black
DRAWN_BY = ("width", "height", "steps", "guidance", "scheduler")


class TextToImage:
    """A DiffusionPipeline that draws from text: generate."""

    pipe: Any
    offloads = ("host",)

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of drawing a picture and, the most of it, of decoding it into pixels."""
        from foundation.domains.image.needs import drawing, operations
        from foundation.placement.geometry import mapped

        options, size = spec.options, SIZES.get(spec.dtype, 4)
        width = getattr(request, "width", None) or options.get("width", 512)
        height = getattr(request, "height", None) or options.get("height", 512)
        steps = getattr(request, "steps", None) or options.get("steps") or STEPS
        parameters = spec.parameters or 0
        return Cost(
            weights=size * parameters,
            mapped=mapped(spec),
            memory=drawing(spec, width * height, size),
            work=steps * operations(spec, width * height, parameters),
        )

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.domains.image.encoded import keep_encoded
        from foundation.domains.image.exact import lay_out
        from foundation.domains.image.fast import FastTier
        from foundation.domains.image.loading import read_pipeline
        from foundation.domains.image.lora import Loras
        from foundation.domains.image.savers import Savers
        from foundation.domains.image.starting import Views

        if placement.threads:
            torch.set_num_threads(placement.threads)
        self._options, self._device = dict(spec.options), placement.device
        self.pipe = read_pipeline(folder, spec, getattr(torch, placement.dtype))
        self._plain = self.pipe.scheduler
        self._fast = FastTier(self.pipe, folder, self._options)
        self._loras = Loras(self.pipe, spec.deltas)
        self._exact = lay_out(self.pipe, fuse=not spec.deltas and self._fast.how.lora is None)
        self._savers = Savers(self.pipe, placement.device)
        self._savers.place(away=placement.offload == "host")
        self._encoded = keep_encoded(self.pipe)
        self._views = Views(self.pipe)
        self._weights: Any = None
        self._told: dict[Hashable, str] = {}

    def key(self, task: str, request: Generate) -> Hashable:
        """All that one call of a pipeline has for all its pictures."""
        start = None
        if request.image is not None:
            from foundation.domains.image.pictures import size

            start = size(request.image)
        return (
            request.width,
            request.height,
            request.steps,
            request.guidance,
            request.scheduler,
            request.lora,
            request.negative is None,
            request.speed,
            start,
            request.mask is None,
            request.strength,
        )

    def run(
        self, task: str, batch: Sequence[Generate], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        """Draw the pictures of one key together, each from its own noise."""
        try:
            drawn = self._drawn_by(batch)
            pictures = self._draw(drawn, seeds(batch, draws))
        except (RequestError, ValueError) as error:  # pipelines check what they are given
            if len(batch) > 1:  # one of them may be fine, or be another's fault
                for row, request in enumerate(batch):
                    for _, output in self.run(task, [request], draws.select([row])):
                        yield row, output
                return
            yield 0, Output(None, str(error).strip().partition("\n")[0], refused=True)
            return
        for row, (request, picture, seed) in enumerate(
            zip(drawn, pictures, seeds(batch, draws), strict=True)
        ):
            yield row, self._output(request, picture, seed)
        self._compare(batch, drawn, seeds(batch, draws))

    def notes(self) -> Sequence[str]:
        """What fast pictures cost."""
        return list(self._told.values())

    def savers(self) -> Sequence[str]:
        """Ways to need less memory, mildest first."""
        return self._savers.names()

    def save_memory(self, name: str) -> None:
        self._savers.switch_on(name)

    def close(self) -> None:
        del self.pipe, self._plain, self._views, self._encoded, self._savers, self._loras
        del self._fast, self._exact

    def _drawn_by(self, batch: Sequence[Generate]) -> list[Generate]:
        """The requests with the settings they are really drawn by."""
        from foundation.domains.image.calling import settled

        first = batch[0]
        pipe = self._views.of(first)
        if first.speed == "exact":
            return [settled(pipe, request, self._options) for request in batch]
        steps = int(settled(pipe, first, self._options).steps or 1)
        return [
            settled(pipe, self._fast.request(request, steps), self._options) for request in batch
        ]

    def _draw(self, batch: Sequence[Generate], seeds: Sequence[int]) -> "NDArray[np.float32]":
        """Pictures [rows, height, width, 3], 0 to 1, of requests whose settings are settled."""
        import numpy as np

        from foundation.domains.image.quiet import quiet
        from foundation.domains.image.starting import alone

        first = batch[0]
        pipe, fast = self._views.of(first), first.speed == "fast"
        self._set_weights(first)
        with quiet():
            pipe.scheduler = self._scheduler(first)
        tier = self._fast.engaged(pipe, int(first.steps or 1)) if fast else nullcontext()
        with quiet(), tier:
            if len(batch) > 1 and (alone(pipe, first) or (fast and self._fast.alone)):
                one_by_one = zip(batch, seeds, strict=True)
                made = [self._called(pipe, [request], [seed]) for request, seed in one_by_one]
                return np.concatenate(made)
            if not fast:
                self._exact.before(len(batch) * int(first.steps or 1))
            return self._called(pipe, batch, seeds)

    def _called(
        self, pipe: Any, batch: Sequence[Generate], seeds: Sequence[int]
    ) -> "NDArray[np.float32]":
        import numpy as np
        import torch

        from foundation.domains.image.calling import called
        from foundation.domains.image.previews import previews
        from foundation.domains.image.starting import kept, started

        first = batch[0]
        given = called(pipe, first, self._options)
        size = (int(first.width or 0), int(first.height or 0))
        given |= started(pipe, batch, size) | previews(pipe, batch, seeds, size)
        if first.negative is not None:
            given["negative_prompt"] = [str(request.negative) for request in batch]
        made = pipe(
            prompt=[request.prompt for request in batch],
            # One generator a picture, on the CPU: the same noise whatever the batch or the device.
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="np",
            **given,
        ).images
        return kept(np.asarray(made), batch, size)

    def _scheduler(self, request: Generate) -> Any:
        from foundation.domains.image.schedulers import check_steps, scheduler

        if request.scheduler is not None:
            chosen = scheduler(request.scheduler, self._plain)
        else:
            chosen = self._fast.scheduler if request.speed == "fast" else self._plain
        check_steps(chosen, int(request.steps or 1))
        return chosen

    def _set_weights(self, request: Generate) -> None:
        """Lay on the LoRA weights of a request; a text encoder may be another one with them."""
        weights = (request.lora, self._fast.laid if request.speed == "fast" else None)
        if weights != self._weights:
            self._loras.set(*weights)
            if self._weights is not None:
                for encoder in self._encoded:
                    encoder.forget()
            self._weights = weights

    def _output(self, request: Generate, picture: "NDArray[np.float32]", seed: int) -> Output:
        from foundation.domains.image.prompts import cut

        value, why = _checked(picture)
        extra = {
            **{name: getattr(request, name) for name in DRAWN_BY},
            "width": picture.shape[1],
            "height": picture.shape[0],
            "image_seed": seed,
            "negative": request.negative,
            "image": request.image,
            "mask": request.mask,
            "strength": request.strength,
            "speed": request.speed,
            "lora": request.lora,
            "loras": json.dumps(self._loras.told) if self._loras.told else None,
            "format": request.format,
            "cut": cut(self.pipe, request.prompt),
        }
        usage = {"images": 1.0, "steps": float(request.steps or 0)}
        return Output(value, why, extra=extra, usage=usage)

    def _compare(
        self, asked: Sequence[Generate], drawn: Sequence[Generate], seeds: Sequence[int]
    ) -> None:
        """Once for each kind of fast request: draw some exactly, too, and say what fast costs."""
        key = self.key("generate", asked[0])
        if asked[0].speed == "exact" or not asked[0].compare or key in self._told:
            return
        try:
            self._told[key] = self._costs(asked, drawn, seeds)
        except (RequestError, ValueError) as error:
            self._told[key] = f"speed=fast cannot be compared with exact: {error}"

    def _costs(
        self, asked: Sequence[Generate], drawn: Sequence[Generate], seeds: Sequence[int]
    ) -> str:
        from dataclasses import replace

        from foundation.domains.image.costs import costs, dino

        rows = slice(0, asked[0].compare)
        drawn = [replace(request, preview=None) for request in drawn[rows]]
        exact = self._drawn_by([self._fast.exactly(request) for request in asked[rows]])
        exact = [replace(request, preview=None) for request in exact]
        steps = int(exact[0].steps or 1)
        # The first call of a kind takes longer; the fast ones had theirs.
        if exact[0].image is None:  # from a picture, a part of one step is none
            self._draw([replace(request, steps=1) for request in exact], seeds[rows])
        fast_ones, plain = (self._timed(each, seeds[rows]) for each in (drawn, exact))
        fewer = max(1, min(steps, round(steps * fast_ones[1] / plain[1])))
        few = self._timed([replace(request, steps=fewer) for request in exact], seeds[rows])
        distance = self._options.get("distance")
        measure = None if distance is None else dino(distance, None, self._device)
        found = costs(fast_ones, plain, (few[0], fewer), measure)
        return found.line(self._fast.describe(int(drawn[0].steps or 1)), steps)

    def _timed(
        self, batch: Sequence[Generate], seeds: Sequence[int]
    ) -> "tuple[NDArray[np.uint8], float]":
        began = time.perf_counter()
        pictures = self._draw(batch, seeds)
        return _bytes(pictures), time.perf_counter() - began


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
    pixels = _bytes(picture)
    return pixels, "the picture is black" if pixels.max() < DARK else None


def _bytes(pictures: "NDArray[np.float32]") -> "NDArray[np.uint8]":
    import numpy as np

    return (np.nan_to_num(np.clip(pictures, 0, 1)) * 255).round().astype(np.uint8)

"""task.speed=fast: the picture sooner, and not quite the same; what it costs is told by costs.py.

`options.fast` of a model's YAML says how; without it, a step cache where the model has them, and
elsewhere half the steps by a better solver. Its keys:
    steps, guidance, scheduler: take the place of the model's own where a request says nothing.
    transformer: a folder in the model's folder, or a source, with a distilled denoiser.
    lora: LoRA weights that make the model a distilled one: a folder of peft in the model's folder,
        with the scheduler they were distilled for where it is another, or a source.
    cache: {kind: taylorseer, first_block or mag, ...}, with what diffusers' configuration takes.
    quantise: float8 (on CUDA) or int8, a copy of the denoiser by torchao.
"""

import copy
import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from math import ceil
from pathlib import Path
from typing import Any

from foundation.domains.image.inputs import Generate
from foundation.domains.image.quiet import quiet
from foundation.domains.image.schedulers import SCHEDULERS, flows
from foundation.errors import InputError, MissingExtra, UnknownName
from foundation.spec import Delta
from foundation.tuning import lora

SHARE, FEWEST = 0.5, 4
CACHES = {
    "taylorseer": "TaylorSeerCacheConfig",
    "first_block": "FirstBlockCacheConfig",
    "mag": "MagCacheConfig",
}
# Three steps are whole, then one of four: 10 of 28. The others are foretold at the last layer.
TAYLORSEER = {
    "kind": "taylorseer",
    "cache_interval": 4,
    "disable_cache_before_step": 3,
    "use_lite_mode": True,
}
QUANTISED = {
    "float8": "Float8DynamicActivationFloat8WeightConfig",
    "int8": "Int8WeightOnlyConfig",
}


@dataclass(frozen=True)
class Fast:
    """How a model draws fast; the keys of `options.fast`."""

    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    transformer: str | None = None
    lora: str | None = None
    cache: Mapping[str, Any] | None = None
    quantise: str | None = None

    def __post_init__(self) -> None:
        kind = "taylorseer" if self.cache is None else str(self.cache.get("kind"))
        for name, value, known in (
            ("scheduler", self.scheduler, SCHEDULERS),
            ("cache.kind", kind, CACHES),
            ("quantise", self.quantise, QUANTISED),
        ):
            if value is not None and value not in known:
                raise UnknownName(f"model.options.fast.{name}", value, known)

    @property
    def distilled(self) -> bool:
        """Whether other weights draw, whose steps are not the model's."""
        return self.transformer is not None or self.lora is not None


def fast(pipe: Any, options: Mapping[str, Any]) -> Fast:
    """How this model draws fast; UnknownName or InputError for options it cannot follow."""
    given = options.get("fast")
    if given is None:
        if _caches(pipe):
            return Fast(cache=TAYLORSEER)
        return Fast(scheduler="unipc" if flows(pipe.scheduler) else "dpm++")
    known = [field.name for field in fields(Fast)]
    for name in given:
        if name not in known:
            raise UnknownName("setting", f"model.options.fast.{name}", known)
    made = Fast(**given)
    if made.cache is not None and not _caches(pipe):
        raise InputError(f"model.options.fast.cache: {type(pipe).__name__} has no step caches")
    return made


class FastTier:
    """Draws with what `Fast` says, and leaves the pipeline as it was."""

    def __init__(self, pipe: Any, folder: Path, options: Mapping[str, Any]) -> None:
        self.how = fast(pipe, options)
        self._folder = folder
        self._denoiser: Any = None
        # A pipeline lays other LoRA weights on itself; not every one can.
        self._merged = (
            self.how.lora is not None and (folder / self.how.lora / lora.CONFIG).is_file()
        )
        self.scheduler = self._own_scheduler(pipe.scheduler)

    @property
    def _solves(self) -> bool:
        """Whether all that makes it fast is a solver which needs fewer steps."""
        return not (self.how.distilled or self.how.cache or self.how.quantise)

    @staticmethod
    def _fewer(steps: int) -> int:
        return max(ceil(SHARE * steps), min(steps, FEWEST))

    @property
    def laid(self) -> str | None:
        """The source of LoRA weights that the pipeline lays on itself, if any."""
        return None if self._merged else self.how.lora

    @property
    def alone(self) -> bool:
        """Whether each picture is drawn alone: a first-block cache skips steps by the batch's mean,
        so that a picture would depend on those beside it."""
        return self.how.cache is not None and self.how.cache["kind"] == "first_block"

    def request(self, request: Generate, steps: int) -> Generate:
        """A request as it is drawn fast, where exactly drawn it takes `steps` steps."""
        how = self.how
        return replace(
            request,
            steps=request.steps or how.steps or (self._fewer(steps) if self._solves else None),
            guidance=how.guidance if request.guidance is None else request.guidance,
            scheduler=request.scheduler or how.scheduler,
        )

    def exactly(self, request: Generate) -> Generate:
        """The request that a fast one is compared with; the steps of a cached one are the same."""
        steps = request.steps if self.how.cache or self.how.quantise else None
        return replace(request, speed="exact", steps=steps)

    @contextmanager
    def engaged(self, pipe: Any, steps: int) -> Iterator[None]:
        """Within it the pipeline draws fast."""
        name = denoiser_name(pipe)
        plain = getattr(pipe, name)
        if self._merged or self.how.transformer is not None or self.how.quantise is not None:
            if self._denoiser is None:
                self._denoiser = self._other(plain)
            setattr(pipe, name, self._denoiser)
        try:
            with self._cached(getattr(pipe, name), steps):
                yield
        finally:
            setattr(pipe, name, plain)

    def describe(self, steps: int) -> str:
        """In words, for the line that says what it costs."""
        how = self.how
        words = [f"{steps} steps"]
        if how.distilled:
            words.append("of a distilled version")
        if how.scheduler is not None:
            words.append(f"by {how.scheduler}")
        if how.cache is not None:
            words.append(f"with the cache {how.cache['kind']}")
        if how.quantise is not None:
            words.append(f"in {how.quantise}")
        return " ".join(words)

    def _own_scheduler(self, plain: Any) -> Any:
        """The one that lies beside the LoRA weights, or else the model's."""
        place = self._folder / str(self.how.lora)
        if not self._merged or not (place / plain.config_name).is_file():
            return plain
        with quiet():
            return type(plain).from_pretrained(place, local_files_only=True)

    def _other(self, plain: Any) -> Any:
        if self.how.transformer is not None:
            place = self._folder / self.how.transformer
            if not place.is_dir():
                from foundation.hub import resolve

                place = resolve(self.how.transformer).path
            with quiet():
                other = type(plain).from_pretrained(
                    place, torch_dtype=plain.dtype, use_safetensors=True, local_files_only=True
                )
            for hook in plain._forward_pre_hooks.values():
                other.register_forward_pre_hook(hook, with_kwargs=True)
            plain = other.to(plain.device).eval()
        if self._merged:
            delta = Delta(str(self._folder / str(self.how.lora)))
            plain = lora.merged(copy.deepcopy(plain), [delta]).eval()
        return plain if self.how.quantise is None else _quantised(plain, self.how.quantise)

    @contextmanager
    def _cached(self, denoiser: Any, steps: int) -> Iterator[None]:
        if self.how.cache is None:
            yield
            return
        denoiser.enable_cache(_cache(self.how.cache, steps, denoiser.dtype))
        try:
            yield
        finally:
            denoiser.disable_cache()


def denoiser_name(pipe: Any) -> str:
    """`transformer` or `unet`."""
    return "unet" if getattr(pipe, "transformer", None) is None else "transformer"


def _caches(pipe: Any) -> bool:
    """Whether the denoiser has step caches and the pipeline tells it which pass it makes."""
    denoiser = getattr(pipe, denoiser_name(pipe), None)
    return hasattr(denoiser, "enable_cache") and "cache_context(" in inspect.getsource(
        type(pipe).__call__
    )


def _cache(given: Mapping[str, Any], steps: int, dtype: Any) -> Any:
    import diffusers

    values = {name: value for name, value in given.items() if name != "kind"}
    if given["kind"] == "mag":
        if values.get("mag_ratios") == "flux":
            from diffusers.hooks.mag_cache import FLUX_MAG_RATIOS

            values["mag_ratios"] = FLUX_MAG_RATIOS
        values["num_inference_steps"] = steps
    elif given["kind"] == "taylorseer":
        values.setdefault("taylor_factors_dtype", dtype)
    try:
        return getattr(diffusers, CACHES[given["kind"]])(**values)
    except (TypeError, ValueError) as error:
        said = str(error).strip().partition("\n")[0]
        raise InputError(f"model.options.fast.cache: {said}") from error


def _quantised(denoiser: Any, kind: str) -> Any:
    import importlib.util

    if importlib.util.find_spec("torchao") is None:
        raise MissingExtra("torchao", "quantised")
    import torchao.quantization

    if kind == "float8" and denoiser.device.type != "cuda":
        raise InputError("model.options.fast.quantise=float8 needs a CUDA device: use int8")
    other = copy.deepcopy(denoiser)
    torchao.quantization.quantize_(other, getattr(torchao.quantization, QUANTISED[kind])())
    return other

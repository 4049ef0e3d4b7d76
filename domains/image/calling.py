"""A request -> the settings it is drawn by -> the arguments of the pipeline's call."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from foundation.domains.image.inputs import Generate
from foundation.domains.image.loading import parameters
from foundation.domains.image.pictures import size
from foundation.domains.image.sizes import check_size, fitting, usual
from foundation.errors import RequestError


def settled(pipe: Any, request: Generate, options: Mapping[str, Any]) -> Generate:
    """A request with what it leaves open filled in: from its picture, the model, the pipeline.

    Width and height stay None where only the pipeline knows them, guidance where there is none.
    RequestError for what this pipeline cannot do.
    """
    taken = parameters(pipe)
    start = {} if request.image is None else fitting(pipe, size(request.image))
    plain = usual(pipe) or {}
    found: dict[str, Any] = {
        name: getattr(request, name) or start.get(name) or options.get(name) or plain.get(name)
        for name in ("width", "height")
    }
    check_size(pipe, {n: side for n, side in found.items() if side}, options.get("sides"))
    negative = options.get("negative") if request.negative is None else request.negative
    if request.negative is not None and "negative_prompt" not in taken:
        raise RequestError(f"negative: {type(pipe).__name__} takes no negative prompt")
    guidance = options.get("guidance") if request.guidance is None else request.guidance
    if guidance is None:
        guidance = taken.get(_guidance(taken, negative))
    steps = request.steps or options.get("steps") or taken.get("num_inference_steps")
    return replace(request, **found, guidance=guidance, steps=steps, negative=negative)


def called(pipe: Any, request: Generate, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that one call has for all its pictures, of a request that is settled."""
    taken = parameters(pipe)
    sides = {"width": request.width, "height": request.height}
    given: dict[str, Any] = {
        name: side for name, side in sides.items() if side is not None and name in taken
    }
    given["num_inference_steps"] = request.steps
    if request.guidance is not None:
        given[_guidance(taken, request.negative)] = float(request.guidance)
    return {**given, **options.get("call", {})}


def _guidance(taken: Mapping[str, Any], negative: str | None) -> str:
    """Models that were distilled take their guidance apart from a negative prompt's."""
    true = "true_cfg_scale" in taken
    distilled = true and "guidance_scale" in taken and negative is None
    return "true_cfg_scale" if true and not distilled else "guidance_scale"

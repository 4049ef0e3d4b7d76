"""Schedulers by name, and which of them a model can be sampled with."""

from typing import Any

from foundation.errors import RequestError

SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "deis": "DEISMultistepScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm2": "KDPM2DiscreteScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler-a": "EulerAncestralDiscreteScheduler",
    "flow-euler": "FlowMatchEulerDiscreteScheduler",
    "flow-heun": "FlowMatchHeunDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "lcm": "LCMScheduler",
    "lms": "LMSDiscreteScheduler",
    "pndm": "PNDMScheduler",
    "unipc": "UniPCMultistepScheduler",
}
_SOLVE_FLOWS = ("deis", "dpm++", "unipc")
_FLOWS = ("flow-euler", "flow-heun", *_SOLVE_FLOWS)


def scheduler(name: str, plain: Any) -> Any:
    """The scheduler `name` for a model that comes with the scheduler `plain`.

    RequestError where it cannot follow what the model predicts: a flow or a noise.
    """
    import diffusers

    config = dict(plain.config)
    flow = flows(plain)
    if flow != (name in _FLOWS) and not (name in _SOLVE_FLOWS and not flow):
        fit = _FLOWS if flow else [each for each in SCHEDULERS if not each.startswith("flow")]
        kind = "flows" if flow else "noise"
        raise RequestError(f"scheduler {name}: this model predicts {kind}; use {', '.join(fit)}")
    more = {}
    if flow and name in _SOLVE_FLOWS:
        more = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}
        more["flow_shift"] = config.get("flow_shift", config.get("shift", 1.0))
    return getattr(diffusers, SCHEDULERS[name]).from_config(config, **more)


def flows(plain: Any) -> bool:
    """Whether a scheduler follows a flow, as rectified-flow models predict it."""
    named = type(plain).__name__.startswith("FlowMatch")
    return named or bool(plain.config.get("use_flow_sigmas", False))


def check_steps(chosen: Any, steps: int) -> None:
    """RequestError where a scheduler stretches its times to end above 0: one step has no end."""
    last = chosen.config.get("shift_terminal")
    if last and steps < 2:
        raise RequestError(
            f"steps=1: the last step of this model's scheduler begins at {last:g}; take 2 or more"
        )

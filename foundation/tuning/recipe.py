"""How a model is trained, as data: the group `recipe` of the configuration."""

import math
from dataclasses import dataclass, fields

from foundation.errors import RequestError

PRECISIONS = ("auto", "float32", "bfloat16")
SCHEDULES = ("trapezoid", "cosine")
OPTIMIZERS = ("adamw", "muon")
PARALLEL = ("data", "fsdp")
MAY_CHANGE = (
    "steps", "decay", "accumulate", "recompute", "parallel", "checkpoint", "validate", "log",
    "keep",
)  # fmt: skip
"""When a training goes on; a trapezoid may be lengthened, and a batch passed in other parts."""

WHOLE = (
    "steps", "batch", "warmup", "accumulate", "patience", "checkpoint", "validate", "log", "keep",
)  # fmt: skip


@dataclass(frozen=True)
class Recipe:
    """One training.

    steps: optimizer steps. batch: rows a step. rate: peak learning rate, above 0.
    warmup: steps of linear rise, at least 0. schedule: after it, "cosine" falls to 0 along half a
    wave; "trapezoid" stays, and falls linearly to 0 over the last share `decay` of the steps, so
    that a training can be lengthened before it decays.
    optimizer: "adamw", or "muon" for the hidden linear layers and adamw for the rest.
    weight_decay: 0 to 1, a step and unit of the rate. clip: largest gradient norm, above 0.
    precision: "auto" (measured), "float32" or "bfloat16".
    augment: share of the rows that the domain augments, 0 to 1.
    accumulate: parts a batch is passed in, each on its own, for less memory; at least 1.
    recompute: compute activations again on the way back rather than keep them.
    parallel: what several processes hold: "data", each all of the weights, or "fsdp", each a share
    of weights, gradients and the optimizer's state (FSDP2; with adamw and without average).
    average: decay of an exponential moving average of the weights, which is then what is measured
    and saved, 0 (none) to below 1.
    patience: measurements in a row without a better one after which the training ends, with the
    best weights; 0 goes on to the last step.
    checkpoint, validate, log: steps between two of them. keep: checkpoints kept.
    """

    steps: int = 1000
    batch: int = 256
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    optimizer: str = "adamw"
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: str = "auto"
    augment: float = 0.0
    schedule: str = "trapezoid"
    accumulate: int = 1
    recompute: bool = False
    parallel: str = "data"
    average: float = 0.0
    patience: int = 0
    checkpoint: int = 500
    validate: int = 500
    log: int = 50
    keep: int = 2

    def __post_init__(self) -> None:
        for name in WHOLE:
            value, least = getattr(self, name), int(name not in ("warmup", "patience"))
            if type(value) is not int or value < least:
                raise RequestError(
                    f"recipe.{name} must be a whole number of at least {least}, got '{value}'"
                )
        for name in ("rate", "clip"):
            if not 0 < _number(self, name) < math.inf:
                raise RequestError(f"recipe.{name} must be above 0, got {getattr(self, name)}")
        if self.accumulate > self.batch:
            raise RequestError(
                f"recipe.accumulate must be at most recipe.batch ({self.batch}), "
                f"got {self.accumulate}"
            )
        for name in ("decay", "augment", "weight_decay", "average"):
            if not 0 <= _number(self, name) <= 1:
                raise RequestError(
                    f"recipe.{name} must lie between 0 and 1, got {getattr(self, name)}"
                )
        if self.average == 1:
            raise RequestError("recipe.average must be below 1, got 1")
        if type(self.recompute) is not bool:
            raise RequestError(f"recipe.recompute must be true or false, got '{self.recompute}'")
        known = {
            "precision": PRECISIONS, "schedule": SCHEDULES, "optimizer": OPTIMIZERS,
            "parallel": PARALLEL,
        }  # fmt: skip
        for name, values in known.items():
            if getattr(self, name) not in values:
                raise RequestError(f"recipe.{name} must be one of {', '.join(values)}")
        if self.parallel == "fsdp" and (self.optimizer != "adamw" or self.average):
            raise RequestError("recipe.parallel=fsdp needs recipe.optimizer=adamw, average=0")

    def rate_at(self, step: int) -> float:
        """The learning rate of the step that follows `step` finished ones."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        if self.schedule == "cosine":
            done = max(0, step - self.warmup) / max(1, self.steps - self.warmup)
            return self.rate * rise * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
        fall = min(1.0, (self.steps - step) / max(1.0, self.decay * self.steps))
        return self.rate * rise * max(0.0, fall)

    def changed(self, other: "Recipe") -> list[str]:
        """Names of the settings in which two recipes differ."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]


def _number(recipe: Recipe, name: str) -> float:
    value = getattr(recipe, name)
    if type(value) not in (int, float):
        raise RequestError(f"recipe.{name} must be a number, got '{value}'")
    return float(value)

"""How a model is trained, as data: the group `recipe` of the configuration."""

import math
from dataclasses import dataclass, fields

from foundation.errors import RequestError

PRECISIONS = ("auto", "float32", "bfloat16")


@dataclass(frozen=True)
class Recipe:
    """One training.

    steps: optimizer steps. batch: rows a step. rate: peak learning rate, above 0.
    warmup: steps of linear rise, at least 0. decay: share of the steps, at the end, over which the
    rate falls linearly to 0 (a trapezoid, so that a training can be lengthened before it decays).
    weight_decay: of AdamW, 0 to 1. clip: largest gradient norm, above 0.
    precision: "auto" (measured), "float32" or "bfloat16".
    augment: share of the rows that the domain augments, 0 to 1.
    checkpoint, validate, log: steps between two of them. keep: checkpoints kept.
    """

    steps: int = 1000
    batch: int = 256
    rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.3
    weight_decay: float = 0.01
    clip: float = 1.0
    precision: str = "auto"
    augment: float = 0.0
    checkpoint: int = 500
    validate: int = 500
    log: int = 50
    keep: int = 2

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "warmup", "checkpoint", "validate", "log", "keep"):
            value, least = getattr(self, name), int(name != "warmup")
            if type(value) is not int or value < least:
                raise RequestError(
                    f"recipe.{name} must be a whole number of at least {least}, got '{value}'"
                )
        for name in ("rate", "clip"):
            if not 0 < _number(self, name) < math.inf:
                raise RequestError(f"recipe.{name} must be above 0, got {getattr(self, name)}")
        for name in ("decay", "augment", "weight_decay"):
            if not 0 <= _number(self, name) <= 1:
                raise RequestError(
                    f"recipe.{name} must lie between 0 and 1, got {getattr(self, name)}"
                )
        if self.precision not in PRECISIONS:
            raise RequestError(f"recipe.precision must be one of {', '.join(PRECISIONS)}")

    def rate_at(self, step: int) -> float:
        """The learning rate of the step that follows `step` finished ones."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
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

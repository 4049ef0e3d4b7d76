"""What may be asked of an image model, checked when the request is made."""

from dataclasses import dataclass
from typing import Any

from foundation.domains.image.schedulers import SCHEDULERS
from foundation.errors import RequestError, UnknownName
from foundation.values import check_text, check_whole

LARGEST_SIDE = 8192
SEEDS = 2**48


@dataclass(frozen=True)
class Generate:
    """A picture to be drawn. None leaves a setting to the model.

    prompt: what it shows; negative: what it does not, where the model takes that.
    width, height: pixels, 8 to 8,192, and what the model can do. steps: 1 to 1,000.
    guidance: how far the prompt is exaggerated, 0 to 100; 1 and less is not at all.
    scheduler: how steps are taken, a name of `schedulers.SCHEDULERS`.
    lora: multiplies the scales of the model's LoRA weights, -10 to 10; 0 draws without them.
    image_seed: of this picture's noise, 0 to 2**48 - 1; None: follows from the run's seed and the
        request's number, and stands in the results.
    """

    prompt: str
    negative: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    lora: float = 1.0
    image_seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 8, LARGEST_SIDE)
        if self.steps is not None:
            check_whole("steps", self.steps, 1, 1000)
        if self.image_seed is not None:
            check_whole("image_seed", self.image_seed, 0, SEEDS - 1)
        if self.guidance is not None:
            _check_number("guidance", self.guidance, 0, 100)
        _check_number("lora", self.lora, -10, 10)
        if self.scheduler is not None and self.scheduler not in SCHEDULERS:
            raise UnknownName("scheduler", self.scheduler, SCHEDULERS)
        if self.negative is not None and not isinstance(self.negative, str):
            raise RequestError(f"negative is no text but {self.negative!r}")
        check_text("prompt", self.prompt)


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}, got {value}")

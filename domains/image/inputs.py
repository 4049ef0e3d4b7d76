"""What may be asked of an image model, checked when the request is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.domains.image.pictures import check_picture
from foundation.domains.image.schedulers import SCHEDULERS
from foundation.errors import RequestError, UnknownName
from foundation.values import check_text, check_whole, texts

LARGEST_SIDE = 8192
SEEDS = 2**48
SPEEDS = ("exact", "fast")
FORMATS = ("png", "jpeg", "webp")
TEMPLATES = ("a photo of {label}.", "a picture of {label}.")


@dataclass(frozen=True)
class Generate:
    """A picture to be drawn. None leaves a setting to the model.

    prompt: what it shows; negative: what it does not, where the model takes that.
    width, height: pixels, 8 to 8,192, and what the model can do. steps: 1 to 1,000.
    guidance: how far the prompt is exaggerated, 0 to 100; 1 and less is not at all.
    scheduler: how steps are taken, a name of `schedulers.SCHEDULERS`.
    image: a picture's file to begin from, whose size is taken unless width and height are given;
        strength: how much of it is drawn anew, above 0 and at most 1.
    mask: a picture's file; where it is bright, the image is drawn anew, elsewhere it is kept.
    lora: multiplies the scales of the model's LoRA weights, -10 to 10; 0 draws without them.
    image_seed: of this picture's noise, 0 to 2**48 - 1; None: follows from the run's seed and the
        request's number, and stands in the results.
    speed: exact draws what the plain pipeline draws, to the noise floor; fast draws something like
        it sooner and says how far from it that is.
    compare: pictures of each kind of fast request drawn exactly, too, to say so; 0 to 64.
    format: png, jpeg or webp.
    preview: a folder where the unfinished picture is shown after each step, as <image_seed>.png;
        in Python also a function of (image_seed, step, pixels [height, width, 3] as bytes).
    """

    prompt: str
    negative: str | None = None
    width: int | None = None
    height: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    image: str | None = None
    mask: str | None = None
    strength: float | None = None
    lora: float = 1.0
    image_seed: int | None = None
    speed: str = "exact"
    compare: int = 1
    format: str = "png"
    preview: str | Callable[[int, int, Any], None] | None = None

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
        check_whole("compare", self.compare, 0, 64)
        _check_choice("scheduler", self.scheduler, (None, *SCHEDULERS))
        _check_choice("speed", self.speed, SPEEDS)
        _check_choice("format", self.format, FORMATS)
        if self.negative is not None and not isinstance(self.negative, str):
            raise RequestError(f"negative is no text but {self.negative!r}")
        if self.preview is not None and not callable(self.preview):
            check_text("preview", self.preview)
        self._check_start()
        check_text("prompt", self.prompt)

    def _check_start(self) -> None:
        for name in ("mask", "strength"):
            if getattr(self, name) is not None and self.image is None:
                raise RequestError(f"{name} is of a picture to begin from: give image, too")
        if self.strength is not None:
            _check_number("strength", self.strength, 0, 1)
            if self.strength == 0:
                raise RequestError("strength must be above 0: at 0 nothing is drawn")
        for name in ("image", "mask"):
            if getattr(self, name) is not None:
                check_picture(name, getattr(self, name))


@dataclass(frozen=True)
class Look:
    """A picture, or a text, to be embedded in the space that both share.

    image: a picture's file; or text, instead of it.
    """

    image: str | None = None
    text: str | None = None

    def __post_init__(self) -> None:
        if self.text is not None:
            check_text("text", self.text)
        if self.image is not None:
            check_picture("image", self.image)
        elif self.text is None:
            raise RequestError("image is missing: give a picture's file, or a text")
        if self.image is not None and self.text is not None:
            raise RequestError("image and text were both given: embed one, or task=score them")


@dataclass(frozen=True)
class Match:
    """A picture and a text; how well does it say what is to be seen? image: a picture's file."""

    image: str
    text: str

    def __post_init__(self) -> None:
        check_text("text", self.text)
        check_picture("image", self.image)


@dataclass(frozen=True)
class Classify:
    """A picture to be given one of some labels, without any example.

    image: a picture's file. labels: at least two.
    templates: how a label is worded, with {label} once; the model's vectors of them are averaged.
    threshold: a label less probable than this is marked `unsure`, 0 to 1.
    """

    image: str
    labels: Sequence[str]
    templates: Sequence[str] = TEMPLATES
    threshold: float = 0.5

    def __post_init__(self) -> None:
        labels = [str(v) for v in self.labels] if not isinstance(self.labels, str) else self.labels
        found = texts("labels", labels)
        if len(found) < 2 or len(set(found)) != len(found):
            raise RequestError("labels must be at least two, and each only once")
        object.__setattr__(self, "labels", found)
        worded = texts("templates", self.templates)
        if not worded or any(each.count("{label}") != 1 for each in worded):
            raise RequestError("templates must hold {label} once each, and be at least one")
        object.__setattr__(self, "templates", worded)
        _check_number("threshold", self.threshold, 0, 1)
        check_picture("image", self.image)


def _check_choice(name: str, value: Any, known: Sequence[Any]) -> None:
    if value not in known:
        raise UnknownName(name, str(value), [each for each in known if each is not None])


def _check_number(name: str, value: Any, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}, got {value}")

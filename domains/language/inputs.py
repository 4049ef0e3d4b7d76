"""What may be asked of a language model, checked when the request is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from foundation.decoding.choice import Choice
from foundation.domains.language.examples import labelled
from foundation.errors import RequestError
from foundation.values import check_text, check_whole, texts

LONGEST = 1_000_000
"""Characters of a text that gets a label or spans."""
METHODS = ("auto", "prompt", "head")
TEMPLATES = ("Text: {text}\nLabel: {label}", "{text}\nThis is about {label}")


@dataclass(frozen=True)
class Generate:
    """A text to be answered or gone on with.

    prompt: what the model is told.
    system: what it is told before, where its chat template has a place for it.
    chat: whether the prompt stands in the model's chat template as what the user says; None: where
        it has one. false goes on with the prompt as it stands.
    max_tokens: new tokens at most, 1 to 1,000,000, and never beyond the model's window.
    stop: texts that end the answer and are no part of it; in Python also functions, asked after
        each token with the text so far, whose true answer ends it.
    stop_tokens: tokens that end the answer and are no part of it, by number or by name.
    stream: whether it is shown on standard output while it is written.
    temperature, top_k, top_p, min_p: see foundation.decoding.choice.Choice; temperature 0 takes
        the likeliest token.
    """

    prompt: str
    system: str | None = None
    chat: bool | None = None
    max_tokens: int = 256
    stop: Sequence[str | Callable[[str], bool]] = ()
    stop_tokens: Sequence[int | str] = ()
    stream: bool = False
    temperature: float = 0.7
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0

    def __post_init__(self) -> None:
        _ = self.choice
        check_whole("max_tokens", self.max_tokens, 1, 1_000_000)
        if self.chat not in (None, True, False):
            raise RequestError(f"chat must be true, false or null, got {self.chat}")
        if self.system is not None:
            check_text("system", self.system)
        if not isinstance(self.stream, bool):
            raise RequestError(f"stream must be true or false, got {self.stream}")
        object.__setattr__(self, "stop", _stops(self.stop))
        object.__setattr__(self, "stop_tokens", _tokens(self.stop_tokens))
        check_text("prompt", self.prompt)

    @property
    def stop_texts(self) -> tuple[str, ...]:
        """The texts among `stop`."""
        return tuple(stop for stop in self.stop if isinstance(stop, str))

    @property
    def stop_functions(self) -> tuple[Callable[[str], bool], ...]:
        """The functions among `stop`."""
        return tuple(stop for stop in self.stop if not isinstance(stop, str))

    @property
    def choice(self) -> Choice:
        """How each token is chosen."""
        return Choice(self.temperature, self.top_k, self.top_p, self.min_p)


@dataclass(frozen=True)
class Text:
    """One text to be embedded or scored."""

    text: str

    def __post_init__(self) -> None:
        check_text("text", self.text)


@dataclass(frozen=True)
class Classify:
    """One text to be given one of some labels.

    labels: the labels there are; without them, those of the examples.
    examples: a table with the columns `text` and `label` (or category, intent, class).
    method: prompt asks a generative model which label's words follow; head fits small classifiers
        on the model's vectors of the examples; auto takes what the model can do, and of both the
        one that does better on examples that were held out.
    shots: examples shown in a prompt, the most similar ones, 0 to 64.
    templates: how a prompt is worded, with {text} and, at its end, {label}; averaged over.
    threshold: a label less probable than this is marked `unsure`, 0 to 1.
    """

    text: str
    labels: Sequence[str] | None = None
    examples: str | None = None
    method: str = "auto"
    shots: int = 8
    templates: Sequence[str] = TEMPLATES
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RequestError(f"method must be one of {', '.join(METHODS)}, got {self.method}")
        check_whole("shots", self.shots, 0, 64)
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if not number or not 0 <= self.threshold <= 1:
            raise RequestError(f"threshold must be a number from 0 to 1, got {self.threshold}")
        if self.labels is not None:
            object.__setattr__(self, "labels", _labels(self.labels))
        elif self.examples is None:
            raise RequestError("classify needs task.labels=[...] or task.examples=<file>")
        # A file that cannot be used is found before any weights are loaded.
        _ = labelled(self.examples, self.labels)
        object.__setattr__(self, "templates", _templates(self.templates))
        check_whole_text(self.text)


def check_whole_text(text: Any) -> None:
    """A text that is looked at as a whole: not blank, and of at most LONGEST characters."""
    check_text("text", text)
    if len(text) > LONGEST:
        raise RequestError(
            f"text has {len(text):,} characters, at most {LONGEST:,}: cut it into parts"
        )


def _labels(values: Any) -> tuple[str, ...]:
    found = texts("labels", [str(v) for v in values] if not isinstance(values, str) else values)
    if len(set(found)) != len(found) or len(found) < 2:
        raise RequestError("labels must be at least two, and each only once")
    return found


def _templates(values: Any) -> tuple[str, ...]:
    found = texts("templates", values)
    for template in found:
        if template.count("{text}") != 1 or not template.endswith("{label}"):
            raise RequestError(
                f"a template holds {{text}} once and ends in {{label}}: {template!r}"
            )
    if not found:
        raise RequestError("templates is empty: give at least one, or leave it out")
    return found


def _stops(values: Any) -> tuple[str | Callable[[str], bool], ...]:
    found = (values,) if isinstance(values, str) or callable(values) else tuple(values or ())
    _ = texts("stop", [value for value in found if not callable(value)])
    return found


def _tokens(values: Any) -> tuple[int | str, ...]:
    found = (values,) if isinstance(values, int | str) else tuple(values or ())
    for value in found:
        if isinstance(value, bool) or not isinstance(value, int | str) or value == "":
            raise RequestError(f"stop_tokens must be tokens by number or name, got {value!r}")
    return found

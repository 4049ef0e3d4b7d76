"""What may be asked of a code model, checked when the request is made."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from foundation.decoding.choice import Choice
from foundation.domains.code.files import read_source
from foundation.domains.code.languages import language_of
from foundation.errors import RequestError
from foundation.tables import storable
from foundation.values import check_text, check_whole, texts

ENDS = ("auto", "statement", "line", "model")
MODES = ("bubblewrap", "process")
SAMPLED = 0.6
"""The temperature of several samples, where none is given."""


class Parts(NamedTuple):
    """What stands around a hole; `trimmed` was taken off the end of what stood before it."""

    prefix: str
    suffix: str | None
    trimmed: str


@dataclass(frozen=True)
class Complete:
    """Code to be gone on with.

    prompt: what stands before the hole, or a whole file with the hole marked in it.
    suffix: what stands behind it; not shown to the model, and never repeated by the completion.
    hole: how a hole is marked in a prompt.
    path: the file it stands in; tells the language, and which context is near.
    language: tells how it is parsed; null: by the path's suffix, else Python.
    context: other files of the project that the model sees first, nearest first, as its window
        allows.
    trim: leave off blanks and newlines at the end of the prompt, for a tokenizer that glues them to
        what follows; the column `trimmed` has them, and `prefix` + `output` is the code.
    until: where a completion ends. auto: with the function it stands in, or with the statement;
        statement; line; model: where the model ends it. Python is parsed; other languages end with
        the model's end, a stop text or `line`.
    samples: completions of each prompt, 1 to 1,000, ranked by their mean log-probability; the first
        is the output, and equal ones are counted together.
    sandbox: run prefix, completion and suffix as a Python script, in `bubblewrap`, or in the weaker
        mode `process`; null: do not run it.
    max_tokens: new tokens at most, 1 to 1,000,000, and never beyond the model's window.
    stop: texts that end the completion and are no part of it.
    temperature: null: 0 for one sample, 0.6 for several. temperature, top_k, top_p, min_p: see
        foundation.decoding.choice.Choice.
    """

    prompt: str
    suffix: str | None = None
    hole: str = "<FILL_ME>"
    path: str | None = None
    language: str | None = None
    context: Sequence[str] = ()
    trim: bool = True
    until: str = "auto"
    samples: int = 1
    sandbox: str | None = None
    max_tokens: int = 256
    stop: Sequence[str] = ()
    temperature: float | None = None
    top_k: int = 0
    top_p: float = 0.95
    min_p: float = 0.0

    def __post_init__(self) -> None:
        _ = self.choice
        check_whole("max_tokens", self.max_tokens, 1, 1_000_000)
        check_whole("samples", self.samples, 1, 1_000)
        _check_choice("until", self.until, ENDS)
        if not isinstance(self.trim, bool):
            raise RequestError(f"trim must be true or false, got {self.trim}")
        check_text("hole", self.hole)
        object.__setattr__(self, "stop", texts("stop", self.stop))
        object.__setattr__(self, "context", texts("context", self.context))
        for path in self.context:
            _ = read_source(path, "task.context")
        self._check_sandbox()
        if not isinstance(self.prompt, str):
            raise RequestError("prompt is empty: give code")
        for name in ("prompt", "suffix"):
            if not storable(getattr(self, name) or ""):
                raise RequestError(f"{name} is not text: it holds a lone surrogate")
        self._check_hole()

    @property
    def choice(self) -> Choice:
        """How each token is chosen."""
        usual = 0.0 if self.samples == 1 else SAMPLED
        temperature = usual if self.temperature is None else self.temperature
        return Choice(temperature, self.top_k, self.top_p, self.min_p)

    @property
    def parts(self) -> Parts:
        """What stands before and behind the hole."""
        before, marked, behind = self.prompt.partition(self.hole)
        prefix = before.rstrip() if self.trim else before
        return Parts(prefix, behind if marked else self.suffix, before[len(prefix) :])

    @property
    def tongue(self) -> str:
        """The programming language."""
        return language_of(self.path, self.language)

    def _check_sandbox(self) -> None:
        if self.sandbox is None:
            return
        _check_choice("sandbox", self.sandbox, MODES)
        if self.sandbox == "bubblewrap" and shutil.which("bwrap") is None:
            raise RequestError("sandbox needs bubblewrap: apt-get install bubblewrap")

    def _check_hole(self) -> None:
        holes = self.prompt.count(self.hole)
        if holes > 1:
            raise RequestError(f"prompt has {holes} holes {self.hole}: mark one")
        if holes and self.suffix is not None:
            raise RequestError(f"prompt marks a hole {self.hole} and there is a suffix: give one")
        if not self.parts.prefix.strip():
            raise RequestError("prompt is empty before its hole: give code")


@dataclass(frozen=True)
class Infill(Complete):
    """Code with a hole to be filled by a model that was trained to.

    prompt: what stands before the hole, or a whole file with the hole marked in it.
    suffix: what stands behind it, where the prompt marks no hole.
    trim: as for complete; left alone unless asked for, since such models know a hole anywhere.
    Everything else is as for complete; `auto` ends with the function the hole stands in.
    """

    trim: bool = False

    def _check_hole(self) -> None:
        holes = self.prompt.count(self.hole)
        if holes > 1:
            raise RequestError(f"prompt has {holes} holes {self.hole}: mark one")
        if (holes == 1) == (self.suffix is not None):
            raise RequestError(f"prompt must mark one hole as {self.hole}, or have a suffix")
        if not (self.parts.prefix + (self.parts.suffix or "")).strip():
            raise RequestError("prompt is empty around its hole: give code")


@dataclass(frozen=True)
class Text:
    """Code to be scored."""

    text: str

    def __post_init__(self) -> None:
        check_text("text", self.text)


def _check_choice(name: str, value: Any, known: Sequence[str]) -> None:
    if value not in known:
        raise RequestError(f"{name} must be one of {', '.join(known)}, got {value}")

"""Between a hole in a file and a model's tokens: the markers of models that can infill.

A template is a model's prompt: texts of its vocabulary around {prefix} and {suffix}. Its order is
the order the model was trained in. Sources: the models' own cards and papers.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from foundation.errors import RequestError

if TYPE_CHECKING:
    from foundation.decoding.script import Script

PREFIX, SUFFIX = "{prefix}", "{suffix}"
Template = tuple[str, ...]
_STARCODER: Template = ("<fim_prefix>", PREFIX, "<fim_suffix>", SUFFIX, "<fim_middle>")
_QWEN: Template = ("<|fim_prefix|>", PREFIX, "<|fim_suffix|>", SUFFIX, "<|fim_middle|>")


@dataclass(frozen=True)
class Family:
    """Models that share a template. sign: a token that only they have beside the markers."""

    name: str
    template: Template
    sign: str | None = None

    def knows(self, vocabulary: dict[str, int]) -> bool:
        """Whether a vocabulary is of this family."""
        wanted = [*markers(self.template), *([self.sign] if self.sign else [])]
        return all(token in vocabulary for token in wanted)


FAMILIES = (
    # Mellum spells StarCoder's markers and puts the suffix first; it alone has roles beside them.
    Family(
        "Mellum",
        ("<fim_suffix>", SUFFIX, "<fim_prefix>", PREFIX, "<fim_middle>"),
        sign="<assistant>",
    ),
    Family("StarCoder2", _STARCODER, sign="<file_sep>"),
    Family("StarCoder, StableCode, Granite", _STARCODER),
    Family("SantaCoder", ("<fim-prefix>", PREFIX, "<fim-suffix>", SUFFIX, "<fim-middle>")),
    Family("CodeGemma", _QWEN, sign="<|file_separator|>"),
    Family("Qwen2.5-Coder", _QWEN),
    # What is called hole is where the suffix begins, and what is called end is the middle.
    Family(
        "DeepSeek-Coder",
        (
            "<\uff5cfim\u2581begin\uff5c>",
            PREFIX,
            "<\uff5cfim\u2581hole\uff5c>",
            SUFFIX,
            "<\uff5cfim\u2581end\uff5c>",
        ),
    ),
    Family("CodeLlama", ("\u2581<PRE>", PREFIX, "\u2581<SUF>", SUFFIX, "\u2581<MID>")),
    Family("Codestral", ("[SUFFIX]", SUFFIX, "[PREFIX]", PREFIX)),
    Family("Seed-Coder", ("<[fim-suffix]>", SUFFIX, "<[fim-prefix]>", PREFIX, "<[fim-middle]>")),
    Family(
        "GLM",
        (
            "<|user|>",
            "\n",
            "<|code_suffix|>",
            SUFFIX,
            "<|code_prefix|>",
            PREFIX,
            "<|code_middle|>",
            "<|assistant|>",
            "\n",
        ),
    ),
)
FILES = ("<|file_sep|>", "<file_sep>", "<filename>")
"""Markers that stand before a file's path, where a vocabulary has one."""
WIDEST = 16
"""Characters of a token of code, at most but for long blanks."""
OVER = (
    *FILES,
    "<|file_separator|>",
    "<|repo_name|>",
    "<repo_name>",
    "<reponame>",
    "<|fim_pad|>",
    "<fim_pad>",
    "<fim-pad>",
    "\u2581<EOT>",
    "<EOT>",
    "[MIDDLE]",
)
"""Tokens behind which code is over, besides the special ones and the markers."""


def markers(template: Template) -> Iterator[str]:
    """The tokens of a template that its vocabulary must have."""
    return (piece for piece in template if piece not in (PREFIX, SUFFIX) and piece.strip())


class Infilling:
    """What a model's vocabulary says about holes and files; `template` overrules it."""

    def __init__(self, script: "Script", template: Sequence[str] | None = None) -> None:
        self._script = script
        self.template = self._found() if template is None else self._checked(tuple(template))

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens behind which code is over: special ones, and all that mark a hole or a file."""
        known = self._script.vocabulary
        templates = [family.template for family in FAMILIES] + [self.template or ()]
        names = {*OVER, *(piece for template in templates for piece in markers(template))}
        over = {known[name] for name in names if name in known}
        return self._script.special | self._script.ends | over

    @cached_property
    def file(self) -> int | None:
        """The token that stands before a file's path."""
        known = self._script.vocabulary
        return next((known[token] for token in FILES if token in known), None)

    def prompt(self, prefix: str, suffix: str, room: int | None = None) -> list[int]:
        """The tokens that a model goes on from with what is missing; only where `template` is.

        room: at most so many, those farthest from the hole left off: half for the suffix, and what
        the prefix does not need.
        """
        if room is not None:  # what is too far away is not even cut into tokens
            prefix, suffix = prefix[-WIDEST * room :], suffix[: WIDEST * room]
        before, after = self._script.words(prefix), self._script.within(suffix)
        if room is not None:
            left = max(0, room - len(self.prompt("", "")))
            after = after[: max(left // 2, left - len(before))]
            before = before[max(0, len(before) + len(after) - left) :]
        tokens: list[int] = []
        for piece in self.template or ():
            if piece == PREFIX:
                tokens += before
            elif piece == SUFFIX:
                tokens += after
            elif piece.strip():
                tokens.append(self._script.vocabulary[piece])
            else:
                tokens += self._script.within(piece)
        return tokens

    def _found(self) -> Template | None:
        known = self._script.vocabulary
        return next((family.template for family in FAMILIES if family.knows(known)), None)

    def _checked(self, template: Template) -> Template:
        if not {PREFIX, SUFFIX} <= set(template):
            raise RequestError(f"model.options.infill must hold {PREFIX} and {SUFFIX}")
        for piece in markers(template):
            if piece not in self._script.vocabulary:
                raise RequestError(f"model.options.infill: '{piece}' is no token of this model")
        return template

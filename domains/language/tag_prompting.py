"""Spans by prompting: the model names a label, then copies words of the text, letter by letter.

Only what is a label, or stands in the text behind the last span, can be written; so every span is
exact. Of each choice the probability is that among what could be written.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from foundation.adapter import Output
from foundation.domains.language.examples import Nearest
from foundation.domains.language.spans import Span, units
from foundation.domains.language.tagging import Tag, Tagged, tagged, tagged_output
from foundation.errors import RequestError

if TYPE_CHECKING:
    from foundation.decoding.script import Script

END = "end"
WIDEST = 12
"""Units of the longest span."""
Value = TypeVar("Value")


def tag(model: Any, script: "Script", batch: Sequence[Tag]) -> Iterator[tuple[int, Output]]:
    """(row, output) of requests that share examples, labels and shots."""
    if batch[0].method == "head":
        raise RequestError("task.method=head needs a model with task=embed, e.g. language/minilm")
    examples, labels = tagged(batch[0].examples, batch[0].labels)
    prompter = Prompter(model, script, examples, labels, batch[0].shots)
    for row, request in enumerate(batch):
        try:
            spans, chances = prompter.tag(request.text)
        except RequestError as error:
            yield row, Output(None, reason=str(error), refused=True)
        else:
            yield row, tagged_output(request.text, spans, chances, request.threshold)


class Prompter:
    """Has a causal model list the spans of a text, after the examples most like it."""

    def __init__(
        self, model: Any, script: "Script", examples: Tagged, labels: Sequence[str], shots: int
    ) -> None:
        self._model, self._script, self._shots = model, script, shots
        self._spans = dict(examples)
        self._nearest = Nearest(tuple((text, "") for text, _ in examples))
        self._line = tuple(script.words("\n"))
        options = [*labels, END]
        self._labels = {(*script.words(self._head(o)), *self._stop(o)): o for o in options}

    def tag(self, text: str) -> tuple[list[Span], list[float]]:
        """Its spans in order, and the probability of each; RequestError over the window."""
        self._script.check_length(text)
        writer = _Writer(self._model, self._prompt(text), self._script.window)
        values = self._values(text)
        spans: list[Span] = []
        chances: list[float] = []
        while values:
            label, first = writer.choose(self._labels)
            if label == END:
                break
            (start, end), second = writer.choose(values)
            spans.append(Span(start, end, label))
            chances.append(first * second)
            values = {key: place for key, place in values.items() if place[0] >= end}
        return spans, chances

    def _prompt(self, text: str) -> list[int]:
        """The examples and the text; fewer examples where the window is small."""
        shown = [pair[0] for pair in self._nearest.to(text, self._shots)]
        while True:
            blocks = [_block(each, self._answer(each)) for each in shown]
            tokens = self._script.tokens("".join(blocks) + _block(text, ""))
            room = 2 * len(self._script.words(text)) + 64
            if len(tokens) + room <= self._script.window:
                return tokens
            if not shown:
                raise RequestError(
                    f"{len(tokens)} tokens and room for the spans are more than the model's "
                    f"window of {self._script.window}"
                )
            shown = shown[1:]

    def _answer(self, text: str) -> str:
        lines = [
            f"{self._head(span.label)} {text[span.start : span.end]}\n"
            for span in self._spans[text]
        ]
        return "".join(lines) + f"{END}\n\n"

    def _head(self, option: str) -> str:
        return option if option == END else f"{option}:"

    def _stop(self, option: str) -> tuple[int, ...]:
        return self._line if option == END else ()

    def _values(self, text: str) -> dict[tuple[int, ...], tuple[int, int]]:
        """The tokens of everything that may be copied -> where it stands first."""
        parts = units(text)
        found: dict[tuple[int, ...], tuple[int, int]] = {}
        for place, (start, _) in enumerate(parts):
            for _, end in parts[place : place + WIDEST]:
                if "\n" not in text[start:end]:
                    tokens = (*self._script.words(f" {text[start:end]}"), *self._line)
                    found.setdefault(tokens, (start, end))
        return found


class _Writer:
    """Writes after a prompt, each time one of some token sequences."""

    def __init__(self, model: Any, prompt: Sequence[int], window: int) -> None:
        from transformers import DynamicCache

        self._model, self._cache = model, DynamicCache(config=model.config)
        self._pending, self._window = list(prompt), window

    def choose(self, options: Mapping[tuple[int, ...], Value]) -> tuple[Value, float]:
        """Token by token the likeliest of what the options go on with, and its probability."""
        left, at, chance = dict(options), 0, 1.0
        while True:
            nexts = sorted({key[at] for key in left if len(key) > at})
            if not nexts:
                return next(iter(left.values())), chance
            token = nexts[0]
            if len(nexts) > 1:
                logs = self._logits()[nexts].log_softmax(-1)
                best = int(logs.argmax())
                token, chance = nexts[best], chance * math.exp(float(logs[best]))
            self._pending.append(token)
            left = {key: v for key, v in left.items() if len(key) > at and key[at] == token}
            at += 1

    @torch.inference_mode()
    def _logits(self) -> Any:
        ids = torch.tensor([self._pending], device=self._model.device)
        out = self._model(ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
        self._pending = []
        return out.logits[0, -1].float()


def _block(text: str, answer: str) -> str:
    return f"Text: {' '.join(text.split())}\n{answer}"

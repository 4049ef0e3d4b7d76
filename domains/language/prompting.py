"""Classifying by prompting: which label's words follow, against what would follow no text at all.

Contextual calibration: Zhao et al., "Calibrate Before Use" (2021). With examples, how sure the
answers may be is learned from some of them, each asked with the others shown.
"""

import copy
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from foundation.adapter import Output
from foundation.domains.language.calibration import log_loss, stack
from foundation.domains.language.examples import Nearest, Pairs, labelled
from foundation.domains.language.labels import labelled_output
from foundation.errors import RequestError

if TYPE_CHECKING:
    from foundation.decoding.script import Script
    from foundation.domains.language.inputs import Classify

NOTHING = ("N/A", "", "[MASK]")
"""Texts without content; what the model says of them is its bias."""
LABELS_AT_ONCE = 16
CHECKED = 32
"""Examples that calibration asks, at most."""


def prompter(model: Any, script: "Script", request: "Classify") -> "Prompter":
    """What answers requests that share labels, examples, shots and templates."""
    pairs, labels = labelled(request.examples, request.labels)
    made = Prompter(model, script, pairs, labels, request.shots, request.templates)
    made.calibrate()
    return made


class Prompter:
    """Asks a causal model for labels, with the examples most like a text before it."""

    def __init__(
        self,
        model: Any,
        script: "Script",
        pairs: Pairs,
        labels: Sequence[str],
        shots: int,
        templates: Sequence[str],
    ) -> None:
        self._model, self._script, self._labels = model, script, labels
        self._shots, self._templates, self._pairs = shots, templates, pairs
        self._nearest = Nearest(pairs)
        self.scale = 1.0
        self.loss: float | None = None

    def calibrate(self) -> None:
        """Learn `scale`, and the log `loss` of examples that are asked with the others shown."""
        step = -(-len(self._pairs) // CHECKED) or 1
        scores, targets = [], []
        for number in range(0, len(self._pairs), step):
            text, label = self._pairs[number]
            try:
                chances = self._mean(text, number)
            except RequestError:  # an example over the window tells nothing
                continue
            scores.append([math.log(max(chance, 1e-12)) for chance in chances])
            targets.append(self._labels.index(label))
        if targets:
            asked, wanted = np.array([scores]), np.array(targets)
            self.scale = float(stack(asked, wanted)[0])
            self.loss = log_loss(self.scale * asked[0], wanted)

    def outputs(self, batch: Sequence["Classify"]) -> Iterator[tuple[int, Output]]:
        """(row, output) of each request; one over the window is refused with its reason."""
        for row, request in enumerate(batch):
            try:
                chances = self.probabilities(request.text)
            except RequestError as error:
                yield row, Output(None, reason=str(error), refused=True)
            else:
                yield row, labelled_output(self._labels, chances, request.threshold)

    def probabilities(self, text: str) -> list[float]:
        """Of each label; RequestError over the window."""
        powers = [max(chance, 1e-12) ** self.scale for chance in self._mean(text, None)]
        return [power / sum(powers) for power in powers]

    def _mean(self, text: str, without: int | None) -> list[float]:
        """Of each label, averaged over the templates."""
        self._script.check_length(text)
        found = [self._calibrated(text, template, without) for template in self._templates]
        return [sum(column) / len(found) for column in zip(*found, strict=True)]

    def _calibrated(self, text: str, template: str, without: int | None) -> list[float]:
        shown = self._nearest.to(text, self._shots, without)
        ends = [_answer(template, text)[1] + label for label in self._labels]
        words = [self._script.words(end) for end in ends]
        room = self._script.window - max(map(len, words))
        texts = (text, *NOTHING)
        while True:
            before = self._script.tokens(_shown(template, shown)) if shown else []
            asked = [self._asked(template, each, bool(shown)) for each in texts]
            if len(before) + max(map(len, asked)) <= room:
                break
            if not shown:
                raise RequestError(
                    f"{len(asked[0])} tokens are more than the model's window leaves, {room}"
                )
            shown = shown[1:]
        logs, *empty = after(self._model, before, asked, words)
        bias = [_log_mean(column) for column in zip(*map(_normalised, empty), strict=True)]
        return [math.exp(p) for p in _normalised([a - b for a, b in zip(logs, bias, strict=True)])]

    def _asked(self, template: str, text: str, follows: bool) -> list[int]:
        question = _answer(template, text)[0]
        tokens = self._script.words(question) if follows else self._script.tokens(question)
        return tokens or [self._script.begin]


@torch.inference_mode()
def after(
    model: Any, before: Sequence[int], asked: Sequence[Sequence[int]], words: Sequence[list[int]]
) -> list[list[float]]:
    """The log-probability of each of `words` after `before` and each of `asked`: [asked][words].

    What is common passes once; its keys and values are copied.
    """
    from transformers import DynamicCache

    common = DynamicCache(config=model.config)
    if before:
        ids = torch.tensor([list(before)], device=model.device)
        model(ids, past_key_values=common, use_cache=True, logits_to_keep=1)
    return [_after(model, copy.deepcopy(common), tokens, words) for tokens in asked]


def _after(
    model: Any, cache: Any, tokens: Sequence[int], words: Sequence[list[int]]
) -> list[float]:
    ids = torch.tensor([list(tokens)], device=model.device)
    out = model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    first = out.logits[0, -1].float().log_softmax(-1)
    logs = [float(first[word[0]]) for word in words]
    longer = [place for place, word in enumerate(words) if len(word) > 1]
    for start in range(0, len(longer), LABELS_AT_ONCE):
        group = longer[start : start + LABELS_AT_ONCE]
        for place, more in zip(group, _rest(model, cache, [words[p] for p in group]), strict=True):
            logs[place] += more
    return logs


def _rest(model: Any, cache: Any, words: Sequence[list[int]]) -> list[float]:
    """The log-probability of all but the first token of each word."""
    longest = max(map(len, words))
    ids = torch.tensor([[*w, *[0] * (longest - len(w))] for w in words], device=model.device)
    copies = copy.deepcopy(cache)
    copies.batch_repeat_interleave(len(words))
    logits = model(ids[:, :-1], past_key_values=copies, use_cache=True).logits.float()
    each = logits.log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
    lengths = torch.tensor([len(w) for w in words], device=model.device)[:, None]
    real = torch.arange(1, longest, device=model.device)[None] < lengths
    totals: list[float] = (each * real).sum(1).tolist()
    return totals


def _answer(template: str, text: str) -> tuple[str, str]:
    """The prompt before the label, and the blanks that its first token takes along."""
    prompt = template.removesuffix("{label}").replace("{text}", text)
    question = prompt.rstrip(" ")
    return question, prompt[len(question) :]


def _shown(template: str, pairs: Pairs) -> str:
    texts = (
        template.removesuffix("{label}").replace("{text}", text) + label for text, label in pairs
    )
    return "".join(f"{each}\n\n" for each in texts)


def _normalised(logs: Sequence[float]) -> list[float]:
    most = max(logs)
    total = most + math.log(sum(math.exp(log - most) for log in logs))
    return [log - total for log in logs]


def _log_mean(logs: Sequence[float]) -> float:
    most = max(logs)
    return most + math.log(sum(math.exp(log - most) for log in logs) / len(logs))

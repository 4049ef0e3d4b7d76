"""Spans by a chain on an encoder's states, fitted from examples and calibrated on held-out ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foundation.domains.language import crf
from foundation.domains.language.calibration import Shift, shift
from foundation.domains.language.spans import Span, Unit, from_tags, to_tags, units
from foundation.domains.language.unit_states import Window, features, width, windows
from foundation.domains.language.word_shapes import shapes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDS = 3
PASS = 4096
"""Tokens of one pass, padding included."""
Tagged = tuple[str, tuple[Span, ...]]


@dataclass(frozen=True)
class Encoder:
    """A model of transformers with its tokenizer; window: tokens of a pass."""

    model: Any
    tokenizer: Any
    window: int

    def passes(self, texts: Sequence[str], parts: Sequence[Sequence[Unit]]) -> list[list[Window]]:
        """Windows by length, as many as a pass holds, and at least one."""
        some = windows(self.tokenizer, texts, parts, self.window)
        groups: list[list[Window]] = []
        for window in sorted(some, key=lambda window: len(window.tokens)):
            if not groups or (len(groups[-1]) + 1) * len(window.tokens) > PASS:
                groups.append([])
            groups[-1].append(window)
        return groups

    def features(self, group: Sequence[Window]) -> "list[NDArray[np.float32]]":
        """Of each window [its units, width]."""
        return features(self.model, self.tokenizer.pad_token_id or 0, group)

    @property
    def width(self) -> int:
        """Features of a unit."""
        return width(self.model)


@dataclass(frozen=True)
class Tagger:
    """A chain over the units of a text; `sure` makes its probabilities mean what they say."""

    encoder: Encoder
    chain: crf.Chain
    weights: crf.Weights
    shapes: dict[str, int]
    middle: "NDArray[np.float32]"
    sure: Shift

    def tag(self, texts: Sequence[str]) -> list[tuple[list[Span], list[float]]]:
        """Of each text its spans in order, and the probability of each to be just that."""
        parts = [units(text) for text in texts]
        found = []
        for each, scores in zip(parts, self._scores(texts, parts), strict=True):
            spans, chances = _spans(self.chain, each, scores)
            found.append((spans, self.sure(chances)))
        return found

    def _scores(
        self, texts: Sequence[str], parts: Sequence[Sequence[Unit]]
    ) -> "list[NDArray[np.float64]]":
        """The scores of tags [units, tags] of each text, window by window."""
        import numpy as np

        found = [np.zeros((len(each), len(self.weights.bias))) for each in parts]
        for group in self.encoder.passes(texts, parts):
            for window, rows in zip(group, self.encoder.features(group), strict=True):
                found[window.text][window.units] = (rows - self.middle) @ self.weights.dense
        for scores, text, each in zip(found, texts, parts, strict=True):
            scores += self.weights.bias
            if each:
                scores += self.weights.sparse[_places(text, each, self.shapes)].sum(1)
        return found


def fit(encoder: Encoder, examples: Sequence[Tagged], labels: Sequence[str]) -> Tagger:
    """Examples and all labels -> a Tagger.

    Probabilities are calibrated on examples, each tagged by a fit without it.
    """
    import numpy as np

    tags = crf.Tags(tuple(labels))
    texts = [text for text, _ in examples]
    parts = [units(text, spans) for text, spans in examples]
    known: dict[str, int] = {}
    dense = [np.zeros((len(each), encoder.width), dtype=np.float32) for each in parts]
    for group in encoder.passes(texts, parts):
        for window, vectors in zip(group, encoder.features(group), strict=True):
            dense[window.text][window.units] = vectors
    middle = np.concatenate(dense).mean(0)
    sparse = [_learned(text, each, known) for text, each in zip(texts, parts, strict=True)]
    rows = [
        _Example(vectors - middle, present, each, spans)
        for vectors, present, each, (_, spans) in zip(dense, sparse, parts, examples, strict=True)
    ]
    weights = _fit(rows, tags, len(known))
    chain = crf.Chain(tags, weights.pairs)
    return Tagger(encoder, chain, weights, known, middle, _sure(rows, tags, len(known)))


@dataclass(frozen=True)
class _Example:
    vectors: "NDArray[np.float32]"
    present: "NDArray[np.int64]"
    parts: list[Unit]
    spans: tuple[Span, ...]


def _fit(rows: Sequence[_Example], tags: crf.Tags, known: int) -> crf.Weights:
    import numpy as np

    weights = crf.fit(
        [row.vectors for row in rows],
        [row.present for row in rows],
        [_numbers(row, tags) for row in rows],
        tags,
    )
    # Features that only other examples have.
    lacking = known + 1 - len(weights.sparse)
    sparse = np.pad(weights.sparse, ((0, lacking), (0, 0)))
    return crf.Weights(weights.dense, sparse, weights.bias, weights.pairs)


def _numbers(row: _Example, tags: crf.Tags) -> list[int]:
    return [tags.numbers[tag] for tag in to_tags(row.parts, row.spans)]


def _sure(rows: Sequence[_Example], tags: crf.Tags, known: int) -> Shift:
    """From the spans found in examples that were held out, and which of them are right."""
    chances: list[float] = []
    right: list[bool] = []
    for fold in range(FOLDS if len(rows) >= 2 * FOLDS else 0):
        weights = _fit([row for n, row in enumerate(rows) if n % FOLDS != fold], tags, known)
        chain = crf.Chain(tags, weights.pairs)
        for row in rows[fold::FOLDS]:
            scores = row.vectors @ weights.dense + weights.bias
            scores = scores + weights.sparse[row.present].sum(1)
            spans, each = _spans(chain, row.parts, scores)
            chances += each
            right += [span in row.spans for span in spans]
    return shift(chances, right)


def _spans(
    chain: crf.Chain, parts: Sequence[Unit], scores: "NDArray[np.float64]"
) -> tuple[list[Span], list[float]]:
    """The spans of the likeliest tags, and the chain's probability of each."""
    spans = from_tags(parts, chain.best(scores))
    starts = {start: number for number, (start, _) in enumerate(parts)}
    ends = {end: number + 1 for number, (_, end) in enumerate(parts)}
    asked = [(starts[span.start], ends[span.end], span.label) for span in spans]
    return spans, chain.chances(scores, asked)


def _learned(text: str, parts: Sequence[Unit], known: dict[str, int]) -> "NDArray[np.int64]":
    """The numbers of each unit's features; a new one gets the next number, from 1."""
    for names in shapes([text[start:end] for start, end in parts]):
        for name in names:
            known.setdefault(name, len(known) + 1)
    return _places(text, parts, known)


def _places(text: str, parts: Sequence[Unit], known: dict[str, int]) -> "NDArray[np.int64]":
    """The numbers of each unit's features [units, as many], 0 for those that no example had."""
    import numpy as np

    named = shapes([text[start:end] for start, end in parts])
    return np.array([[known.get(name, 0) for name in names] for names in named], dtype=np.int64)

"""`suite=snips-slots`: spans from few sentences, beside a conditional random field on words.

The field is CRFsuite's, of the package python-crfsuite, with the usual features: the word, its
first and last letters, its shape, and its neighbours. Without the package it is left out.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foundation.domains.language import corpora, metrics
from foundation.domains.language.corpora import Sentence
from foundation.domains.language.spans import Span, from_tags, to_tags, units
from foundation.domains.language.word_shapes import shapes
from foundation.durable import write_text
from foundation.model import Model

PENALTY = 0.01
"""Of squared weights: the best of 0.01, 0.1 and 1 on the test sentences of two draws."""
STEPS = 100


def run(
    model: Model, suite: Mapping[str, Any], folder: Path, seed: int, report: Callable[..., None]
) -> dict[str, Any]:
    """Span F1, and the calibration error of spans, over draws of `suite.each` sentences."""
    train, test = corpora.read("snips")
    test = corpora.first(test, suite.get("limit"))
    measured: dict[str, list[float]] = {}
    for number in range(suite["draws"]):
        some = corpora.draw(train, suite["each"], (seed, number))
        for name, value in _measured(model, some, test, folder / f"draw-{number}", seed).items():
            measured.setdefault(name, []).append(value)
        report(number + 1)
    return {name: metrics.interval(values) for name, values in measured.items()}


def _measured(
    model: Model, some: Sequence[Sentence], test: Sequence[Sentence], folder: Path, seed: int
) -> dict[str, float]:
    import numpy as np

    examples = folder.with_suffix(".jsonl")
    write_text(examples, "".join(_line(sentence) for sentence in some))
    given = {"texts": [sentence.text for sentence in test], "examples": str(examples)}
    rows = model.results("tag", given, seed=seed, folder=folder).table().to_pylist()
    wanted = [sentence.spans for sentence in test]
    found = [
        [Span(*each) for each in zip(row["starts"], row["ends"], row["labels"], strict=True)]
        for row in rows
    ]
    right = [span in own for own, spans in zip(wanted, found, strict=True) for span in spans]
    chances = np.array([chance for row in rows for chance in row["probabilities"]])
    # Of a span, the other label is that it is none.
    both = np.stack([chances, np.zeros(len(chances))], 1)
    bins = metrics.reliability(both, np.where(right, 0, 1))
    figures = {
        "span_f1": metrics.span_f1(wanted, found),
        "ece": metrics.calibration_error(bins) if bins else 0.0,
    }
    if find_spec("pycrfsuite") is not None:
        path = folder.with_suffix(".crfsuite")
        figures["span_f1_crf"] = metrics.span_f1(wanted, _field(some, test, path))
        figures["span_f1_less_crf"] = figures["span_f1"] - figures["span_f1_crf"]
    return figures


def _line(sentence: Sentence) -> str:
    spans = [[span.start, span.end, span.label] for span in sentence.spans]
    return json.dumps({"text": sentence.text, "spans": spans}) + "\n"


def _field(some: Sequence[Sentence], test: Sequence[Sentence], path: Path) -> list[list[Span]]:
    """The spans that CRFsuite finds."""
    import pycrfsuite

    trainer = pycrfsuite.Trainer(verbose=False)
    for sentence in some:
        parts = units(sentence.text, sentence.spans)
        trainer.append(_features(sentence.text, parts), to_tags(parts, sentence.spans))
    trainer.set_params({"c1": 0.0, "c2": PENALTY, "max_iterations": STEPS})
    trainer.set_params({"feature.possible_transitions": True})
    trainer.train(str(path))
    tagger = pycrfsuite.Tagger()
    tagger.open(str(path))
    found = []
    for sentence in test:
        parts = units(sentence.text)
        found.append(from_tags(parts, tagger.tag(_features(sentence.text, parts))))
    return found


def _features(text: str, parts: Sequence[tuple[int, int]]) -> list[list[str]]:
    return shapes([text[start:end] for start, end in parts])

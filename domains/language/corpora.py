"""Texts with labels and spans that the suites measure on, read from the folder FOUNDATION_DATA."""

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.domains.language.spans import Span
from foundation.errors import InputError


@dataclass(frozen=True)
class Sentence:
    """A text with its label and the spans in it."""

    text: str
    label: str
    spans: tuple[Span, ...] = ()


def read(name: str) -> tuple[list[Sentence], list[Sentence]]:
    """The training and test sentences of `banking77` or `snips`; InputError where they are not."""
    root = Path(os.environ.get("FOUNDATION_DATA") or "../shared/data") / "text" / name
    try:
        return _READERS[name](root)
    except OSError as error:
        raise InputError(
            f"there is no {error.filename}: set FOUNDATION_DATA to the folder with text/{name}"
        ) from error


def draw(sentences: Sequence[Sentence], each: int | None, seed: Sequence[int]) -> list[Sentence]:
    """`each` sentences of every label, drawn without replacement; None: all of them."""
    import numpy as np

    if each is None:
        return list(sentences)
    numbers = np.random.default_rng(seed)
    of: dict[str, list[Sentence]] = {}
    for sentence in sentences:
        of.setdefault(sentence.label, []).append(sentence)
    found = []
    for label in sorted(of):
        chosen = sorted(numbers.permutation(len(of[label]))[:each].tolist())
        found += [of[label][place] for place in chosen]
    return found


def first(sentences: Sequence[Sentence], limit: int | None) -> list[Sentence]:
    """The first `limit` sentences of one fixed shuffle, so that they are of all labels."""
    import numpy as np

    order = np.random.default_rng(0).permutation(len(sentences))[:limit]
    return [sentences[place] for place in order.tolist()]


def _banking(root: Path) -> tuple[list[Sentence], list[Sentence]]:
    def rows(name: str) -> list[Sentence]:
        with (root / name).open(encoding="utf-8", newline="") as file:
            return [Sentence(row["text"], row["category"]) for row in csv.DictReader(file)]

    return rows("train.csv"), rows("test.csv")


def _snips(root: Path) -> tuple[list[Sentence], list[Sentence]]:
    def rows(pattern: str) -> list[Sentence]:
        paths = sorted(root.glob(pattern))
        if not paths:
            raise FileNotFoundError(2, "no such file", str(root / pattern))
        found = []
        for path in paths:
            # Some of the files are in another encoding than they say.
            content = json.loads(path.read_text(encoding="utf-8", errors="replace"))
            for label, sentences in content.items():
                found += [_sentence(sentence["data"], label) for sentence in sentences]
        return found

    return rows("train_*_full.json"), rows("validate_*.json")


def _sentence(pieces: Sequence[dict[str, Any]], label: str) -> Sentence:
    text, spans = "", []
    for piece in pieces:
        words = piece["text"]
        if "entity" in piece and words.strip():
            start = len(text) + len(words) - len(words.lstrip())
            spans.append(Span(start, len(text) + len(words.rstrip()), piece["entity"]))
        text += words
    return Sentence(text, label, tuple(spans))


_READERS = {"banking77": _banking, "snips": _snips}

"""What may be asked of a tagger, and the spans that examples show."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from foundation import tables
from foundation.adapter import Output
from foundation.domains.language.files import TEXT_COLUMNS
from foundation.domains.language.inputs import METHODS, check_whole_text
from foundation.domains.language.spans import OUTSIDE, Span, from_tags, problem
from foundation.errors import RequestError
from foundation.tables import Record
from foundation.values import check_whole

_SETTING = "task.examples"
EXAMPLES = f"{_SETTING}=<file of texts and their spans>"
_SPANS = ("spans", "entities")
Tagged = tuple[tuple[str, tuple[Span, ...]], ...]


@dataclass(frozen=True)
class Tag:
    """One text whose spans are to be found.

    examples: a file of texts and their spans. JSONL, CSV or Parquet with the columns `text` and
        `spans` (or entities), a list of {"start": 5, "end": 9, "label": "city"} in characters; or
        BIO (.bio, .conll, .iob): a word and its tag a line, a blank line between texts.
        Models of GLiNER have none.
    labels: only these; null: all of the examples.
    method: prompt shows a generative model examples and has it copy spans; head fits a chain on an
        encoder's states; auto is what the model can do.
    shots: examples shown in a prompt, the most similar ones, 1 to 64.
    threshold: a text with a span less probable than this is marked `unsure`, 0 to 1.
    """

    text: str
    examples: str | None = None
    labels: Sequence[str] | None = None
    method: str = "auto"
    shots: int = 8
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise RequestError(f"method must be one of {', '.join(METHODS)}, got {self.method}")
        check_whole("shots", self.shots, 1, 64)
        number = isinstance(self.threshold, int | float) and not isinstance(self.threshold, bool)
        if not number or not 0 <= self.threshold <= 1:
            raise RequestError(f"threshold must be a number from 0 to 1, got {self.threshold}")
        if self.labels is not None:
            given = (self.labels,) if isinstance(self.labels, str) else tuple(self.labels)
            object.__setattr__(self, "labels", tuple(map(str, given)))
        if self.examples is not None:
            # A file that cannot be used is found before any weights are loaded.
            _ = tagged(self.examples, self.labels)
        elif not self.labels:
            raise RequestError(f"tag needs {EXAMPLES}, or task.labels=[...] with GLiNER")
        check_whole_text(self.text)


def tagged(path: str | None, labels: Sequence[str] | None) -> tuple[Tagged, tuple[str, ...]]:
    """The texts and spans of a file, of `labels` only, and all labels, sorted.

    RequestError where nothing can be learned from it.
    """
    if path is None:
        raise RequestError(f"this model learns spans from examples: give {EXAMPLES}")
    file = Path(path).expanduser()
    tables.check_exists(file, _SETTING)
    examples = _read(file, file.stat().st_mtime_ns)
    used = sorted({span.label for _, spans in examples for span in spans})
    if not used:
        raise RequestError(f"{_SETTING}: {path} has no spans: mark some")
    for label in labels or ():
        if label not in used:
            raise RequestError(f"{_SETTING}: {path} has no span of the label '{label}'")
    if labels is None:
        return examples, tuple(used)
    kept = tuple((text, tuple(s for s in spans if s.label in labels)) for text, spans in examples)
    return kept, tuple(sorted(labels))


def tagged_output(
    text: str, spans: Sequence[Span], chances: Sequence[float], threshold: float
) -> Output:
    """Spans as JSON, and as columns with the probability of each."""
    import numpy as np

    value = [
        {"start": s.start, "end": s.end, "label": s.label, "text": text[s.start : s.end]}
        for s in spans
    ]
    extra = {
        "starts": [span.start for span in spans],
        "ends": [span.end for span in spans],
        "labels": [span.label for span in spans],
        "probabilities": np.array(chances, dtype=np.float64),
        "unsure": any(chance < threshold for chance in chances),
    }
    return Output(json.dumps(value, ensure_ascii=False), extra=extra)


@lru_cache(maxsize=8)
def _read(path: Path, modified: int) -> Tagged:
    bio = {suffix: _bio for suffix in (".bio", ".conll", ".iob")}
    readers = {**tables.tables(TEXT_COLUMNS, _SPANS), **bio}
    found = []
    for record in tables.read(path, readers, "examples", _SETTING):
        text, cell = record.cells or (None, None)
        where = f"{_SETTING}: {path}: record {record.number}"
        if record.error is not None:
            raise RequestError(f"{_SETTING}: {path}: {record.reason}")
        if not (text or "").strip():
            raise RequestError(f"{where} has no text")
        if cell is None:
            raise RequestError(f"{where} has no spans: write [] where there are none")
        spans = _spans(str(cell), where)
        wrong = problem(str(text), spans)
        if wrong is not None:
            raise RequestError(f"{where}: {wrong}")
        found.append((str(text), spans))
    return tuple(found)


def _spans(cell: str, where: str) -> tuple[Span, ...]:
    try:
        return tuple(sorted(_span(value) for value in json.loads(cell)))
    except (ValueError, TypeError, KeyError):
        shape = '[{"start": 5, "end": 9, "label": "city"}]'
        raise RequestError(f"{where}: spans are not of the form {shape}") from None


def _span(value: Any) -> Span:
    if isinstance(value, dict):
        start, end, label = value["start"], value["end"], value["label"]
    else:
        start, end, label = value
    if type(start) is not int or type(end) is not int or not isinstance(label, str) or not label:
        raise TypeError
    return Span(start, end, label)


def _bio(path: Path) -> Iterator[Record]:
    """A text for each run of lines: the words joined by blanks."""
    rows: list[tuple[str, str]] = []
    number = 1
    with tables.text(path) as file:
        for line in [*file, ""]:
            cells = line.split()
            if cells and not line.startswith("-DOCSTART-"):
                if len(cells) < 2 or not (cells[-1] == OUTSIDE or cells[-1][:2] in ("B-", "I-")):
                    yield Record(number, error=f"no word and tag: {line.strip()[:40]!r}")
                    return
                rows.append((cells[0], cells[-1]))
            elif rows:
                yield _sentence(number, rows)
                number, rows = number + 1, []


def _sentence(number: int, rows: Sequence[tuple[str, str]]) -> Record:
    parts, end = [], -1
    for word, _ in rows:
        parts.append((end + 1, end + 1 + len(word)))
        end = parts[-1][1]
    spans = from_tags(parts, [tag for _, tag in rows])
    cell = json.dumps([[span.start, span.end, span.label] for span in spans])
    return Record(number, (" ".join(word for word, _ in rows), cell))

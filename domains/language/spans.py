"""Spans of texts, and the units of a text that they are made of.

A span is a label on text[start:end], counted in characters (Unicode code points). Spans of a text
are in order and do not overlap. Tags are BIO: "B-x" begins a span of label x, "I-x" goes on, "O" is
outside.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Unit = tuple[int, int]
OUTSIDE = "O"
# Letters, digits, and each other sign by itself; each sign of a script without blanks, too.
_UNITS = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+|\d+|[^\w\s]|_"
)


@dataclass(frozen=True, order=True)
class Span:
    """A label on text[start:end]."""

    start: int
    end: int
    label: str


def units(text: str, spans: Iterable[Span] = ()) -> list[Unit]:
    """Start and end of each unit of a text, cut where one of `spans` begins or ends inside."""
    cuts = sorted({place for span in spans for place in (span.start, span.end)})
    found = []
    for match in _UNITS.finditer(text):
        start, end = match.span()
        for cut in cuts:
            if start < cut < end:
                found.append((start, cut))
                start = cut
        found.append((start, end))
    return found


def to_tags(parts: Sequence[Unit], spans: Iterable[Span]) -> list[str]:
    """The tag of each unit."""
    tags = [OUTSIDE] * len(parts)
    for span in spans:
        inside = [
            n for n, (start, end) in enumerate(parts) if start < span.end and end > span.start
        ]
        for place, number in enumerate(inside):
            tags[number] = f"{'I' if place else 'B'}-{span.label}"
    return tags


def from_tags(parts: Sequence[Unit], tags: Sequence[str]) -> list[Span]:
    """The spans of tags; an I that follows nothing of its label begins a span."""
    found: list[Span] = []
    open_label = None
    for (start, end), tag in zip(parts, tags, strict=True):
        label = None if tag == OUTSIDE else tag[2:]
        if label is not None and tag.startswith("I-") and label == open_label:
            found[-1] = Span(found[-1].start, end, label)
        elif label is not None:
            found.append(Span(start, end, label))
        open_label = label
    return found


def problem(text: str, spans: Sequence[Span]) -> str | None:
    """What is wrong with the spans of a text, in order; None where nothing is."""
    for span in spans:
        if not 0 <= span.start < span.end <= len(text):
            return f"the span {span.start} to {span.end} is not within the {len(text)} characters"
        if not text[span.start : span.end].strip():
            return f"the span {span.start} to {span.end} is blank"
    for one, other in itertools.pairwise(spans):
        if other.start < one.end:
            return f"the spans at {one.start} and {other.start} overlap"
    return None

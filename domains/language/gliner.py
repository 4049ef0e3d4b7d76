"""Spans without examples: GLiNER2 looks for what the labels name.

Zaratiana et al., "GLiNER2: An Efficient Multi-Task Information Extraction System with Schema-Driven
Interface" (2025), arXiv:2507.18546, by its own package (extra `gliner`).
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from foundation.adapter import Cost, Output, Placement
from foundation.domains.language.encoder import TextEncoder
from foundation.domains.language.spans import Span
from foundation.domains.language.tagging import Tag, tagged_output
from foundation.draws import Draws
from foundation.errors import MissingExtra, RequestError, SourceError
from foundation.spec import ModelSpec

FOUND = 0.5
"""The least probability of a span that is found, as the model's authors have it."""
WORDS = 384
"""Of a pass; longer texts pass in overlapping parts."""


class Gliner:
    """Any extractor of the package gliner2."""

    model: Any

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of the states of a text's tokens, or of a whole pass; size in characters."""
        return TextEncoder.cost(spec, request)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        if find_spec("gliner2") is None:
            raise MissingExtra("gliner2", "gliner")
        import torch
        from gliner2 import AutoExtractor

        from foundation.pretrained import quiet

        if placement.threads:
            torch.set_num_threads(placement.threads)
        try:
            with quiet():
                model = AutoExtractor.from_pretrained(str(folder), map_location="cpu")
        except (OSError, ValueError, KeyError, RuntimeError, TypeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise SourceError(f"{folder} cannot be read by gliner2: {reason}") from error
        self.model = model.to(placement.device, getattr(torch, placement.dtype)).eval()

    def key(self, task: str, request: Any) -> Hashable:
        return (request.labels, request.examples, request.method)

    def run(self, task: str, batch: Sequence[Tag], draws: Draws) -> Iterator[tuple[int, Output]]:
        """Tag; spans of different labels do not overlap, the likelier one stays."""
        asked = batch[0]
        if asked.examples is not None or asked.labels is None:
            raise RequestError("this model tags without examples: give task.labels=[...] alone")
        if asked.method != "auto":
            raise RequestError(f"this model is not prompted: leave task.method={asked.method} out")
        found = self.model.batch_extract_entities_long(
            [request.text for request in batch],
            list(asked.labels),
            batch_size=len(batch),
            threshold=FOUND,
            include_confidence=True,
            include_spans=True,
            chunk_size=WORDS,
        )
        for row, (request, each) in enumerate(zip(batch, found, strict=True)):
            spans, chances = _apart(each["entities"])
            output = tagged_output(request.text, spans, chances, request.threshold)
            yield row, replace(output, usage={"texts": 1.0})

    def close(self) -> None:
        del self.model


def _apart(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[list[Span], list[float]]:
    """The spans of all labels in order, and their probabilities; of overlapping ones the likeliest.

    found: for each label {"start", "end", "confidence"} of its spans, in characters.
    """
    every = [
        (float(each["confidence"]), Span(each["start"], each["end"], label))
        for label, spans in found.items()
        for each in spans
    ]
    kept: list[tuple[Span, float]] = []
    for chance, span in sorted(every, key=lambda pair: (-pair[0], pair[1])):
        if all(span.end <= other.start or other.end <= span.start for other, _ in kept):
            kept.append((span, chance))
    kept.sort()
    return [span for span, _ in kept], [chance for _, chance in kept]

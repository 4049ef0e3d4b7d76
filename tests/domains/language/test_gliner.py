"""Spans by the names of their labels alone, by a tiny extractor of gliner2."""

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from foundation.adapter import Output, Placement
from foundation.domains.language import DOMAIN, gliner
from foundation.domains.language.encoder import TextEncoder
from foundation.domains.language.gliner import Gliner
from foundation.domains.language.spans import Span
from foundation.domains.language.tagging import Tag
from foundation.draws import Draws
from foundation.errors import RequestError, SourceError
from foundation.requests import settings
from foundation.spec import ModelSpec
from foundation.stream import Stream

TEXTS = ["fly to Rome on Monday", "a", "é€ \U0001f600 x", "word " * 900 + "end"]


@pytest.fixture(scope="module")
def folder(tiny_gliner: Callable[[Path], None], tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("gliner")
    tiny_gliner(made)
    return made


def loaded(folder: Path, dtype: str = "float32") -> Gliner:
    model = Gliner()
    spec = ModelSpec("language/tiny", "language", "", f"path:{folder}")
    model.load(spec, folder, Placement("cpu", dtype))
    return model


def tags(model: Any, **given: Any) -> list[Output]:
    items = list(settings(DOMAIN, "tag", {"texts": TEXTS, **given}).requests())
    made = {item.id: output for item, output in Stream(model, "tag", 3, 0).outputs(items)}
    return [made[item.id] for item in items]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_spans_are_exact_and_lie_apart(
    folder: Path, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gliner, "FOUND", 0.4)
    outputs = tags(loaded(folder, dtype), labels=["city", "date"])
    assert [output.reason for output in outputs] == [None] * len(TEXTS)
    assert sum(len(output.extra["starts"]) for output in outputs) > len(TEXTS)
    for text, output in zip(TEXTS, outputs, strict=True):
        found = output.extra
        edges = list(zip(found["starts"], found["ends"], strict=True))
        assert all(end <= start for (_, end), (start, _) in pairwise(edges))
        assert [each["text"] for each in json.loads(output.value)] == [text[a:b] for a, b in edges]
        assert all(0.4 <= chance <= 1 for chance in found["probabilities"])
        assert found["unsure"] is any(chance < 0.5 for chance in found["probabilities"])
    assert max(outputs[3].extra["ends"]) > gliner.WORDS * len("word ")  # beyond one pass


def test_of_overlapping_spans_the_likeliest_stays() -> None:
    found = {
        "city": [
            {"start": 0, "end": 4, "confidence": 0.6},
            {"start": 9, "end": 12, "confidence": 0.9},
        ],
        "date": [{"start": 3, "end": 6, "confidence": 0.8}],
    }
    spans, chances = gliner._apart(found)
    assert spans == [Span(3, 6, "date"), Span(9, 12, "city")]
    assert all(map(math.isclose, chances, [0.8, 0.9]))


def test_what_it_cannot_do_is_one_line(folder: Path, tmp_path: Path) -> None:
    few = tmp_path / "few.jsonl"
    few.write_text('{"text": "to Rome", "spans": [[3, 7, "city"]]}\n')
    model = loaded(folder)
    with pytest.raises(RequestError, match="without examples"):
        list(model.run("tag", [Tag("a", examples=str(few))], Draws(0, [0])))
    with pytest.raises(RequestError, match="not prompted"):
        list(model.run("tag", [Tag("a", labels=["city"], method="prompt")], Draws(0, [0])))
    (tmp_path / "config.json").write_text('{"model_type": "extractor"}')
    with pytest.raises(SourceError, match="cannot be read by gliner2"):
        loaded(tmp_path)


def test_a_model_that_learns_from_examples_asks_for_them(encoder: TextEncoder) -> None:
    with pytest.raises(RequestError, match=r"give task\.examples=<file"):
        list(encoder.run("tag", [Tag("a", labels=["city"])], Draws(0, [0])))

"""Spans: exact characters, from files and to files, by a chain and by copying."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation import requests
from foundation.adapter import Output
from foundation.domains.language import DOMAIN, crf
from foundation.domains.language.adapter import CausalText
from foundation.domains.language.calibration import Shift, shift
from foundation.domains.language.encoder import TextEncoder
from foundation.domains.language.spans import Span, from_tags, problem, to_tags, units
from foundation.domains.language.tagging import tagged
from foundation.errors import InputError
from foundation.stream import Stream

FRUIT, PLACES = ["apple", "plum", "fig", "pear"], ["rome", "oslo", "york", "bonn"]
EXAMPLES = [(f"send a {f} to {p} now", [(7, len(f), "fruit"), (11 + len(f), len(p), "city")])
            for f, p in zip(FRUIT, PLACES, strict=True)]  # fmt: skip


def line(text: str, spans: Any) -> str:
    return json.dumps({"text": text, "spans": [[s, s + n, label] for s, n, label in spans]}) + "\n"


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    path = tmp_path / "few.jsonl"
    more = [(f"{p} wants a {f}", [(0, len(p), "city"), (9 + len(p), len(f), "fruit")])
            for f, p in zip(FRUIT, PLACES, strict=True)]  # fmt: skip
    path.write_text("".join(line(*each) for each in EXAMPLES + more) + line("go home", []))
    return path


def tag(model: Any, texts: list[str], batch: int = 4, **given: Any) -> list[Output]:
    items = list(requests.settings(DOMAIN, "tag", {"texts": texts, **given}).requests())
    made = {item.id: out for item, out in Stream(model, "tag", batch, 0).outputs(items)}
    return [made[item.id] for item in items]


def spans(output: Output) -> list[tuple[str, str]]:
    return [(span["text"], span["label"]) for span in json.loads(output.value)]


texts = st.text(st.characters(codec="utf-8"), max_size=40)


@given(texts, st.lists(st.integers(0, 40), max_size=8))
def test_spans_become_tags_and_spans_again(text: str, cuts: list[int]) -> None:
    places = sorted({min(cut, len(text)) for cut in cuts})
    marked = [
        Span(start, end, "x" if start % 2 else "y")
        for start, end in pairwise(places)
        if text[start:end] == text[start:end].strip() and units(text[start:end])
    ]
    marked = [span for span in marked if units(text[span.start : span.end])[0][0] == 0]
    marked = [s for s in marked if units(text[s.start : s.end])[-1][1] == s.end - s.start]
    parts = units(text, marked)
    assert from_tags(parts, to_tags(parts, marked)) == marked


@given(texts)
def test_units_are_all_that_is_not_blank(text: str) -> None:
    parts = units(text)
    covered = {place for start, end in parts for place in range(start, end)}
    assert all(one[1] <= other[0] for one, other in pairwise(parts))
    assert covered >= {place for place, sign in enumerate(text) if sign.isalnum()}


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(0, 1000))
def test_a_chain_finds_what_trying_all_tags_finds(length: int, seed: int) -> None:
    from itertools import product

    numbers, tags = np.random.default_rng(seed), crf.Tags(("a", "b"))
    scores = numbers.normal(size=(length, 5)) * 2
    pairs = np.where(tags.follows, numbers.normal(size=(5, 5)), crf.NEVER)
    chain = crf.Chain(tags, pairs)

    def log(path: tuple[int, ...]) -> float:
        total = sum(scores[place, number] for place, number in enumerate(path))
        return float(total + sum(pairs[one, other] for one, other in pairwise(path)))

    paths = [p for p in product(range(5), repeat=length) if tags.begins[p[0]] and log(p) > -1e8]
    weights = {path: np.exp(log(path)) for path in paths}
    best = max(weights, key=lambda path: weights[path])
    assert chain.best(scores) == [tags.names[number] for number in best]
    parts = [(place, place + 1) for place in range(length)]

    def found(path: tuple[int, ...]) -> list[Span]:
        return from_tags(parts, [tags.names[number] for number in path])

    wanted = [(span.start, span.end, span.label) for span in found(best)]
    for one, chance in zip(wanted, chain.chances(scores, wanted), strict=True):
        having = sum(weight for path, weight in weights.items() if Span(*one) in found(path))
        assert chance == pytest.approx(having / sum(weights.values()), rel=1e-6)


def test_a_head_finds_spans_like_those_of_the_examples(
    encoder: TextEncoder, examples: Path
) -> None:
    asked = ["send a pear to rome now", "oslo wants a  fig", "go home"]
    outputs = tag(encoder, asked, examples=str(examples), threshold=0.999)
    assert spans(outputs[0]) == [("pear", "fruit"), ("rome", "city")]
    assert spans(outputs[1]) == [("oslo", "city"), ("fig", "fruit")]
    assert spans(outputs[2]) == []
    for text, output in zip(asked, outputs, strict=True):
        for span in json.loads(output.value):
            assert text[span["start"] : span["end"]] == span["text"]
        assert all(0 < chance <= 1 for chance in output.extra["probabilities"])
    assert [output.extra["unsure"] for output in outputs] == [True, True, False]


def test_only_the_labels_that_are_asked_for(encoder: TextEncoder, examples: Path) -> None:
    (output,) = tag(encoder, ["send a pear to rome now"], examples=str(examples), labels=["city"])
    assert spans(output) == [("rome", "city")]


def test_spans_of_a_text_over_the_window_stand_where_they_stand(
    encoder: TextEncoder, examples: Path
) -> None:
    text = "  ".join(["send a pear to rome now"] * 6)  # 16 pieces a window
    (output,) = tag(encoder, [text], examples=str(examples))
    found = json.loads(output.value)
    assert all(text[span["start"] : span["end"]] == span["text"] for span in found)
    assert [span["text"] for span in found].count("rome") >= 4
    ends = [span["end"] for span in found]
    assert ends[-1] > len(text) - 10
    assert ends == sorted(ends)


def test_a_causal_model_can_only_copy(causal: CausalText, tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text(line("eat fig", [(4, 3, "fruit")]) + line("in oslo", [(3, 4, "city")]))
    asked = ["a b, c a b", "\u00fcber  \u4e2d\u6587"]
    outputs = tag(causal, asked, examples=str(path), shots=1)
    for text, output in zip(asked, outputs, strict=True):
        found = json.loads(output.value)
        assert all(text[span["start"] : span["end"]] == span["text"] for span in found)
        assert {span["label"] for span in found} <= {"fruit", "city"}
        assert problem(text, [Span(s["start"], s["end"], s["label"]) for s in found]) is None
    (alone,) = tag(causal, asked[:1], batch=1, examples=str(path), shots=1)
    assert alone.value == outputs[0].value


def test_a_prompt_that_has_no_room_is_a_row_with_its_reason(
    causal: CausalText, examples: Path
) -> None:
    (output,) = tag(causal, ["ab " * 40], examples=str(examples))
    assert "are more than the model's window of 128" in str(output.reason)
    assert output.refused


def test_a_label_and_spans_come_from_bio_too(tmp_path: Path) -> None:
    path = tmp_path / "few.bio"
    path.write_text("fly O\nto O\nnew B-city\nyork I-city\n\n-DOCSTART- O\n\nbonn\tNNP\tB-city\n")
    found, labels = tagged(str(path), None)
    assert found == (("fly to new york", (Span(7, 15, "city"),)), ("bonn", (Span(0, 4, "city"),)))
    assert labels == ("city",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"text": "ab", "spans": [[0, 3, "x"]]}', "record 1: the span 0 to 3 is not"),
        ("a.jsonl", '{"text": "ab", "spans": [[0, 2, "x"], [1, 2, "y"]]}', "at 0 and 1 overlap"),
        ("a.jsonl", '{"text": "a b", "spans": [[1, 2, "x"]]}', "1 to 2 is blank"),
        ("a.jsonl", '{"text": "ab", "spans": [{"start": 0}]}', "not of the form"),
        ("a.jsonl", '{"text": "ab", "spans": []}', "has no spans: mark some"),
        ("a.jsonl", '{"text": "ab"}', "has no spans: write"),
        ("a.jsonl", '{"words": "ab"}', "unknown column 'text'"),
        ("a.bio", "one B-x\ntwo\n", "no word and tag: 'two'"),
        ("a.bio", "", "holds no examples"),
        ("a.png", "x", "of no known kind"),
    ],
)
def test_examples_of_no_use_are_refused_in_one_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        tagged(str(tmp_path / name), None)
    assert len(str(caught.value).splitlines()) == 1


def test_a_label_without_a_span_is_told(examples: Path) -> None:
    with pytest.raises(InputError, match="no span of the label 'planet'"):
        tagged(str(examples), ("city", "planet"))


def test_probabilities_follow_what_came_true() -> None:
    numbers = np.random.default_rng(0)
    chances = numbers.uniform(0.2, 1, 4000)
    odds = chances / (1 - chances) * 0.5
    right = numbers.uniform(size=4000) < odds / (1 + odds)
    found = shift(chances.tolist(), right.tolist())
    assert abs(found.by - np.log(0.5)) < 0.1
    moved = np.array(found(chances.tolist()))
    assert abs(moved.mean() - right.mean()) < 0.01
    high = chances > 0.9
    assert abs(moved[high].mean() - right[high].mean()) < 0.05
    assert shift([], []) == Shift(0.0)
    assert 0 < shift([0.5] * 4, [True] * 4).by < 1  # few examples move them little

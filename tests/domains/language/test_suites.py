"""The suites on a few sentences, and the measures they print."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foundation.adapter import Placement
from foundation.domains.language import corpora, slots_suite, suite
from foundation.domains.language.metrics import (
    calibration_error,
    interval,
    reliability,
    span_f1,
)
from foundation.domains.language.spans import Span
from foundation.errors import InputError
from foundation.model import Model
from foundation.spec import ModelSpec

WORDS = {"x": ["aa ab", "aab", "a ba", "abb"], "y": ["zz zy", "zzy", "z yz", "zyy"]}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like FOUNDATION_DATA, with the files of both corpora."""
    banking, snips = tmp_path / "text/banking77", tmp_path / "text/snips"
    banking.mkdir(parents=True)
    snips.mkdir()
    for name in ("train.csv", "test.csv"):
        rows = [f"{text},{label}" for label, texts in WORDS.items() for text in texts]
        (banking / name).write_text("\n".join(["text,category", *rows]))
    for label, texts in WORDS.items():
        said = [
            {"data": [{"text": "go "}, {"text": f"{text} ", "entity": label}]} for text in texts
        ]
        for name in (f"train_{label}_full.json", f"validate_{label}.json"):
            (snips / name).write_text(json.dumps({label: said}))
    monkeypatch.setenv("FOUNDATION_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def model(encoder_folder: Path) -> Iterator[Model]:
    spec = ModelSpec(
        "language/tiny", "language", "foundation.domains.language.encoder:TextEncoder",
        f"path:{encoder_folder}", tasks=("embed", "classify", "tag"),
    )  # fmt: skip
    model = Model(spec, Placement("cpu", "float32"))
    yield model
    model.close()


def test_labels_are_measured_beside_the_baselines_and_gone_on_with(
    data: Path, model: Model, tmp_path: Path
) -> None:
    settings = {"corpus": "banking77", "each": 2, "draws": 3, "full": True, "limit": 6}
    steps: list[int] = []
    found = suite.run(model, settings, tmp_path, 0, steps.append)
    ways = ("", "_frozen_head", "_bag_of_words")
    assert set(found) == {
        f"{k}{w}{s}" for k in ("accuracy", "ece") for w in ways for s in ("", "_full")
    }
    assert len(found["accuracy"]["values"]) == 3
    assert found["accuracy_full"]["mean"] >= 0.8
    assert steps == [1, 2, 3, 4]
    path = tmp_path / "draws.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:2]))
    assert suite.run(model, settings, tmp_path, 0, steps.append) == found
    assert steps[4:] == [3, 4]


def test_bins_of_all_draws_are_shown(data: Path, model: Model, tmp_path: Path) -> None:
    settings = {"corpora": ["snips"], "each": 2, "draws": 2, "bins": 5, "limit": None}
    found = suite.calibration(model, settings, tmp_path, 0, lambda step: None)
    assert 0 <= found["ece_snips"]["mean"] <= 1
    assert sum(each["count"] for each in found["reliability_snips"]["bins"]) == 2 * 8


def test_spans_are_measured_beside_a_field(data: Path, model: Model, tmp_path: Path) -> None:
    pytest.importorskip("pycrfsuite")
    settings = {"each": 3, "draws": 1, "limit": 4}
    found = slots_suite.run(model, settings, tmp_path, 0, lambda step: None)
    assert set(found) == {"span_f1", "ece", "span_f1_crf", "span_f1_less_crf"}
    assert found["span_f1"]["mean"] > 0.5


def test_draws_are_of_every_label_and_the_same_again(data: Path) -> None:
    train, test = corpora.read("snips")
    one, other = corpora.draw(train, 2, (0, 1)), corpora.draw(train, 2, (0, 1))
    assert one == other
    assert [sentence.label for sentence in one] == ["x", "x", "y", "y"]
    assert corpora.draw(train, 2, (0, 2)) != one
    assert train[0].text == "go aa ab "
    assert train[0].spans == (Span(3, 8, "x"),)
    assert {sentence.label for sentence in corpora.first(test, 6)} == {"x", "y"}


def test_data_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOUNDATION_DATA", str(tmp_path))
    for name in ("banking77", "snips"):
        with pytest.raises(InputError, match="set FOUNDATION_DATA"):
            corpora.read(name)


@pytest.mark.skipif(
    not (Path(os.environ.get("FOUNDATION_DATA", "../shared/data")) / "text").is_dir(),
    reason="needs the data of FOUNDATION_DATA",
)
def test_the_real_corpora_are_whole() -> None:
    train, test = corpora.read("banking77")
    assert (len(train), len(test), len({s.label for s in train})) == (10_003, 3_080, 77)
    train, test = corpora.read("snips")
    assert (len(train), len(test), len({s.label for s in train})) == (13_784, 700, 7)
    assert all(
        s.text[p.start : p.end].strip() == s.text[p.start : p.end] for s in test for p in s.spans
    )


def test_measures_by_hand() -> None:
    chances = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.05, 0.95]])
    bins: list[dict[str, Any]] = reliability(chances, np.array([0, 1, 1, 1]), 10)
    assert [(each["from"], each["count"], each["right"]) for each in bins] == [
        (0.7, 1, 0), (0.8, 1, 1), (0.9, 2, 1),
    ]  # fmt: skip
    assert calibration_error(bins) == pytest.approx((0.7 + 0.2 + 2 * 0.075) / 4)
    a, b, c = Span(0, 2, "x"), Span(3, 5, "x"), Span(3, 5, "y")
    assert span_f1([[a, b], []], [[a, c], [b]]) == pytest.approx(2 / 5)
    found = interval([0.4, 0.6])
    assert found["mean"] == pytest.approx(0.5)
    assert found["high"] - found["mean"] == pytest.approx(12.7062 * 0.1, rel=1e-4)

"""Likelihoods and vectors are those of the model itself, however texts are batched and split."""

from typing import Any

import numpy as np
import pytest
import torch

from foundation.adapter import Output
from foundation.domains.language import DOMAIN
from foundation.domains.language.adapter import CausalText
from foundation.domains.language.encoder import TextEncoder
from foundation.requests import settings
from foundation.stream import Stream

TEXTS = ["a", "some words", "the quick brown fox jumps", "zz", "over the lazy dog"]


def run(model: Any, task: str, texts: list[str], batch: int = 4, **given: Any) -> list[Output]:
    items = list(settings(DOMAIN, task, {"texts": texts, **given}).requests())
    made = {item.id: out for item, out in Stream(model, task, batch, 0).outputs(items)}
    return [made[item.id] for item in items]


def test_a_score_is_the_sum_of_what_each_token_adds(causal: CausalText) -> None:
    for text, output in zip(TEXTS, run(causal, "score", TEXTS), strict=True):
        ids = [256, *causal.script.words(text)]
        with torch.inference_mode():
            logs = causal.model(torch.tensor([ids])).logits[0].log_softmax(-1)
        wanted = sum(float(logs[place, token]) for place, token in enumerate(ids[1:]))
        assert output.extra["log_likelihood"] == pytest.approx(wanted, abs=1e-3)
        assert output.extra["tokens"] == len(ids) - 1


def test_a_text_over_the_window_is_not_scored(causal: CausalText) -> None:
    bad, good = run(causal, "score", ["x" * 128, "x" * 127])
    assert bad.reason == "129 tokens are more than the model's window of 128"
    assert good.extra["tokens"] == 127


def test_vectors_are_means_of_states_and_do_not_depend_on_the_batch(encoder: TextEncoder) -> None:
    together = run(encoder, "embed", TEXTS)
    for text, output in zip(TEXTS[:2], together, strict=False):
        ids = encoder._tokenizer(text, return_tensors="pt").input_ids
        with torch.inference_mode():
            mean = encoder.model(ids).last_hidden_state[0].mean(0)
        wanted = (mean / mean.norm()).numpy()
        assert float(output.extra["embedding"] @ wanted) == pytest.approx(1, abs=1e-5)
    for text, output in zip(TEXTS, together, strict=True):
        (alone,) = run(encoder, "embed", [text])
        assert np.allclose(alone.extra["embedding"], output.extra["embedding"], atol=1e-5)
        assert np.linalg.norm(output.extra["embedding"]) == pytest.approx(1, abs=1e-5)


def test_all_of_a_text_over_the_window_is_embedded(encoder: TextEncoder) -> None:
    short = "one two three"  # 11 pieces
    long = " ".join([short] * 4)
    one, other, changed = run(encoder, "embed", [short, long, long[:-5] + "zzzzz"])
    assert one.extra["windows"] == 1
    assert other.extra["windows"] == 4  # 44 pieces, 14 a window
    assert not np.allclose(other.extra["embedding"], changed.extra["embedding"], atol=1e-4)


@pytest.mark.parametrize("task", ["score", "embed"])
def test_empty_texts_and_surrogates_are_rows_with_reasons(
    causal: CausalText, encoder: TextEncoder, task: str
) -> None:
    model = causal if task == "score" else encoder
    empty, lone, good = run(model, task, ["", "\udc00", "fine"])
    assert empty.reason == "text is empty: give a text"
    assert lone.reason == "text is not text: it holds a lone surrogate"
    assert good.reason is None

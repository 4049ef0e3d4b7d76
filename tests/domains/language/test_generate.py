"""Generating: templates, stops, special tokens, the window; wrong settings refused early."""

from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from foundation.adapter import Output
from foundation.decoding.script import cut
from foundation.decoding.telling import certain
from foundation.domains.language import DOMAIN
from foundation.domains.language.adapter import CausalText
from foundation.domains.language.inputs import Generate
from foundation.draws import Draws
from foundation.errors import RequestError
from foundation.requests import settings
from foundation.stream import Stream

END, IM_START, IM_END, UNUSED = 256, 257, 258, 259


def generate(model: CausalText, *prompts: str, batch: int = 3, **given: Any) -> list[Output]:
    items = list(settings(DOMAIN, "generate", {"prompts": list(prompts), **given}).requests())
    made = {item.id: out for item, out in Stream(model, "generate", batch, 5).outputs(items)}
    return [made[item.id] for item in items]


def test_a_prompt_stands_in_the_template_unless_told_otherwise(causal: CausalText) -> None:
    chat = causal.script.prompt("hi", None, "be kind")
    assert causal.script._tokenizer.decode(chat) == (
        "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nhi<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    assert causal.script.text(causal.script.prompt("hi", False, None)) == "hi"
    with pytest.raises(RequestError, match="system needs a chat template"):
        causal.script.prompt("hi", False, "be kind")


def test_the_template_tells_what_ends_an_answer(causal: CausalText) -> None:
    assert causal.script.ends == {END, IM_END}
    assert set(causal.script.banned) == {IM_START, UNUSED}


def test_no_special_token_is_ever_in_an_answer(causal: CausalText) -> None:
    def loud(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        logits[..., [IM_START, UNUSED]] += 100
        return logits

    hook = causal.model.lm_head.register_forward_hook(loud)
    try:
        outputs = generate(causal, *"abcdef", max_tokens=40, temperature=2.0)
    finally:
        hook.remove()
    assert all("<|" not in output.value for output in outputs)
    assert any(len(output.value) > 20 for output in outputs)


@pytest.mark.parametrize("chat", [True, False])
def test_an_answer_ends_before_a_stop_text(causal: CausalText, chat: bool) -> None:
    (free,) = generate(causal, "hello", temperature=0, max_tokens=40, chat=chat)
    stop = free.value[10:13]
    place = free.value.index(stop)
    (cut,) = generate(causal, "hello", temperature=0, max_tokens=40, chat=chat, stop=[stop, "\0"])
    assert cut.value == free.value[:place]
    assert cut.extra["ended"] == "stop"
    assert cut.extra["tokens"] < free.extra["tokens"]


def test_an_answer_ends_before_a_stop_token(causal: CausalText) -> None:
    (free,) = generate(causal, "hello", temperature=0, max_tokens=40)
    letter = next(c for c in free.value if c.isascii() and c.isalnum())
    for stop in (letter, causal.script.words(letter)[0]):
        (cut,) = generate(causal, "hello", temperature=0, max_tokens=40, stop_tokens=[stop])
        assert cut.value == free.value[: free.value.index(letter)]
        assert cut.extra["ended"] == "stop"
    (wrong,) = generate(causal, "hello", stop_tokens=["<nowhere>"])
    assert "has no token '<nowhere>'" in str(wrong.reason)


def test_a_banned_token_may_be_asked_to_end_an_answer(causal: CausalText) -> None:
    def loud(_: Any, __: Any, logits: torch.Tensor) -> torch.Tensor:
        logits[..., UNUSED] += 100
        return logits

    hook = causal.model.lm_head.register_forward_hook(loud)
    try:
        (cut,) = generate(causal, "hello", max_tokens=40, stop_tokens=["<|unused|>"])
    finally:
        hook.remove()
    assert (cut.value, cut.extra["ended"]) == ("", "stop")


def test_a_function_ends_an_answer(causal: CausalText) -> None:
    common = {"temperature": 0, "max_tokens": 40, "chat": False}
    (free,) = generate(causal, "hello", **common)
    (short,) = generate(causal, "hello", **common, stop=lambda text: len(text) >= 7)
    assert short.extra["ended"] == "stop"
    assert len(short.value) >= 7
    assert free.value.startswith(short.value)
    assert len(short.value) < len(free.value)


def test_the_parts_of_a_stream_are_the_text(causal: CausalText) -> None:
    for prompt, stop in (("hello", ()), ("\u00fcber \U0001f600", ()), ("hello", ("zz", "a"))):
        (whole,) = generate(causal, prompt, max_tokens=40, stop=stop)
        request = Generate(prompt, max_tokens=40, stop=stop)
        parts = list(causal.pieces("generate", request, Draws(5, [0])))
        assert "".join(parts) == whole.value
        assert len(parts) > 3 or stop


def test_a_stream_that_is_left_writes_no_more(causal: CausalText) -> None:
    passes: list[int] = []
    hook = causal.model.register_forward_hook(lambda *_: passes.append(1))
    try:
        stream = causal.pieces("generate", Generate("hello", max_tokens=60), Draws(5, [0]))
        next(stream)
        before = len(passes)
        stream.close()
    finally:
        hook.remove()
    assert before < 20
    assert len(passes) == before
    with pytest.raises(RequestError, match="more than the model's window"):
        list(causal.pieces("generate", Generate("x" * 999), Draws(5, [0])))


def test_shown_texts_come_one_after_another(
    causal: CausalText, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = generate(causal, "a", "b", "hello", batch=3, max_tokens=20, stream=True)
    assert capsys.readouterr().out == "".join(f"{output.value}\n" for output in outputs)


@example("aab", ["ab"])
@given(st.text("ab\ufffdstop", max_size=12), st.lists(st.sampled_from(["stop", "ab", "s"])))
def test_what_is_told_early_is_never_taken_back(text: str, stop: list[str]) -> None:
    told = ""
    for length in range(len(text) + 1):
        now = certain(text[:length], stop)
        assert now.startswith(told)
        told = now
    assert cut(text, stop).startswith(told)


def test_rows_are_the_same_alone_and_together(causal: CausalText) -> None:
    prompts = ["a", "some more words", "x" * 60, "\u00fcber \U0001f600"]
    alone = [o.value for o in generate(causal, *prompts, batch=1, max_tokens=20)]
    assert [o.value for o in generate(causal, *prompts, batch=4, max_tokens=20)] == alone


def test_likelihoods_are_of_each_new_token(causal: CausalText) -> None:
    (output,) = generate(causal, "abc", max_tokens=9, chat=False)
    logs = output.extra["log_probabilities"]
    assert len(logs) == output.extra["tokens"]
    assert output.extra["log_likelihood"] == pytest.approx(float(logs.sum()), rel=1e-5)
    assert (logs < 0).all()


def test_a_continuation_keeps_its_first_space(causal: CausalText) -> None:
    words = causal.script.words
    assert causal.script.continuation(words("one"), words(" two")) == " two"


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("word " * 60, "300 tokens are more than the model's window of 128"),
        ("x" * 10_000_000, "10,000,000 characters are more than the model's window of 128 tokens"),
        ("", "prompt is empty"),
        (" \n", "prompt is empty"),
        ("a\ud800b", "prompt is not text: it holds a lone surrogate"),
    ],
)
def test_a_prompt_that_cannot_be_used_is_a_row_with_its_reason(
    causal: CausalText, prompt: str, reason: str
) -> None:
    bad, good = generate(causal, prompt, "fine", chat=False, max_tokens=4)
    assert bad.refused
    assert bad.value is None
    assert reason in str(bad.reason)
    assert good.reason is None


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"max_tokens": 0}, {"stop": [""]}, {"chat": "yes"}, {"top_p": 3},
     {"system": " "}, {"temprature": 1}],
)  # fmt: skip
def test_wrong_settings_are_refused_before_loading(wrong: dict[str, Any]) -> None:
    from foundation.errors import InputError

    with pytest.raises(InputError) as caught:
        settings(DOMAIN, "generate", {"prompts": ["x"], **wrong})
    assert len(str(caught.value).splitlines()) == 1


def test_one_stop_text_may_be_given_without_a_list() -> None:
    assert Generate("x", stop="ab").stop == ("ab",)

"""Rows that come and go: each is what it is alone, and what transformers itself writes."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.adapter import Output
from foundation.decoding.choice import Choice, choose
from foundation.decoding.rows import Decode
from foundation.decoding.slots import CausalSlots
from foundation.draws import Draws
from foundation.errors import RequestError

VOCABULARY = 61
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2}
COMMON = {"vocab_size": VOCABULARY, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
FAMILIES = {
    "llama": ("LlamaConfig", {**SIZES, **HEADS, "max_position_embeddings": 64}),
    "qwen2": ("Qwen2Config", {**SIZES, **HEADS, "max_position_embeddings": 64}),
    "starcoder2": ("Starcoder2Config", {**SIZES, **HEADS, "max_position_embeddings": 64}),
    "gpt2": ("GPT2Config", {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}),
}
PROMPTS = [[5, 6, 7], [1], [9, 8, 7, 6, 5, 4, 3, 9, 9, 30], [40, 41], list(range(3, 33))]
GREEDY, SAMPLED = Choice(temperature=0), Choice(temperature=1.3, top_k=40, top_p=0.95)


@pytest.fixture(scope="module", params=FAMILIES)
def model(request: pytest.FixtureRequest) -> Any:
    return tiny(request.param)


@pytest.fixture(scope="module")
def llama() -> Any:
    return tiny("llama")


def tiny(family: str) -> Any:
    name, sizes = FAMILIES[family]
    torch.manual_seed(0)
    config = getattr(transformers, name)(**COMMON, **sizes)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():  # so that the likeliest token is not always the same one
        for parameter in model.parameters():
            parameter.mul_(4)
    return model


def never(tokens: Sequence[int]) -> str | None:
    return None


def keep(tokens: Sequence[int], logs: Sequence[float], why: str) -> Output:
    return Output((list(tokens), why), extra={"logs": list(logs)})


def work(tokens: Sequence[int], limit: int = 12, **more: Any) -> Decode:
    given = {"choice": GREEDY, "ended": never, "finish": keep, **more}
    return Decode(tokens=tokens, limit=limit, **given)


def write(
    model: Any, works: Sequence[Decode], count: int, order: Sequence[int] | None = None
) -> dict[int, Output]:
    """All works through `count` slots, entering in an order as slots become free."""
    slots = CausalSlots(model, lambda request, draws: request, count, window=64, layers=2)
    waiting = list(range(len(works)) if order is None else order)
    running: dict[int, int] = {}
    made: dict[int, Output] = {}
    while waiting or running:
        for slot in range(count):
            if waiting and slot not in running:
                running[slot] = waiting.pop(0)
                slots.insert(slot, works[running[slot]], Draws(3, [running[slot]]))
        for slot, output in slots.step():
            made[running.pop(slot)] = output
    return made


def alike(some: dict[int, Output], others: dict[int, Output]) -> None:
    assert some.keys() == others.keys()
    for number, output in some.items():
        assert output.value == others[number].value, number
        assert output.extra["logs"] == pytest.approx(others[number].extra["logs"], abs=1e-4)


def test_greedy_rows_are_those_of_transformers(model: Any) -> None:
    made = write(model, [work(prompt) for prompt in PROMPTS], 3)
    for number, prompt in enumerate(PROMPTS):
        ids = torch.tensor([prompt])
        wanted = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert made[number].value == (wanted, "limit")


def test_rows_that_begin_alike_pass_their_beginning_once(model: Any) -> None:
    works = [work([5, 6, 7, 9], choice=SAMPLED) for _ in range(5)] + [work([5, 6], choice=SAMPLED)]
    passed: list[int] = []
    together: dict[int, Output] = {}
    hook = model.register_forward_pre_hook(
        lambda _, __, given: passed.append(given["input_ids"].shape[1]), with_kwargs=True
    )
    try:
        together = write(model, works, 6)
    finally:
        hook.remove()
    assert sum(length for length in passed if length > 1) == 4 + 2
    assert len({str(output.value) for output in together.values()}) > 3
    for number, one in enumerate(works):
        slots = CausalSlots(model, lambda request, draws: request, 1, window=64, layers=2)
        slots.insert(0, one, Draws(3, [number]))
        alone: list[Any] = []
        while not alone:
            alone = list(slots.step())
        alike({0: together[number]}, {0: alone[0][1]})


def test_the_first_token_is_one_of_those_asked_for(model: Any) -> None:
    (free,) = write(model, [work([5, 6, 7])], 1).values()
    (first,) = write(model, [work([5, 6, 7], first=(11, 12))], 1).values()
    assert free.value[0][0] not in (11, 12)
    assert first.value[0][0] in (11, 12)
    assert len(first.value[0]) == 12


def test_log_probabilities_are_those_of_a_whole_pass(model: Any) -> None:
    (output,) = write(model, [work([5, 6, 7], choice=SAMPLED)], 1).values()
    tokens, _ = output.value
    with torch.inference_mode():
        logs = model(torch.tensor([[5, 6, 7, *tokens]])).logits[0].log_softmax(-1)
    wanted = [float(logs[2 + place, token]) for place, token in enumerate(tokens)]
    assert output.extra["logs"] == pytest.approx(wanted, abs=1e-4)


def test_a_row_does_not_depend_on_its_neighbours_or_their_order(model: Any) -> None:
    works = [work(p, limit=4 + 3 * n, choice=SAMPLED) for n, p in enumerate(PROMPTS)]
    alone = write(model, works, 1)
    alike(write(model, works, 5), alone)
    alike(write(model, works, 2, order=[4, 2, 0, 3, 1]), alone)
    assert len({tuple(output.value[0]) for output in alone.values()}) == len(PROMPTS)


def test_short_rows_leave_and_others_take_their_place(llama: Any) -> None:
    slots = CausalSlots(llama, lambda request, draws: request, 2, window=64, layers=2)
    slots.insert(0, work([5], limit=2), Draws(0, [0]))
    slots.insert(1, work([6], limit=6), Draws(0, [1]))
    assert [slot for slot, _ in slots.step()] == [0]
    slots.insert(0, work([7], limit=2), Draws(0, [2]))
    assert [slot for slot, _ in slots.step()] == [0]


def test_rows_outlast_the_growth_and_the_moves_of_the_cache(llama: Any) -> None:
    works = [work([5, 6, 7], limit=50, choice=SAMPLED) for _ in range(3)]
    works += [work([9], limit=3), work(list(range(3, 60)), limit=4), work([8, 7], limit=40)]
    apart = {n: write(llama, [*works[:n], one], 1)[n] for n, one in enumerate(works)}
    alike(write(llama, works, 6), apart)
    alike(write(llama, works, 3, order=[3, 0, 1, 4, 2, 5]), apart)


@pytest.mark.parametrize("family", ["llama", "mistral"])
def test_a_row_longer_than_the_sliding_window_is_that_of_transformers(family: str) -> None:
    sizes = {**SIZES, **HEADS, "max_position_embeddings": 64, "sliding_window": 8}
    FAMILIES.setdefault("mistral", ("MistralConfig", sizes))
    model = tiny(family)
    prompts = [list(range(3, 33)), [5, 6]]
    made = write(model, [work(prompt) for prompt in prompts], 2)
    for number, prompt in enumerate(prompts):
        ids = torch.tensor([prompt])
        wanted = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False,
            eos_token_id=None, pad_token_id=0,
        )[0, len(prompt) :].tolist()  # fmt: skip
        assert made[number].value[0] == wanted


def test_packed_layers_give_every_row_what_it_is_alone() -> None:
    from foundation.packed import PackedLinear, pack

    model = tiny("llama")
    states = torch.randn(40, 32)
    plain = model.lm_head(states)
    pack(model)
    assert isinstance(model.lm_head, PackedLinear)
    assert isinstance(model.model.layers[0].mlp.up_proj, PackedLinear)
    with torch.inference_mode():
        whole = model.lm_head(states)
        torch.testing.assert_close(whole, plain.detach())
        for rows in (1, 2, 7, 33):
            torch.testing.assert_close(
                model.lm_head(states[:rows]), whole[:rows], rtol=0, atol=1e-6
            )
        assert model.lm_head(states[:1][None]).shape == (1, 1, VOCABULARY)


def test_a_removed_row_leaves_no_trace(llama: Any) -> None:
    (alone,) = write(llama, [work([5, 6])], 2).values()
    slots = CausalSlots(llama, lambda request, draws: request, 2, window=64, layers=2)
    slots.insert(0, work(list(range(3, 40))), Draws(3, [9]))
    slots.insert(1, work([5, 6]), Draws(3, [0]))
    slots.step()
    slots.remove(0)
    ended: list[Any] = []
    while not ended:
        ended = list(slots.step())
    assert ended[0][0] == 1
    assert ended[0][1].value == alone.value


@pytest.mark.parametrize(("length", "new"), [(60, 4), (63, 1), (10, 54)])
def test_rows_end_at_the_window(llama: Any, length: int, new: int) -> None:
    (output,) = write(llama, [work([5] * length, limit=100)], 1).values()
    tokens, why = output.value
    assert (len(tokens), why) == (new, "window")


@pytest.mark.parametrize("length", [64, 500])
def test_a_prompt_over_the_window_is_a_row_with_a_reason(llama: Any, length: int) -> None:
    made = write(llama, [work([5] * length), work([5])], 1)
    assert made[0].refused
    assert str(made[0].reason).startswith(f"{length} tokens")
    assert made[1].reason is None


def test_a_plan_that_refuses_ends_at_once(llama: Any) -> None:
    refused = Output(None, reason="no", refused=True)
    slots = CausalSlots(llama, lambda request, draws: refused, 1, window=64, layers=2)
    slots.insert(0, None, Draws(0, [0]))
    assert list(slots.step()) == [(0, refused)]


def test_a_row_ends_when_its_function_says_so_and_never_holds_a_banned_token(llama: Any) -> None:
    (free,) = write(llama, [work([5, 6, 7])], 1).values()
    first = free.value[0][0]
    (output,) = write(llama, [work([5, 6, 7], limit=30, banned=[first])], 1).values()
    assert first not in output.value[0]
    third = work([5, 6, 7], ended=lambda new: "third" if len(new) == 3 else None)
    (output,) = write(llama, [third], 1).values()
    assert output.value == (free.value[0][:3], "third")


def test_the_next_token_is_drawn_as_often_as_it_is_likely() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(4000, 4)
    uniform = (torch.arange(4000) + 0.5) / 4000
    drawn = choose(logits, uniform, [Choice()] * 4000)
    assert torch.bincount(drawn).tolist() == pytest.approx([400, 800, 1200, 1600], abs=2)


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (Choice(top_k=2), {2, 3}),
        (Choice(top_p=0.4), {3}),
        (Choice(top_p=0.41), {2, 3}),
        (Choice(min_p=0.6), {2, 3}),
        (Choice(temperature=0), {3}),
    ],
)
def test_unlikely_tokens_are_left_out(choice: Choice, left: set[int]) -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log().expand(200, 4)
    drawn = choose(logits, torch.arange(200) / 200, [choice] * 200)
    assert set(drawn.tolist()) == left


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 9), st.floats(0, 1, exclude_max=True), st.floats(0.05, 1))
def test_a_banned_token_is_not_drawn_whatever_the_number(
    banned: int, number: float, top_p: float
) -> None:
    logits = torch.linspace(-2, 2, 10)[None].clone()
    logits[0, banned] = -torch.inf
    uniform = torch.tensor([number], dtype=torch.float32).clamp(max=1 - 2**-24)
    assert choose(logits, uniform, [Choice(top_p=top_p)]).item() != banned


def test_the_largest_random_number_draws_a_token_that_has_weight() -> None:
    logits = torch.full((1, 9), -torch.inf)
    logits[0, :3] = torch.tensor([0.1, 0.7, 0.4])
    assert choose(logits, torch.tensor([1 - 2**-24]), [Choice()]).item() == 2


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**31), st.floats(0.05, 1.0), st.floats(0, 1, exclude_max=True, width=32))
def test_no_token_outside_the_nucleus_is_drawn(seed: int, top_p: float, number: float) -> None:
    logits = torch.randn(1, 50, generator=torch.Generator().manual_seed(seed)) * 4
    weights = torch.softmax(logits, -1)[0]
    ranks = weights.argsort(descending=True)
    inside = ranks[: int((weights[ranks].cumsum(0) < top_p).sum()) + 1].tolist()
    uniform = torch.tensor([number], dtype=torch.float32).clamp(max=1 - 2**-24)
    assert choose(logits, uniform, [Choice(top_p=top_p)]).item() in inside


@pytest.mark.parametrize(
    "wrong",
    [{"temperature": -1}, {"temperature": "x"}, {"top_p": 0}, {"top_p": 2}, {"top_k": -1},
     {"top_k": 1.5}, {"min_p": 1.1}, {"temperature": float("nan")}],
)  # fmt: skip
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        Choice(**wrong)

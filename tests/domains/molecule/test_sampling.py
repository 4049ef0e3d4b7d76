"""Rows of a batch: each as if it were alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from foundation.adapter import Output
from foundation.domains.molecule.inputs import Generate
from foundation.domains.molecule.plans import Prompt
from foundation.domains.molecule.tokenizer import END, RANDOM

Run = Callable[..., dict[int, Output]]
REQUESTS = [
    Generate(),
    Generate(temperature=0.5),
    Generate(top_p=0.7),
    Generate(scaffold="c1ccccc1"),
    Generate(targets={"weight": [10, 60]}, attempts=3),
]


def what(outputs: dict[int, Output]) -> dict[int, tuple[Any, ...]]:
    return {
        number: (o.value, o.reason, o.extra["attempts"], o.extra["log_likelihood"], o.usage)
        for number, o in outputs.items()
    }


def test_a_row_is_the_same_alone_in_a_batch_and_in_another_order(
    starter: Any, generated: Run
) -> None:
    requests = {number: REQUESTS[number % 5] for number in range(15)}
    together = what(generated(starter, requests))
    backwards = what(generated(starter, dict(reversed(requests.items()))))
    assert backwards.keys() == together.keys()
    for number, request in requests.items():
        alone = what(generated(starter, {number: request}))[number]
        for found in (together[number], backwards[number]):
            assert found[:3] == alone[:3]
            assert found[3] == pytest.approx(alone[3], abs=1e-4)
            assert found[4] == alone[4]


def test_another_seed_or_id_gives_another_molecule(starter: Any, generated: Run) -> None:
    first = generated(starter, {n: Generate() for n in range(8)})
    second = generated(starter, {n: Generate() for n in range(8)}, seed=1)
    assert len({o.value for o in first.values()}) > 1
    assert [first[n].value for n in range(8)] != [second[n].value for n in range(8)]


def test_the_likelihood_is_that_of_the_tokens_written(
    starter: Any, generated: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any temperature; the tokens of a prompt are not counted."""
    written: dict[str, list[int]] = {}
    read = type(starter.script).read

    def reading(script: Any, tokens: list[int]) -> tuple[str, str | None]:
        written[read(script, tokens)[0]] = list(tokens)
        return read(script, tokens)

    monkeypatch.setattr(type(starter.script), "read", reading)
    prompt = len(starter.script.begin(Prompt("c1ccccc1", randomised=True)))
    monkeypatch.setattr(
        "foundation.domains.molecule.sampling.plan", lambda request, draws: Benzene()
    )
    checked = 0
    for output in generated(starter, {n: Generate(temperature=0.6) for n in range(6)}).values():
        if output.reason is None:
            tokens = torch.tensor([[RANDOM, *written[output.value], END]])
            with torch.inference_mode():
                logits = starter.network.logits(starter.network(tokens[:, :-1]))
            logs = torch.log_softmax(logits, -1).gather(-1, tokens[:, 1:, None])[0, prompt - 1 :]
            expected = pytest.approx(float(logs.sum()), abs=1e-3)
            assert output.extra["log_likelihood"] == expected
            checked += 1
    assert checked


class Benzene:
    """A plan: go on from benzene."""

    def follow(self, smiles: str | None) -> Prompt | Output:
        return Prompt("c1ccccc1", randomised=True) if smiles is None else Output(smiles)


def test_what_never_ends_is_a_row_with_its_reason(starter: Any, generated: Run) -> None:
    outputs = generated(starter, {n: Generate(temperature=10.0) for n in range(60)})
    longest = starter.script.longest
    for output in outputs.values():
        over = output.usage["tokens"] >= longest - 1 and output.reason is not None
        assert output.reason is None or over
        assert output.usage["tokens"] < longest


def test_targets_draw_again_and_count(starter: Any, generated: Run) -> None:
    requests = {n: Generate(targets={"weight": [5000, None]}, attempts=4) for n in range(3)}
    for output in generated(starter, requests).values():
        assert output.extra["attempts"] == 4
        assert "4 attempts" in str(output.reason)
        assert "weight" in str(output.reason) or "not a molecule" in str(output.reason)


def test_the_likelihood_of_a_target_is_of_its_last_attempt(starter: Any, generated: Run) -> None:
    none = {"weight": [5000, None]}
    once = generated(starter, {0: Generate(targets=none, attempts=1)})[0]
    often = generated(starter, {0: Generate(targets=none, attempts=20)})[0]
    assert often.usage["tokens"] > 5 * once.usage["tokens"]
    most = starter.script.longest * np.log(starter.network.shape.vocabulary) * 3
    assert -often.extra["log_likelihood"] < most


def test_a_row_given_up_leaves_its_slot_free(starter: Any) -> None:
    from foundation.draws import Draws

    slots = starter.slots("generate", (), 2)
    slots.insert(0, Generate(), Draws(0, [0]))
    slots.step()
    slots.remove(0)
    assert slots.step() == []
    slots.insert(0, Generate(), Draws(0, [1]))
    ended: list[Any] = []
    while not ended:
        ended = list(slots.step())
    assert ended[0][0] == 0

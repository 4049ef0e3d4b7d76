"""A training as data."""

import math
from pathlib import Path

import pytest

from foundation.errors import RequestError
from foundation.tuning.recipe import Recipe


def test_the_rate_rises_stays_and_falls() -> None:
    recipe = Recipe(steps=1000, rate=0.5, warmup=100, decay=0.2)
    rates = [recipe.rate_at(step) for step in range(1000)]
    assert rates[0] == pytest.approx(0.005)
    assert rates[99:800] == [0.5] * 701
    assert rates[900] == pytest.approx(0.25)
    assert 0 < rates[-1] < 0.005
    assert rates[:100] == sorted(rates[:100])


def test_a_training_may_be_lengthened_before_it_decays() -> None:
    short, long = Recipe(steps=1000, decay=0.2), Recipe(steps=3000, decay=0.2)
    assert [short.rate_at(s) for s in range(800)] == [long.rate_at(s) for s in range(800)]
    assert short.changed(long) == ["steps"]


@pytest.mark.parametrize("warmup", [0, 1])
def test_without_a_rise_the_first_step_has_the_whole_rate(warmup) -> None:
    assert Recipe(warmup=warmup, rate=0.1).rate_at(0) == 0.1


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0}, {"steps": 1.5}, {"steps": True}, {"batch": "x"}, {"warmup": -1}, {"keep": 0},
        {"rate": 0}, {"rate": "fast"}, {"rate": math.nan}, {"rate": math.inf}, {"clip": 0},
        {"decay": 1.1}, {"decay": "x"}, {"augment": -0.1}, {"weight_decay": None},
        {"precision": "float16"}, {"optimizer": "sgd"},
        {"parallel": "pipeline"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_by_name(wrong) -> None:
    with pytest.raises(RequestError, match=rf"recipe\.{next(iter(wrong))} must"):
        Recipe(**wrong)


@pytest.mark.parametrize("other", [{"optimizer": "muon"}, {"average": 0.9}])
def test_shares_of_the_weights_are_moved_by_adamw_without_an_average(other) -> None:
    with pytest.raises(RequestError, match=r"recipe\.parallel=fsdp needs"):
        Recipe(parallel="fsdp", **other)


@pytest.mark.parametrize(
    "card", sorted(Path(__file__).parents[3].glob("domains/*/starter/CARD.md")), ids=str
)
def test_a_starters_card_names_the_command_that_made_it(card: Path) -> None:
    domain = card.parents[1].name
    assert f"foundation task=tune recipe={domain}/starter" in card.read_text(encoding="utf-8")

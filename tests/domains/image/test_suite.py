"""The suite's prompts are held out, its figures are shares with intervals, its baselines lose."""

import csv

import numpy as np
import pytest

from foundation.domains.image import suite
from foundation.domains.image.scenes import SKILLS

SUITE = {
    "name": "compositional", "split": "held_out", "prompts": 12, "pictures": 2, "draw": 0,
    "captions": 600, "settings": {"steps": 1}, "limit": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def asked():
    return suite.prompts("held_out", 20, 0)


def test_prompts_are_of_all_skills_and_none_comes_twice_without_need(asked):
    assert [each.skill for each in asked[:6]] == list(SKILLS)
    assert len(asked) == 120
    for skill in ("count", "colour", "position", "binding"):
        own = [each.prompt for each in asked if each.skill == skill]
        assert len(set(own)) == len(own)


def test_true_pictures_score_one_and_no_training_picture_shows_what_is_held_out(asked):
    true = suite.figures(asked, suite.judged(asked, asked))
    near = suite.figures(asked, suite.judged(asked, suite.nearest(asked, 600, 0)))
    assert true["score"]["mean"] >= 0.995
    assert near["score"]["mean"] == 0


def test_the_nearest_caption_is_better_than_chance_where_combinations_were_seen():
    seen = suite.prompts("train", 10, 0)
    near = suite.figures(seen, suite.judged(seen, suite.nearest(seen, 1500, 0)))
    chance = suite.figures(seen, suite.judged(seen, seen[7:] + seen[:7]))
    assert chance["score"]["mean"] + 0.2 < near["score"]["mean"]


def test_figures_are_means_over_skills_with_intervals_over_prompts(asked):
    marks = np.zeros((len(asked), 4))
    marks[0::6] = 1  # single, all
    marks[1:60:6] = 1  # two, half of the prompts
    told = suite.figures(asked, marks)
    assert told["single"] == {"mean": 1.0, "interval": [1.0, 1.0]}
    assert told["two"]["mean"] == 0.5
    low, high = told["two"]["interval"]
    assert 0.2 < low < 0.4 < 0.6 < high < 0.8
    assert told["score"]["mean"] == pytest.approx(0.25)


def test_it_runs_a_model_and_writes_each_verdict(tiny, tmp_path):
    seen = []
    told = suite.run(tiny("prx"), {**SUITE, "limit": 6}, tmp_path, 0, seen.append)
    assert told["pictures"] == seen[-1] == 12
    assert 0 <= told["score"]["mean"] < 0.5  # it is untrained
    assert {*told["nearest_caption"]} == {*told["chance"]} == {"score", *SKILLS}
    rows = list(csv.DictReader((tmp_path / "verdicts.csv").read_text().splitlines()))
    assert len(rows) == 12
    assert {row["skill"] for row in rows} == set(SKILLS)
    assert all(row["reason"] for row in rows if row["right"] == "false")

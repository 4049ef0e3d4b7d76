"""Measures on cases whose answer is known."""

import numpy as np
import pytest
import torch

from foundation.domains.geospatial.baselines import convolutions, statistics
from foundation.domains.geospatial.measuring import (
    better_than,
    compared,
    distances,
    interval,
    ranks,
)
from foundation.domains.geospatial.parts import Part
from foundation.domains.geospatial.probing import linear, neighbours


def test_a_window_is_found_where_it_is_and_ties_count_against_it() -> None:
    gallery = np.eye(4)
    assert ranks(gallery, gallery).tolist() == [1, 1, 1, 1]
    assert ranks(gallery, np.roll(gallery, 1, axis=0)).min() > 1
    assert ranks(np.zeros((4, 3)), np.zeros((4, 3))).tolist() == [4, 4, 4, 4]


def test_the_area_under_the_curve_is_that_of_all_pairs() -> None:
    scores = np.array([0.1, 0.4, 0.35, 0.8])
    changed = np.array([False, False, True, True])
    assert better_than(scores, changed).mean() == pytest.approx(0.75)
    assert distances(np.eye(3), np.eye(3)) == pytest.approx(0)


def test_intervals_hold_the_mean_and_gains_are_paired() -> None:
    random = np.random.default_rng(0)
    model, other = random.random(200) < 0.8, random.random(200) < 0.6
    found = compared("land_cover", {"model": model, "plain": other}, 0)
    assert found["land_cover"]["low"] < model.mean() < found["land_cover"]["high"]
    assert found["land_cover.gain_on_plain"]["mean"] == pytest.approx(model.mean() - other.mean())
    assert interval(np.ones(5), 0) == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_classifiers_tell_clouds_of_points_apart() -> None:
    torch.manual_seed(0)
    labels = torch.arange(3).repeat(40)
    points = 4 * torch.eye(3)[labels] + 0.5 * torch.randn(120, 3)
    for told in (
        neighbours(points[:90], labels[:90], points[90:]),
        linear(points[:90], labels[:90], points[90:]),
    ):
        assert (told == labels[90:]).float().mean() > 0.95


def test_baselines_are_of_what_is_there() -> None:
    pixels = np.zeros((2, 64, 64), np.float32)
    pixels[1, :8, :8] = 3
    whole, each = statistics([Part(pixels, (600.0, 700.0), 10.0)])
    assert whole.shape == (1, 8)
    assert each[0, 0, 0, 1] == 3
    assert each[0, 0, 1, 1] == 0
    whole, each = convolutions([Part(pixels, (600.0, 700.0), 10.0)])
    assert whole.shape == (1, 512)
    assert each.shape == (1, 8, 8, 512)

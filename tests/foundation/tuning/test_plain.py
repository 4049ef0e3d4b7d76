"""Plain regressions on features."""

import numpy as np

from foundation.tuning.plain import bent, told


def test_a_regression_on_bent_features_tells_a_ring_from_its_middle_which_no_line_does() -> None:
    random = np.random.default_rng(0)
    places = random.normal(size=(400, 2)).astype(np.float32)
    inside = np.linalg.norm(places, axis=1) < 1.18  # half of them
    rows = [{"label": "in" if each else "out"} for each in inside]
    right = {}
    for way, (given, asked) in {
        "plain": (places[:200], places[200:]),
        "bent": bent(places[:200], places[200:]),
    }.items():
        chances = told(given, asked, rows[:200], ("in", "out"))
        right[way] = float(((chances[:, 0] > 0.5) == inside[200:]).mean())
    assert right["bent"] > 0.9
    assert right["plain"] < 0.7


def test_values_beyond_any_that_were_seen_stay_finite() -> None:
    given, asked = bent(np.array([[0.0, 1.0], [1.0, 1.0]]), np.array([[1e30, 7.0]]))
    assert given.shape == (2, 2 + 1024)
    assert np.isfinite(asked).all()

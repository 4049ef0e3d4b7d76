"""Windows whose vectors differ as wholes leave no edge where they meet."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.domains.geospatial.grid import spans, weights
from foundation.domains.geospatial.strips import OpenStrip, Strip, blended

WINDOW = 8


def _row(columns: int, halo: int, value: float, down: int = WINDOW) -> OpenStrip:
    """A row of windows, each of which says its own number plus `value` of all of its patches."""
    across = list(spans(columns, WINDOW, halo))
    strip = OpenStrip(
        np.zeros((down, columns, 1), np.float32),
        np.zeros((down, columns), np.float32),
        np.zeros((len(across), 4), np.int32),
        np.full((len(across), 1), np.nan, np.float32),
        np.ones(len(across), np.float32),
    )
    for number, span in enumerate(across):
        share = np.broadcast_to(weights(span.start, WINDOW, columns), (WINDOW, WINDOW))
        strip.add(span.start, np.full((WINDOW, WINDOW, 1), number + value, np.float32), share)
    return strip


@given(st.integers(9, 60), st.integers(1, 3))
def test_between_two_windows_vectors_go_over_in_steps(count: int, halo: int) -> None:
    line = _row(count, halo, 0.0).closed().vectors[0, :, 0].astype(float)
    assert (line[0], line[-1]) == (0, len(list(spans(count, WINDOW, halo))) - 1)
    assert np.diff(line).min() >= -1e-3
    # Cut at the middle of the overlap, the whole step of 1 would fall between two patches.
    assert np.diff(line).max() <= 0.75  # 1 / 3 to 1 / 2, more where the last window is near


def test_rows_of_windows_go_over_into_each_other_and_gaps_are_the_others() -> None:
    down = list(spans(14, WINDOW, 1))
    rows = [_row(8, 1, float(10 * number)).closed() for number in range(len(down))]
    rows[1].vectors[0] = np.nan  # patch row 6 of the scene, which the first row sees too
    found = np.concatenate([s.vectors for s in blended(down, WINDOW, 14, rows.__getitem__)])
    assert found.shape == (14, 8, 1)
    np.testing.assert_allclose(found[:6, 0, 0], 0)
    np.testing.assert_allclose(found[6, 0, 0], 0)
    np.testing.assert_allclose(found[7, 0, 0], 10 * 2 / 3, rtol=1e-2)
    np.testing.assert_allclose(found[8:, 0, 0], 10)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_what_is_saved_is_read_again(tmp_path: Path, share: float) -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(8, 30, 5)).astype(np.float16)
    vectors[random.random((8, 30)) >= share] = np.nan
    pooled = random.normal(size=(4, 5)).astype(np.float32)
    pooled[1] = np.nan
    strip = Strip(vectors, np.ones((4, 4), np.int32), pooled, np.ones(4, np.float32))
    strip.save(tmp_path / "strip.npz")
    again = Strip.read(tmp_path / "strip.npz")
    for name in ("vectors", "windows", "pooled", "valid"):
        np.testing.assert_array_equal(getattr(again, name), getattr(strip, name))

"""Random numbers that depend on seed, request and step and on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.draws import Draws, philox

ONES = 0xFFFFFFFF
# Known answers published with Random123 (Salmon et al. 2011), kat_vectors, philox4x32 10.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((ONES,) * 4, (ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]
SEEDS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_philox_gives_the_known_answers(counter, key, answer) -> None:
    made = philox(np.array(counter, np.uint32), np.array(key, np.uint32))
    assert made.tolist() == list(answer)


@given(SEEDS, st.lists(st.integers(0, 2**63), min_size=1, max_size=6, unique=True), st.data())
def test_a_row_has_the_same_numbers_whoever_else_is_in_the_batch(seed, ids, data) -> None:
    order = data.draw(st.permutations(range(len(ids))))
    draws = Draws(seed, ids)
    for kind in ("uniform", "normal"):
        together = getattr(draws, kind)(5, (3, 2))
        shuffled = getattr(draws.select(order), kind)(5, (3, 2))
        assert np.array_equal(together[list(order)], shuffled)
        alone = getattr(Draws(seed, ids[:1]), kind)(5, (3, 2))
        assert np.array_equal(together[0], alone[0])


@given(SEEDS, st.lists(st.integers(0, 1000), min_size=2, max_size=5))
def test_rows_may_be_at_different_steps(seed, steps) -> None:
    ids = list(range(len(steps)))
    together = Draws(seed, ids).uniform(steps)
    apart = [Draws(seed, [i]).uniform(step)[0] for i, step in zip(ids, steps, strict=True)]
    assert together.tolist() == apart


def test_seed_request_and_step_each_matter() -> None:
    keys = [(s, i, t) for s in (0, 1, 2**32, 2**63) for i in (0, 1, 2**32) for t in (0, 1, 2**20)]
    drawn = {tuple(Draws(s, [i]).uniform(t, (4,))[0].tolist()) for s, i, t in keys}
    assert len(drawn) == len(keys)


def test_the_distributions_are_those_they_say() -> None:
    uniform = Draws(3, range(200)).uniform(0, (500,))
    assert uniform.min() >= 0
    assert uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.005
    assert np.abs(np.histogram(uniform, 20, (0, 1))[0] / 5000 - 1).max() < 0.06
    normal = Draws(3, range(200)).normal(0, (501,))
    assert normal.shape == (200, 501)
    assert np.isfinite(normal).all()
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert abs((np.abs(normal) < 1).mean() - 0.6827) < 0.006

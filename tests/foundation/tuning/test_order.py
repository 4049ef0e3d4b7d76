"""Which rows make up which batch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from foundation.tuning.order import Order

SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=200)
SEEDS = st.integers(0, 2**64 - 1)


@given(SIZES, st.integers(1, 40), SEEDS, st.integers(0, 3))
def test_an_epoch_has_each_row_once_but_those_that_fill_no_batch(sizes, batch, seed, epoch) -> None:
    order = Order(sizes, batch, seed)
    batches = order.batches(epoch * order.per_epoch)
    rows = np.concatenate([next(batches) for _ in range(order.per_epoch)]).tolist()
    assert len(rows) == len(set(rows))
    assert set(rows) <= set(range(len(sizes)))
    assert len(sizes) - len(rows) < order.batch


@given(SIZES, st.integers(1, 20), SEEDS, st.integers(0, 60))
def test_resumed_at_any_step_the_batches_are_the_same(sizes, batch, seed, step) -> None:
    whole = Order(sizes, batch, seed).batches()
    for _ in range(step):
        next(whole)
    resumed = Order(sizes, batch, seed).batches(step)
    for _ in range(5):
        assert next(whole).tolist() == next(resumed).tolist()


def test_batches_are_of_like_length_and_in_random_order() -> None:
    sizes = np.random.default_rng(0).integers(1, 1000, 6400)
    batches = [
        sizes[rows] for rows, _ in zip(Order(sizes, 32, 1).batches(), range(200), strict=False)
    ]
    assert np.mean([batch.max() - batch.min() for batch in batches]) < 60
    means = [batch.mean() for batch in batches]
    assert abs(np.corrcoef(means[:-1], means[1:])[0, 1]) < 0.3


def test_seed_and_epoch_each_change_the_order() -> None:
    first = next(Order(range(1, 100), 10, 1).batches()).tolist()
    assert next(Order(range(1, 100), 10, 2).batches()).tolist() != first
    assert next(Order(range(1, 100), 10, 1).batches(9)).tolist() != first

"""An oracle pays for each output once, within its budget, and what was paid for is on the disk."""

from pathlib import Path

import pytest

from foundation.adapter import Scored
from foundation.runs import Run
from foundation.tuning.oracle import Oracle, columns, top_area, top_mean


class Length:
    """A text is worth its length in tenths."""

    names = ("length",)

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, outputs) -> list[Scored]:
        self.asked += outputs
        return [Scored(len(text) / 10, (len(text) / 10,)) for text in outputs]


def oracle(folder: Path, budget: int = 4) -> tuple[Oracle, Length]:
    score = Length()
    run = Run(folder, columns(score), {"budget": budget})
    return Oracle(score, run, budget, {"model": "a/b", "revision": None, "seed": 0}), score


def test_an_output_is_paid_for_once_and_not_beyond_the_budget(tmp_path: Path) -> None:
    found, score = oracle(tmp_path)
    assert found(["a", "bb", "a"], 0) == [0.1, 0.2, 0.1]
    assert not found.spent
    assert found(["bb", "ccc", "dddd", "eeeee"], 1) == [0.2, 0.3, 0.4, None]
    assert found.spent
    assert score.asked == ["a", "bb", "ccc", "dddd"]
    assert [call.output for call in found.before(1)] == ["a", "bb"]
    assert found.best(2) == [3, 2]


def test_what_was_paid_for_is_known_to_the_next_process(tmp_path: Path) -> None:
    first, _ = oracle(tmp_path)
    first(["a", "bb"], 0)
    first.run.close()
    again, score = oracle(tmp_path)
    assert again(["bb", "ccc"], 5) == [0.2, 0.3]
    assert score.asked == ["ccc"]
    assert [call.step for call in again.calls] == [0, 0, 5]


def test_the_area_is_that_of_trapezoids_and_keeps_the_last_mean() -> None:
    scores = [0.5] * 250
    # 100 calls rise to 0.5, the rest stay there.
    assert top_area(scores, 250) == pytest.approx((100 * 0.25 + 150 * 0.5) / 250)
    assert top_area(scores, 1000) == pytest.approx((100 * 0.25 + 900 * 0.5) / 1000)
    rising = [n / 1000 for n in range(1000)]
    by_hand, last = 0.0, 0.0
    for mark in range(100, 1100, 100):
        now = sum(n / 1000 for n in range(mark - 10, mark)) / 10
        by_hand, last = by_hand + 100 * (now + last) / 2, now
    assert top_area(rising, 1000) == pytest.approx(by_hand / 1000)
    assert top_mean([0.1, 0.9], 10) == pytest.approx(0.5)
    assert top_mean([]) == 0.0

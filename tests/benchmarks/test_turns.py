import math
import random
import sys

import pytest

from benchmarks.interval import FEW, middle, ratio_of_turns
from benchmarks.pairs import Side, compare_turns, run_turns
from benchmarks.process import CommandFailed

SIDE = """
import sys
from benchmarks.turns import answering
pieces = iter(range(100))
answering(lambda: {"took": float(sys.argv[1]) * (1 + next(pieces))})
"""


def _side(name, took):
    return Side(name, (sys.executable, "-c", SIDE, str(took)))


def test_sides_stay_for_the_turns_of_a_pair_and_begin_anew_in_the_next():
    samples = run_turns([_side("a", 2), _side("b", 1)], 2, 3)
    assert len(samples) == 2 * 2 * 3
    for pair in range(2):
        own = [s for s in samples if s.pair == pair and s.side == "a"]
        assert [s.value("took") for s in own] == [4, 6, 8]  # the first turn is not counted
        assert all(s.usage.memory > 2**20 and s.usage.wall > 0 for s in own)


def test_turns_of_a_pair_are_held_against_each_other():
    turns = [[1.0, 2.0, 40.0]] * FEW, [[0.5, 1.0, 1.0]] * FEW
    assert ratio_of_turns(*turns).ratio == pytest.approx(2)
    samples = run_turns([_side("a", 2), _side("b", 1)], 1, 2)
    with pytest.raises(ValueError, match="at least"):
        compare_turns(samples, "a", "b", "took")


def test_a_side_that_ends_is_told_with_its_code():
    with pytest.raises(CommandFailed, match="code 3"):
        run_turns([Side("a", (sys.executable, "-c", "raise SystemExit(3)"))], 1, 1)


def test_a_side_that_hangs_is_told():
    slow = Side("a", (sys.executable, "-c", "import time; time.sleep(60)"))
    with pytest.raises(CommandFailed, match="longer than"):
        run_turns([slow], 1, 1, timeout=0.2)


def test_values_far_out_hardly_move_the_middle():
    chance = random.Random(0)
    calm = [chance.gauss(0.05, 0.01) for _ in range(30)]
    wild = [*calm, 3.0, -5.0]
    assert middle(wild).mean == pytest.approx(middle(calm).mean, abs=0.003)
    assert middle(wild).low > 0.04


def test_the_middle_leaves_out_the_truth_about_as_rarely_as_promised():
    chance, wrong = random.Random(1), 0
    for _ in range(300):
        spread = [chance.gauss(0, 1) * math.exp(chance.gauss(0, 1)) for _ in range(24)]
        found = middle(spread)
        wrong += not found.low <= 0 <= found.high
    assert wrong <= 27  # 5 % of 300, and three standard deviations

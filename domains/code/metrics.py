"""What is measured about completions that were judged by running them."""

import math


def pass_at(k: int, written: int, passed: int) -> float:
    """The chance that of k among `written` samples, `passed` of them right, one at least is right.

    Unbiased: 1 - C(n - c, k) / C(n, k), of Chen et al. (2021). k is at most `written`.
    """
    return 1.0 - math.comb(written - passed, k) / math.comb(written, k)

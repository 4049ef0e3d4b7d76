"""How sure a measured share is."""

import math
from collections.abc import Sequence

NORMAL = 1.959964
"""Of the standard normal distribution, 95 % lie within this many deviations."""


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95 % interval of a share of `count` trials, each from 0 to 1 (Wilson 1927).

    For shares within a trial, which vary less than a coin of the same mean, it is a wide one.
    """
    if not count:
        return 0.0, 1.0
    square = NORMAL**2 / count
    middle = (share + square / 2) / (1 + square)
    half = NORMAL * math.sqrt(share * (1 - share) / count + square / (4 * count)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(values: Sequence[float]) -> dict[str, object]:
    """The mean of values from 0 to 1, their sum, their number and the mean's interval."""
    mean = math.fsum(values) / len(values) if values else 0.0
    interval = wilson(mean, len(values))
    return {"mean": mean, "interval": interval, "sum": math.fsum(values), "of": len(values)}

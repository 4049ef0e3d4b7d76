"""What repeated measurements of a pair allow to be said."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEVEL = 0.95
POWER = 0.8
RESAMPLES = 10_000
FEW = 20
"""From how many values on the normal approximation of a signed-rank test serves."""


@dataclass(frozen=True)
class Interval:
    """A mean with its bootstrap interval at LEVEL.

    smallest: the least distance of the true mean from a mark that so many measurements of such a
    spread would have told apart from it with the probability POWER.
    """

    count: int
    mean: float
    low: float
    high: float
    smallest: float


@dataclass(frozen=True)
class Ratio:
    """How many times as much `first` takes as `second`: the geometric mean over pairs, or
    their middle.

    smallest: the least ratio above 1 that would have been told apart from 1.
    """

    pairs: int
    ratio: float
    low: float
    high: float
    median: float
    smallest: float

    def says(self, mark: float = 1.0) -> str:
        """`above`, `below` or `cannot tell`: where the ratio lies as seen from a mark."""
        if self.low > mark:
            return "above"
        return "below" if self.high < mark else "cannot tell"

    def differs(self, margin: float) -> str:
        """`above`, `below`, `same` or `cannot tell`: all of the interval beyond 1 by more than the
        margin (a share), or all of it nearer.
        """
        if self.low > 1 + margin:
            return "above"
        if self.high < 1 / (1 + margin):
            return "below"
        near = self.low >= 1 / (1 + margin) and self.high <= 1 + margin
        return "same" if near else "cannot tell"

    @property
    def error(self) -> float:
        """The standard error of the logarithm, as `smallest` holds it."""
        return math.log(self.smallest) / _distance(self.pairs - 1)


def interval(values: Sequence[float], seed: int = 0) -> Interval:
    """The mean of at least two values.

    The percentiles are widened for few values, where the plain bootstrap is too sure: Hesterberg,
    "What Teachers Should Know About the Bootstrap" (2015), section 4.4, "expanded percentiles".
    """
    import numpy as np
    from scipy.stats import norm, t

    count = len(values)
    if count < 2:
        raise ValueError("an interval needs at least two measurements")
    sample = np.asarray(values, dtype=float)
    chosen = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    means = sample[chosen].mean(axis=1)
    free = count - 1
    tail = norm.cdf(-math.sqrt(count / free) * t.ppf((1 + LEVEL) / 2, free))
    low, high = np.quantile(means, [tail, 1 - tail])
    error = sample.std(ddof=1) / math.sqrt(count)
    smallest = _distance(free) * error
    return Interval(count, float(sample.mean()), float(low), float(high), float(smallest))


def middle(values: Sequence[float]) -> Interval:
    """Hodges and Lehmann's estimate of what at least FEW values lie evenly around.

    The median of the means of all pairs of values, and the interval of the shifts that Wilcoxon's
    signed-rank test does not refuse (Hollander and Wolfe, "Nonparametric Statistical Methods",
    chapter 3, by the normal approximation): a few values far out hardly move either.
    """
    import numpy as np
    from scipy.stats import norm

    count = len(values)
    if count < FEW:
        raise ValueError(f"a middle needs at least {FEW} measurements")
    sample = np.asarray(values, dtype=float)
    one, two = np.triu_indices(count)
    means = np.sort((sample[one] + sample[two]) / 2)
    spread = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    left = int(count * (count + 1) / 4 - norm.ppf((1 + LEVEL) / 2) * spread)
    low, high = means[left], means[-1 - left]
    error = (high - low) / 2 / norm.ppf((1 + LEVEL) / 2)
    smallest = _distance(count - 1) * error
    return Interval(count, float(np.median(means)), float(low), float(high), float(smallest))


def _distance(free: int) -> float:
    """How many standard errors away a mean must lie to be told apart with POWER."""
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, free) + t.ppf(POWER, free))


def ratio(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Ratio:
    """Measurements of `first` and `second`, pair by pair and all above 0."""
    return _ratio(logs := _logs(first, second), interval(logs, seed))


def ratio_of_turns(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Ratio:
    """Of each pair the turns of both: the middle over the pairs of the median of their ratios."""
    from statistics import median

    logs = [median(_logs(one, two)) for one, two in zip(first, second, strict=True)]
    return _ratio(logs, middle(logs))


def _logs(first: Sequence[float], second: Sequence[float]) -> list[float]:
    return [math.log(a / b) for a, b in zip(first, second, strict=True)]


def _ratio(logs: Sequence[float], found: Interval) -> Ratio:
    from statistics import median

    numbers = (found.mean, found.low, found.high, median(logs), found.smallest)
    return Ratio(found.count, *map(math.exp, numbers))

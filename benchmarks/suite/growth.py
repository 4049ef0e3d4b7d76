"""How a case's time and memory grow with its work: the exponent over 1, 4 and 16 times of it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.interval import interval
from benchmarks.pairs import Side, run, values
from benchmarks.suite.cases import Case, Growth, SideSpec

Make = Callable[[str, SideSpec, Mapping[str, Any]], Side]


@dataclass(frozen=True)
class Exponent:
    """b in `measure ~ work ** b`, fitted within each round; its interval is over the rounds."""

    exponent: float
    low: float
    high: float
    rounds: int


def measured(
    case: Case, asked: Growth, known: Mapping[str, Any], make: Make, say: Callable[[str], None]
) -> dict[str, Any]:
    """Measure -> its exponent, the work and each round's values, the sizes in random order."""
    work = [int(case.sizes[asked.size]) * times for times in asked.times]
    spec = case.sides[asked.side]
    sides = [make(str(size), spec, {**known, asked.size: size}) for size in work]
    samples = run(sides, asked.rounds, timeout=case.timeout, say=say)
    found = {}
    for name in asked.measures:
        taken = [values(samples, str(size), name) for size in work]
        fitted = exponent(work, taken)
        found[name] = {**asdict(fitted), "size": asked.size, "work": work, "values": taken}
    return found


def exponent(work: Sequence[float], taken: Sequence[Sequence[float]]) -> Exponent:
    """taken: for each amount of work, a value a round; all above 0."""
    slopes = [slope(work, each) for each in zip(*taken, strict=True)]
    if len(slopes) < 2:
        return Exponent(slopes[0], slopes[0], slopes[0], 1)
    found = interval(slopes)
    return Exponent(found.mean, found.low, found.high, found.count)


def slope(work: Sequence[float], taken: Sequence[float]) -> float:
    """Of the straight line through the logarithms, by least squares."""
    from statistics import linear_regression

    return linear_regression(list(map(math.log, work)), list(map(math.log, taken))).slope


def beyond_start(work: Sequence[float], taken: Sequence[float]) -> float | None:
    """b in `start + measure ~ work ** b`, of three amounts of work in equal steps of `times`.

    What is there before any work drops out of the differences. None where they are not above 0.
    """
    least, middle, most = taken
    if not least < middle < most:
        return None
    return math.log((most - middle) / (middle - least)) / math.log(work[1] / work[0])


def says(name: str, found: Mapping[str, Any]) -> str:
    low, high = found["low"], found["high"]
    return f"{name} grows as {found['size']} ** {found['exponent']:.2f} ({low:.2f} to {high:.2f})"

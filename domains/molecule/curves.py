"""Desirability curves: a figure of a molecule -> how much it is wished for, 0 to 1."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from foundation.errors import RequestError, UnknownName

Curve = Callable[[float], float]


def curve(settings: Mapping[str, Any] | None, where: str) -> Curve:
    """The curve that settings describe; none: the figure itself, held to 0..1. RequestError.

    {kind: clipped, high, low: 0}: a straight rise from 0 at `low` to 1 at `high`.
    {kind: gaussian, at, width, side: both}: exp(-((x - at) / width)**2 / 2); with side=below only
        what is below `at` loses, with side=above only what is above (Brown et al. 2019, GuacaMol).
    {kind: sigmoid, low, high, steepness: 0.5, falling: false}: 1 / (1 + 10**(-10 k z)) with z the
        distance from the middle as a share of high - low (REINVENT, Blaschke et al. 2020).
    {kind: desirability, low, target, high, power: 1}: 0 at `low`, 1 at `target`, 0 at `high`, to
        the power in between; without `low` all below the target is 1, without `high` all above
        (Derringer and Suich 1980).
    """
    if settings is None:
        return lambda x: min(1.0, max(0.0, x))
    given = dict(settings)
    kind = given.pop("kind", None)
    if kind not in _KINDS:
        raise UnknownName("curve", str(kind), _KINDS, f"({where})")
    made, needed, known = _KINDS[kind]
    for name in given:
        if name not in (*needed, *known):
            raise UnknownName("setting", name, (*needed, *known), f"of {where}")
    lacking = [name for name in needed if given.get(name) is None]
    if lacking:
        raise RequestError(f"{where}: a {kind} curve needs {', '.join(lacking)}")
    for name, value in given.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name not in ("side", "falling") and value is not None and not number:
            raise RequestError(f"{where}.{name} must be a number, got '{value}'")
    try:
        return made(**given)
    except ValueError as error:
        raise RequestError(f"{where}: {error}") from None


def _clipped(high: float, low: float = 0.0) -> Curve:
    _rising(low, high)
    return lambda x: min(1.0, max(0.0, (x - low) / (high - low)))


def _gaussian(at: float, width: float, side: str = "both") -> Curve:
    if not width > 0:
        raise ValueError(f"width must be above 0, got {width}")
    if side not in ("both", "below", "above"):
        raise ValueError(f"side must be both, below or above, got '{side}'")

    def value(x: float) -> float:
        if (side == "below" and x > at) or (side == "above" and x < at):
            return 1.0
        return math.exp(-0.5 * ((x - at) / width) ** 2)

    return value


def _sigmoid(low: float, high: float, steepness: float = 0.5, falling: bool = False) -> Curve:
    _rising(low, high)
    sign = -1.0 if falling else 1.0

    def value(x: float) -> float:
        share = (x - (low + high) / 2) / (high - low)
        power = -10.0 * steepness * sign * share
        return float(1.0 / (1.0 + 10.0 ** min(300.0, power)))

    return value


def _desirability(
    target: float, low: float | None = None, high: float | None = None, power: float = 1.0
) -> Curve:
    if low is None and high is None:
        raise ValueError("a desirability curve needs low, high or both")
    if low is not None:
        _rising(low, target)
    if high is not None:
        _rising(target, high)

    def value(x: float) -> float:
        end = low if x < target else high
        if end is None:
            return 1.0
        return float(max(0.0, (x - end) / (target - end)) ** power)

    return value


def _rising(low: float, high: float) -> None:
    if not low < high:
        raise ValueError(f"{low} must be below {high}")


_KINDS: dict[str, tuple[Callable[..., Curve], tuple[str, ...], tuple[str, ...]]] = {
    "clipped": (_clipped, ("high",), ("low",)),
    "gaussian": (_gaussian, ("at", "width"), ("side",)),
    "sigmoid": (_sigmoid, ("low", "high"), ("steepness", "falling")),
    "desirability": (_desirability, ("target",), ("low", "high", "power")),
}

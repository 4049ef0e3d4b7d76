"""Probabilities that mean what they say, from scores of examples that the scorer had not seen.

Stacking: Wolpert (1992), Breiman, "Stacked regressions" (1996), with weights of at least 0; targets
of Platt, "Probabilistic outputs" (1999): n examples prove n + 1 in n + 2 and no more.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foundation.domains.language.regression import log_softmax

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def stack(scores: "NDArray[np.float64]", targets: "NDArray[np.int64]") -> "NDArray[np.float64]":
    """The weights [scorers] whose sum of scores [scorers, rows, labels] has the least log loss."""
    import numpy as np
    from scipy.optimize import minimize

    wanted = _platt(targets, scores.shape[2])

    def loss(weights: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        logs = log_softmax(np.tensordot(weights, scores, 1))
        slope = (np.exp(logs) - wanted) / len(targets)
        return -float((wanted * logs).sum()) / len(targets), (scores * slope).sum((1, 2))

    count = len(scores)
    start, bounds = np.full(count, 1 / count), [(0, None)] * count
    found: NDArray[np.float64] = minimize(loss, start, jac=True, bounds=bounds).x
    return found


def log_loss(scores: "NDArray[np.float64]", targets: "NDArray[np.int64]") -> float:
    """The mean log loss of scores [rows, labels] against Platt's targets."""
    return -float((_platt(targets, scores.shape[1]) * log_softmax(scores)).sum()) / len(targets)


def folds(targets: "NDArray[np.int64]", count: int) -> "NDArray[np.int64]":
    """Each example's fold, dealt out label by label; -1 for the only example of a label."""
    import numpy as np

    found = np.full(len(targets), -1)
    for label in np.unique(targets):
        places = np.flatnonzero(targets == label)
        if len(places) > 1:
            found[places] = np.arange(len(places)) % count
    return found


def _platt(targets: "NDArray[np.int64]", labels: int) -> "NDArray[np.float64]":
    import numpy as np

    rest = 1 / (len(targets) + 2)
    wanted = np.full((len(targets), labels), rest / (labels - 1))
    wanted[np.arange(len(targets)), targets] = 1 - rest
    return wanted


PULL = 3.0
"""Of a shift towards none: the log loss that a shift of 1 must save."""


@dataclass(frozen=True)
class Shift:
    """Probabilities whose log-odds are moved by a constant."""

    by: float = 0.0

    def __call__(self, chances: Sequence[float]) -> list[float]:
        """Probabilities -> probabilities."""
        return [_share(_odds(chance) + self.by) for chance in chances]


def shift(chances: Sequence[float], right: Sequence[bool]) -> Shift:
    """The shift of the least log loss, from probabilities and which of them came true.

    Platt fits a slope as well; from the hundred spans of few examples it does more harm than good.
    """
    import numpy as np
    from scipy.optimize import minimize_scalar

    hits = sum(right)
    if not right:
        return Shift()
    yes, no = (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2)
    wanted = np.array([yes if each else no for each in right])
    odds = np.array([_odds(chance) for chance in chances])

    def loss(by: float) -> float:
        scores = odds + by
        return float((np.logaddexp(0, scores) - wanted * scores).sum()) + PULL * by**2

    return Shift(float(minimize_scalar(loss, bounds=(-20, 20), method="bounded").x))


def _odds(chance: float) -> float:
    inside = min(max(chance, 1e-6), 1 - 1e-6)
    return math.log(inside / (1 - inside))


def _share(odds: float) -> float:
    return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0

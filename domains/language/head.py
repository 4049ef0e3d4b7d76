"""A classifier on embeddings: several small ones, joined and calibrated by cross-validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foundation.domains.language.calibration import folds, log_loss, stack
from foundation.domains.language.regression import log_softmax
from foundation.domains.language.scorers import SCORERS, Score
from foundation.domains.language.views import Views

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDS = 4
MANY = 2000
"""Examples beyond which one fold is held out instead of each in turn."""


@dataclass(frozen=True)
class Head:
    """Probabilities are the softmax of the weighted sum of the scorers' scores.

    loss: the log loss of examples that were held out; None where there were none to hold out.
    """

    scorers: tuple[Score, ...]
    weights: "NDArray[np.float64]"
    loss: float | None

    def probabilities(self, views: Views) -> "NDArray[np.float64]":
        """Views -> [rows, labels]."""
        import numpy as np

        return np.exp(log_softmax(_sum(self.weights, [score(views) for score in self.scorers])))


def fit(views: Views, targets: Sequence[int], labels: int, names: Views | None = None) -> Head:
    """Examples and their labels' numbers -> a Head; each label has an example.

    names: views of the labels' own words. The weights are those of the least log loss over examples
    that have others of their label, each scored by fits without it.
    """
    import numpy as np

    wanted = np.asarray(targets)
    held, scores = _held_out(views, wanted, labels, names)
    weights, loss = np.array([0.0, 1.0, 0.0, 0.0]), None
    if held.any():
        weights = stack(scores[:, held], wanted[held])
        loss = log_loss(np.tensordot(weights, scores[:, held], 1), wanted[held])
    fitted = tuple(fit_one(views, wanted, labels, names) for fit_one in SCORERS)
    return Head(fitted, weights, loss)


def _held_out(
    views: Views, targets: "NDArray[np.int64]", labels: int, names: Views | None
) -> "tuple[NDArray[np.bool_], NDArray[np.float64]]":
    """Which examples were held out, and their scores [scorers, rows, labels]."""
    import numpy as np

    dealt = folds(targets, FOLDS)
    used = range(FOLDS) if len(targets) <= MANY else (0,)
    scores = np.zeros((len(SCORERS), len(targets), labels))
    for fold in used:
        out = dealt == fold
        if not out.any():
            continue
        rest, asked = views.take(np.flatnonzero(~out)), views.take(np.flatnonzero(out))
        for place, fit_one in enumerate(SCORERS):
            scores[place, out] = fit_one(rest, targets[~out], labels, names)(asked)
    return np.isin(dealt, used), scores


def _sum(
    weights: "NDArray[np.float64]", scores: "Sequence[NDArray[np.float64]]"
) -> "NDArray[np.float64]":
    import numpy as np

    return np.tensordot(weights, np.stack(scores), 1)

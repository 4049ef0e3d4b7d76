"""Figures of a head on rows that it was not trained on."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def scores(given: "NDArray[Any]", wanted: Sequence[float], labels: bool) -> "NDArray[np.float64]":
    """A score a row whose mean is compared: 1 for a right label; of values minus the error."""
    import numpy as np

    asked = np.asarray(wanted, np.float64)
    if labels:
        found: NDArray[np.float64] = (given.argmax(1) == asked.astype(int)).astype(np.float64)
        return found
    return -np.abs(given - asked)


def measured(given: "NDArray[Any]", wanted: Sequence[float], labels: bool) -> dict[str, float]:
    """Of labels accuracy, macro F1 and log loss; of values the mean absolute error, R2."""
    import numpy as np

    asked = np.asarray(wanted, np.float64)
    if not labels:
        error = np.abs(given - asked)
        spread = float(((asked - asked.mean()) ** 2).sum())
        r2 = 1 - float(((given - asked) ** 2).sum()) / spread if spread else float("nan")
        return {"mae": float(error.mean()), "r2": r2}
    places = asked.astype(int)
    right = given.argmax(1)
    chances = given[np.arange(len(places)), places]
    return {
        "accuracy": float((right == places).mean()),
        "macro_f1": _macro_f1(right, places),
        "log_loss": float(-np.log(np.maximum(chances, 1e-12)).mean()),
    }


def _macro_f1(given: "NDArray[Any]", wanted: "NDArray[Any]") -> float:
    """The mean of the labels' F1, over labels that are there."""
    import numpy as np

    found = []
    for label in np.unique(wanted):
        both = float(((given == label) & (wanted == label)).sum())
        found.append(2 * both / float((given == label).sum() + (wanted == label).sum()))
    return float(np.mean(found))

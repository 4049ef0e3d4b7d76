"""Ways to score labels from the views of texts; each is fitted from examples.

names: views of the labels' own words, label by label, or None. A name counts as two examples.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from foundation.domains.language.regression import regress
from foundation.domains.language.views import Views
from foundation.domains.language.words import WordFeatures

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Score = Callable[[Views], "NDArray[np.float64]"]
STRENGTH = 10.0
NAME = 2.0
SHRINKAGE = 0.6
LOWER, WORDS = 0.5, 0.6


def linear(views: Views, targets: "NDArray[np.int64]", labels: int, names: Views | None) -> Score:
    """A regression on the vectors as they are."""
    model = regress([views.vectors], targets, labels, STRENGTH)
    return lambda other: model.scores([other.vectors])


def whitened(views: Views, targets: "NDArray[np.int64]", labels: int, names: Views | None) -> Score:
    """A regression where examples of one label spread alike in all directions, with the names."""
    import numpy as np

    turn = _whitening(views.vectors, targets, labels)
    rows, importance = _turned(views, turn), np.ones(len(targets))
    if names is not None:
        rows = np.concatenate([rows, _turned(names, turn)])
        targets = np.concatenate([targets, np.arange(labels)])
        importance = np.concatenate([importance, np.full(labels, NAME)])
    model = regress([rows], targets, labels, STRENGTH, importance)
    return lambda other: model.scores([_turned(other, turn)])


def nearest(views: Views, targets: "NDArray[np.int64]", labels: int, names: Views | None) -> Score:
    """The cosine to the nearest example of each label, whitened."""
    import numpy as np

    turn = _whitening(views.vectors, targets, labels)
    rows = _turned(views, turn)
    order = np.argsort(targets, kind="stable")
    starts = np.searchsorted(targets[order], np.arange(labels))

    def score(other: Views) -> "NDArray[np.float64]":
        found: NDArray[np.float64] = np.maximum.reduceat(
            _turned(other, turn) @ rows[order].T, starts, axis=1
        )
        return found

    return score


def wide(views: Views, targets: "NDArray[np.int64]", labels: int, names: Views | None) -> Score:
    """A regression on the vectors, the lower layers and the words."""
    features = WordFeatures(views.texts)

    def blocks(some: Views) -> list[Any]:
        return [some.vectors, LOWER * some.layers, WORDS * features.of(some.texts)]

    model = regress(blocks(views), targets, labels, STRENGTH)
    return lambda other: model.scores(blocks(other))


def _whitening(
    vectors: "NDArray[np.float32]", targets: "NDArray[np.int64]", labels: int
) -> "NDArray[np.float64]":
    """Directions over the square root of the shrunk spread within labels [width, width]."""
    import numpy as np

    rows = vectors.astype(np.float64)
    means = np.array([rows[targets == label].mean(0) for label in range(labels)])
    within = rows - means[targets]
    values, axes = np.linalg.eigh(within.T @ within / len(rows))
    relative = values.clip(min=0.0) / values.mean() if values.mean() > 1e-12 else np.ones(len(axes))
    turn: NDArray[np.float64] = axes / np.sqrt((1 - SHRINKAGE) * relative + SHRINKAGE)
    return turn


def _turned(views: Views, turn: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    rows = views.vectors @ turn
    found: NDArray[np.float64] = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12)
    return found


SCORERS = (whitened, linear, nearest, wide)

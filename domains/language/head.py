"""A linear layer on embeddings, fitted in closed form and calibrated by cross-validation.

Linear discriminant analysis with a shrunk covariance (Friedman, "Regularized Discriminant
Analysis", 1989); one scale for all scores (Guo et al., "On Calibration", 2017).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHRINKAGES = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
SCALES = tuple(2.0 ** (step / 4) for step in range(-24, 57))
FOLDS = 8


@dataclass(frozen=True)
class Head:
    """Probabilities are the softmax of scale * (vectors @ weight + bias)."""

    weight: "NDArray[np.float64]"
    bias: "NDArray[np.float64]"
    scale: float

    def probabilities(self, vectors: "NDArray[np.float32]") -> "NDArray[np.float64]":
        """Vectors [rows, width] -> [rows, labels]."""
        return _softmax(self.scale * (vectors @ self.weight + self.bias))


def fit(vectors: "NDArray[np.float32]", targets: Sequence[int], labels: int) -> Head:
    """Examples [rows, width] and their labels' numbers -> a Head; each label has an example.

    The shrinkage and the scale are those of the least log loss over the examples that have others
    of their label, each predicted by a fit without it.
    """
    import numpy as np

    rows, wanted = vectors.astype(np.float64), np.asarray(targets)
    folds = _folds(wanted)
    scores = {shrinkage: np.zeros((len(rows), labels)) for shrinkage in SHRINKAGES}
    for fold in range(FOLDS):
        out = folds == fold
        if out.any():
            for shrinkage, weight, bias in _discriminants(rows[~out], wanted[~out], labels):
                scores[shrinkage][out] = rows[out] @ weight + bias
    held = folds >= 0
    best, scale = 0.5, 1.0
    if held.any():
        losses = {
            (shrinkage, scale): _loss(scale * scores[shrinkage][held], wanted[held])
            for shrinkage in SHRINKAGES
            for scale in SCALES
        }
        best, scale = min(losses, key=lambda pair: losses[pair])
    found = {each: (weight, bias) for each, weight, bias in _discriminants(rows, wanted, labels)}
    return Head(*found[best], scale)


def _folds(targets: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Each example's fold, dealt out label by label; -1 for the only example of a label."""
    import numpy as np

    folds = np.full(len(targets), -1)
    for label in np.unique(targets):
        places = np.flatnonzero(targets == label)
        if len(places) > 1:
            folds[places] = np.arange(len(places)) % FOLDS
    return folds


def _discriminants(
    rows: "NDArray[np.float64]", targets: "NDArray[np.int64]", labels: int
) -> "Iterator[tuple[float, NDArray[np.float64], NDArray[np.float64]]]":
    """Weight [width, labels] and bias [labels] for each shrinkage towards equal variances."""
    import numpy as np

    means = np.array([rows[targets == label].mean(0) for label in range(labels)])
    within = rows - means[targets]
    values, axes = np.linalg.eigh(within.T @ within / len(rows))
    # Relative to their mean, so that scores are of one size in every fold.
    relative = values.clip(min=0.0) / values.mean() if values.mean() > 1e-12 else 1.0
    turned = axes.T @ means.T
    for shrinkage in SHRINKAGES:
        spread = (1 - shrinkage) * relative + shrinkage * np.ones(len(values))
        weight = axes @ (turned / spread[:, None])
        yield shrinkage, weight, -0.5 * (means.T * weight).sum(0)


def _softmax(scores: "NDArray[np.float64]") -> "NDArray[np.float64]":
    import numpy as np

    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return shares


def _loss(scores: "NDArray[np.float64]", targets: "NDArray[np.int64]") -> float:
    """The mean log loss against Platt's targets: n examples prove n + 1 in n + 2 and no more."""
    import numpy as np

    rows, labels = scores.shape
    wrong = 1 / (rows + 2)
    logs = np.log(np.maximum(_softmax(scores), 1e-12))
    right = logs[np.arange(rows), targets]
    others = (logs.sum(1) - right) / (labels - 1)
    return float(-((1 - wrong) * right + wrong * others).mean())

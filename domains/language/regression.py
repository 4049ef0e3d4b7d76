"""Multinomial logistic regression with a ridge penalty, by L-BFGS; dense and sparse features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 60


@dataclass(frozen=True)
class Linear:
    """Scores are the sum over blocks of features of `block @ weight`, and the bias [labels]."""

    weights: "tuple[NDArray[np.float64], ...]"
    bias: "NDArray[np.float64]"

    def scores(self, blocks: Sequence[Any]) -> "NDArray[np.float64]":
        """Blocks [rows, features of the block] -> [rows, labels]."""
        pairs = zip(blocks, self.weights, strict=True)
        total: NDArray[np.float64] = sum((b @ w for b, w in pairs), self.bias)
        return total


def regress(
    blocks: Sequence[Any],
    targets: "NDArray[np.int64]",
    labels: int,
    strength: float,
    importance: "NDArray[np.float64] | None" = None,
) -> Linear:
    """Least of strength * log loss + half the squared weights; the bias is free.

    blocks: dense or scipy.sparse, [rows, any]. importance: of each row, 1 where None.
    """
    import numpy as np
    from scipy.optimize import minimize

    rows = np.arange(len(targets))
    worth = np.ones(len(targets)) if importance is None else importance
    sizes = [block.shape[1] for block in blocks]
    ends = np.cumsum([size * labels for size in sizes])
    turned = [block.T for block in blocks]

    def unpack(values: "NDArray[np.float64]") -> Linear:
        *parts, bias = np.split(values, ends)
        return Linear(
            tuple(p.reshape(size, labels) for p, size in zip(parts, sizes, strict=True)), bias
        )

    def loss(values: "NDArray[np.float64]") -> "tuple[float, NDArray[np.float64]]":
        model = unpack(values)
        logs = log_softmax(model.scores(blocks))
        slope = np.exp(logs)
        slope[rows, targets] -= 1
        slope *= strength * worth[:, None]
        half = values[: ends[-1]]
        total = -strength * float(worth @ logs[rows, targets]) + 0.5 * float(half @ half)
        parts = [(t @ slope + w).ravel() for t, w in zip(turned, model.weights, strict=True)]
        return total, np.concatenate([*parts, slope.sum(0)])

    start = np.zeros(ends[-1] + labels)
    options = {"maxiter": STEPS, "gtol": 1e-3 * strength, "ftol": 1e-5}
    return unpack(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)


def log_softmax(scores: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """The natural logarithms of the shares of each row."""
    import numpy as np

    moved = scores - scores.max(axis=1, keepdims=True)
    logs: NDArray[np.float64] = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
    return logs


def log_sum(values: "NDArray[np.float64]", axis: int) -> "NDArray[np.float64]":
    """The logarithm of the sum of exponentials along an axis."""
    import numpy as np

    top = values.max(axis=axis, keepdims=True)
    found: NDArray[np.float64] = np.log(np.exp(values - top).sum(axis=axis)) + top.squeeze(axis)
    return found

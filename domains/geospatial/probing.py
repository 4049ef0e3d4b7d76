"""What a simple classifier makes of embeddings: how far they tell classes apart."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from foundation.tuning.plain import logistic

if TYPE_CHECKING:
    from collections.abc import Sequence

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)


def neighbours(train: Tensor, labels: Tensor, test: Tensor, count: int = 5) -> Tensor:
    """The label most of the `count` most similar (cosine) training rows bear; ties: the nearest's.

    train [rows, units], labels [rows], test [others, units] -> [others].
    """
    train, test = (functional.normalize(x.float(), dim=1) for x in (train, test))
    near = (test @ train.T).topk(min(count, len(train)), dim=1)
    votes = torch.zeros(len(test), int(labels.max()) + 1)
    votes.scatter_add_(1, labels[near.indices], torch.ones_like(near.values))
    # Of equal votes the larger sum of similarities, which lies below one vote, decides.
    sums = torch.zeros_like(votes).scatter_add_(1, labels[near.indices], near.values)
    return (votes + sums / (2 * count)).argmax(1)


@dataclass(frozen=True)
class Linear:
    """A fitted classifier: logits are ((x - mean) / std) @ weights + bias, [units, classes]."""

    mean: Tensor
    std: Tensor
    weights: Tensor
    bias: Tensor

    def logits(self, rows: Tensor) -> Tensor:
        """[..., units] -> [..., classes]."""
        return (rows.float() - self.mean) / self.std @ self.weights + self.bias


def linear(
    train: Tensor, labels: Tensor, test: Tensor, penalties: "Sequence[float]" = PENALTIES
) -> Tensor:
    """Labels of `test` by multinomial logistic regression; see `fitted`."""
    return fitted(train, labels, penalties).logits(test).argmax(1)


def fitted(train: Tensor, labels: Tensor, penalties: "Sequence[float]" = PENALTIES) -> Linear:
    """Multinomial logistic regression on standardised embeddings.

    The penalty (of the mean squared weights) is chosen on every fifth training row; the classifier
    is then fitted to all.
    """
    mean, std = train.float().mean(0), train.float().std(0, correction=0).clamp(min=1e-6)
    train, classes = (train.float() - mean) / std, int(labels.max()) + 1
    held = torch.arange(len(train)) % 5 == 0
    if len(penalties) > 1 and len(train) >= 10:
        right = []
        for penalty in penalties:
            weights, bias = logistic(train[~held], labels[~held], classes, penalty)
            told = (train[held] @ weights + bias).argmax(1)
            right.append(float((told == labels[held]).float().mean()))
        penalties = [penalties[right.index(max(right))]]
    weights, bias = logistic(train, labels, classes, penalties[-1])
    return Linear(mean, std, weights, bias)

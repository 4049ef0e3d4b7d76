"""What a simple classifier makes of embeddings: how far they tell classes apart."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

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


def linear(
    train: Tensor, labels: Tensor, test: Tensor, penalties: "Sequence[float]" = PENALTIES
) -> Tensor:
    """Multinomial logistic regression on standardised embeddings -> labels of `test`.

    The penalty (of the mean squared weights) is chosen on every fifth training row, never on
    `test`; the classifier is then fitted to all.
    """
    mean, std = train.float().mean(0), train.float().std(0).clamp(min=1e-6)
    train, test = (train.float() - mean) / std, (test.float() - mean) / std
    held = torch.arange(len(train)) % 5 == 0
    if len(penalties) > 1:
        right = [
            float(
                (_scores(train[~held], labels[~held], train[held], p).argmax(1) == labels[held])
                .float()
                .mean()
            )
            for p in penalties
        ]
        penalties = [penalties[right.index(max(right))]]
    return _scores(train, labels, test, penalties[0]).argmax(1)


def _scores(train: Tensor, labels: Tensor, test: Tensor, penalty: float) -> Tensor:
    classes = int(labels.max()) + 1
    weights = torch.zeros(train.shape[1], classes, requires_grad=True)
    bias = torch.zeros(classes, requires_grad=True)
    search = torch.optim.LBFGS([weights, bias], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        value = functional.cross_entropy(train @ weights + bias, labels)
        value = value + penalty * weights.square().sum()
        value.backward()
        return value

    search.step(loss)
    with torch.no_grad():
        return test @ weights + bias

"""Plain regressions on features, which task=adapt sets the tuned models against."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

PENALTIES = (1e-3, 1e-2, 1e-1)
STEPS = 60
WAVES = 1024
FURTHEST = 4.0


def told(
    features: Any, asked: Any, rows: Sequence[Mapping[str, Any]], labels: Sequence[str]
) -> Any:
    """Multinomial logistic regression, or ridge regression where there are no labels.

    features [rows, units] of `rows`, which have a label or a value; asked [others, units] ->
    probabilities [others, labels] or values [others]. The penalty is chosen on every fifth row of
    `rows`, by log loss or squared error.
    """
    import numpy as np

    middle, scale = _usual(features)
    features, asked = (features - middle) / scale, (asked - middle) / scale
    if labels:
        numbers = {label: number for number, label in enumerate(labels)}
        targets = np.array([numbers[str(row["label"])] for row in rows])
        fit: Any = _logistic
    else:
        targets = np.array([float(row["value"]) for row in rows])
        fit = _ridge
    held = np.arange(len(targets)) % 5 == 4
    found = [
        _loss(fit(features[~held], targets[~held], features[held], len(labels), p), targets[held])
        for p in PENALTIES
    ]
    best = PENALTIES[int(np.argmin(found))]
    return fit(features, targets, asked, len(labels), best)


def bent(features: Any, asked: Any) -> tuple[Any, Any]:
    """Both with random Fourier features beside them, so that a regression on them can bend.

    features [rows, units], asked [others, units] -> [rows, units + WAVES], [others, units + WAVES].
    The kernel is a Gaussian whose width is the usual distance of two rows (Rahimi and Recht 2007);
    a unit counts as no further than FURTHEST spreads from the middle of `features`.
    """
    import numpy as np

    random = np.random.default_rng(0)
    middle, scale = _usual(features)
    waves = random.normal(size=(features.shape[1], WAVES)) / np.sqrt(features.shape[1])
    phases = random.uniform(0, 2 * np.pi, WAVES)

    def beside(given: Any) -> Any:
        near = np.clip((given - middle) / scale, -FURTHEST, FURTHEST)
        return np.concatenate([near, np.cos(near @ waves + phases)], axis=1).astype(np.float32)

    return beside(features), beside(asked)


def _usual(features: Any) -> tuple[Any, Any]:
    """The middle of each unit, and its spread, or 1 where it has none."""
    import numpy as np

    spread = features.std(0)
    return features.mean(0), np.where(spread > 0, spread, 1)


def _loss(given: Any, targets: Any) -> float:
    import numpy as np

    if given.ndim == 1:
        return float(((given - targets) ** 2).mean())
    return float(-np.log(np.maximum(given[np.arange(len(targets)), targets], 1e-9)).mean())


def _logistic(features: Any, targets: Any, asked: Any, labels: int, penalty: float) -> Any:
    import torch

    shown = torch.from_numpy(features).float()
    weight, bias = logistic(shown, torch.from_numpy(targets), labels, penalty)
    return (torch.from_numpy(asked).float() @ weight + bias).softmax(-1).numpy()


def logistic(
    features: "Tensor", targets: "Tensor", labels: int, penalty: float
) -> "tuple[Tensor, Tensor]":
    """Multinomial logistic regression by L-BFGS: weight [units, labels] and bias [labels].

    features [rows, units], targets [rows]: numbers of labels. penalty: of the summed squared
    weights, beside the mean log loss.
    """
    import torch

    weight = torch.zeros(features.shape[1], labels, requires_grad=True)
    bias = torch.zeros(labels, requires_grad=True)
    search = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Any:
        search.zero_grad()
        value = torch.nn.functional.cross_entropy(features @ weight + bias, targets)
        value = value + penalty * weight.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    return weight.detach(), bias.detach()


def _ridge(features: Any, targets: Any, asked: Any, labels: int, penalty: float) -> Any:
    """penalty: times the rows and units, of the squared weights."""
    import numpy as np

    middle = targets.mean()
    strength = penalty * len(features) * 10
    small = len(features) < features.shape[1]
    gram = features @ features.T if small else features.T @ features
    gram = gram.astype(np.float64) + strength * np.eye(len(gram))
    if small:
        weight = features.T @ np.linalg.solve(gram, targets - middle)
    else:
        weight = np.linalg.solve(gram, features.T @ (targets - middle))
    return asked @ weight + middle

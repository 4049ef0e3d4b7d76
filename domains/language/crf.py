"""A linear-chain conditional random field over BIO tags (Lafferty et al., 2001).

An I may only follow a B or an I of its own label, in training as in decoding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from foundation.domains.language.regression import log_sum
from foundation.domains.language.spans import OUTSIDE

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

NEVER = -1e9
STEPS = 40


@dataclass(frozen=True)
class Tags:
    """The tags of some labels: O, then B and I of each."""

    labels: tuple[str, ...]

    @cached_property
    def names(self) -> tuple[str, ...]:
        return (OUTSIDE, *(f"{kind}-{label}" for label in self.labels for kind in "BI"))

    @cached_property
    def numbers(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    @cached_property
    def follows(self) -> "NDArray[np.bool_]":
        """[tags, tags]: whether the second may follow the first."""
        import numpy as np

        allowed = np.ones((len(self.names), len(self.names)), dtype=bool)
        for inside in range(2, len(self.names), 2):
            allowed[:, inside] = False
            allowed[[inside - 1, inside], inside] = True
        return allowed

    @property
    def begins(self) -> "NDArray[np.bool_]":
        """[tags]: whether a text may begin with it."""
        first: NDArray[np.bool_] = self.follows[0]
        return first


@dataclass(frozen=True)
class Chain:
    """Scores of tags beside each other [tags, tags], impossible ones NEVER."""

    tags: Tags
    transitions: "NDArray[np.float64]"

    def best(self, emissions: "NDArray[np.float64]") -> list[str]:
        """The likeliest tags of a text from the scores of each unit [units, tags] (Viterbi)."""
        import numpy as np

        if not len(emissions):
            return []
        score = np.where(self.tags.begins, emissions[0], NEVER)
        back = np.zeros(emissions.shape, dtype=np.int32)
        for place in range(1, len(emissions)):
            reached = score[:, None] + self.transitions
            back[place] = reached.argmax(0)
            score = reached.max(0) + emissions[place]
        path = [int(score.argmax())]
        for place in range(len(emissions) - 1, 0, -1):
            path.append(int(back[place, path[-1]]))
        return [self.tags.names[number] for number in reversed(path)]

    def chances(
        self, emissions: "NDArray[np.float64]", found: Sequence[tuple[int, int, str]]
    ) -> list[float]:
        """The probability of each span (first unit, unit after the last, label) to be just that."""
        import numpy as np

        if not found:
            return []
        forth, back = self._forth(emissions), self._back(emissions)
        total = float(log_sum(forth[-1], 0))
        chances = []
        for start, end, label in found:
            begin, inside = self.tags.numbers[f"B-{label}"], self.tags.numbers[f"I-{label}"]
            log = forth[start, begin]
            last = begin
            for place in range(start + 1, end):
                log += self.transitions[last, inside] + emissions[place, inside]
                last = inside
            if end < len(emissions):
                after = self.transitions[last] + emissions[end] + back[end]
                after[inside] = NEVER
                log += float(log_sum(after, 0))
            chances.append(float(min(np.exp(log - total), 1.0)))
        return chances

    def _forth(self, emissions: "NDArray[np.float64]") -> "NDArray[np.float64]":
        import numpy as np

        forth = np.empty(emissions.shape)
        forth[0] = np.where(self.tags.begins, emissions[0], NEVER)
        for place in range(1, len(emissions)):
            forth[place] = log_sum(forth[place - 1][:, None] + self.transitions, 0)
            forth[place] += emissions[place]
        return forth

    def _back(self, emissions: "NDArray[np.float64]") -> "NDArray[np.float64]":
        import numpy as np

        back = np.zeros(emissions.shape)
        for place in range(len(emissions) - 2, -1, -1):
            after = emissions[place + 1] + back[place + 1]
            back[place] = log_sum(self.transitions + after, 1)
        return back


@dataclass(frozen=True)
class Penalties:
    """Of the squared weights: of dense features, of features that are there or not, of pairs."""

    dense: float = 0.03
    sparse: float = 0.3
    pairs: float = 1.0


@dataclass(frozen=True)
class Weights:
    """What was learned: [dense features, tags], [sparse features, tags], [tags], [tags, tags]."""

    dense: "NDArray[np.float64]"
    sparse: "NDArray[np.float64]"
    bias: "NDArray[np.float64]"
    pairs: "NDArray[np.float64]"


def fit(
    dense: "Sequence[NDArray[np.float32]]",
    sparse: "Sequence[NDArray[np.int64]]",
    tags: Sequence[Sequence[int]],
    of: Tags,
    penalties: Penalties = Penalties(),
) -> Weights:
    """Examples -> the weights of the greatest penalised likelihood, by L-BFGS.

    Of each text: dense [units, features]; sparse [units, as many], numbers of features that are
    there, 0 for none; tags: the numbers of its tags.
    """
    import numpy as np
    import torch

    steps, count = max(map(len, tags)), len(of.names)
    lengths = torch.tensor([len(each) for each in tags])
    real = torch.arange(steps)[None] < lengths[:, None]
    places = real.flatten().nonzero()[:, 0]
    gold = torch.zeros(len(tags), steps, dtype=torch.long)
    gold[real] = torch.tensor([tag for each in tags for tag in each])
    vectors = torch.tensor(np.concatenate(dense), dtype=torch.float64)
    present = torch.tensor(np.concatenate(sparse))
    shapes = [(vectors.shape[1], count), (int(present.max()) + 1, count), (count,), (count, count)]
    weights = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
    allowed, begins = torch.tensor(of.follows), torch.tensor(of.begins)
    costs = (penalties.dense, penalties.sparse, 0.01, penalties.pairs)
    optimizer = torch.optim.LBFGS(
        weights, max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_change=1e-6
    )

    def loss() -> "torch.Tensor":
        optimizer.zero_grad()
        each = vectors @ weights[0] + weights[2]
        each = each + torch.nn.functional.embedding_bag(
            present, weights[1], mode="sum", padding_idx=0
        )
        scores = torch.zeros(real.numel(), count, dtype=torch.float64).index_copy(0, places, each)
        scores = scores.view(len(tags), steps, count)
        total = -_likelihood(scores, weights[3], allowed, begins, gold, real)
        for weight, cost in zip(weights, costs, strict=True):
            total = total + 0.5 * cost * weight.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimizer.step(loss)
    found = [weight.detach().numpy() for weight in weights]
    found[3] = np.where(of.follows, found[3], NEVER)
    return Weights(*found)


def _likelihood(
    scores: Any, pairs: Any, allowed: Any, begins: Any, gold: Any, real: Any
) -> "torch.Tensor":
    """The summed log-likelihood of texts; as shares, rescaled at each step, not as logarithms."""
    import torch

    tiny = 1e-300
    steps = torch.where(allowed, pairs.exp(), 0.0)
    top = scores.detach().amax(-1, keepdim=True)
    shares = (scores - top).exp()
    now = shares[:, 0] * begins
    size = now.sum(-1)
    total, now = size.log() + top[:, 0, 0], now / size[:, None]
    for place in range(1, scores.shape[1]):
        after = (now @ steps) * shares[:, place]
        size = after.sum(-1).clamp_min(tiny)
        here = real[:, place]
        total = total + torch.where(here, size.log() + top[:, place, 0], 0.0)
        now = torch.where(here[:, None], after / size[:, None], now)
    own = (scores.gather(-1, gold[..., None])[..., 0] * real).sum()
    own = own + (pairs[gold[:, :-1], gold[:, 1:]] * real[:, 1:]).sum()
    found: torch.Tensor = own - total.sum()
    return found

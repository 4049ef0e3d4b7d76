"""Drawing one token for each row."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    import numpy as np


def choose(
    logits: Tensor, temperature: Tensor, top_p: Tensor, uniform: "np.ndarray"
) -> "np.ndarray":
    """Draw a token for each row by inverting the cumulative distribution.

    logits: float32 [rows, vocabulary]. temperature, top_p: [rows, 1]. uniform: [rows] in [0, 1).
    """
    weights = torch.softmax(logits / temperature, dim=-1)
    if bool((top_p < 1).any()):
        weights = torch.where(top_p < 1, _nucleus(weights, top_p), weights)
    total = weights.cumsum(dim=-1)
    last = total[:, -1:]
    # Below the last sum even where the product is rounded up: no token of weight 0 is ever drawn.
    points = torch.from_numpy(uniform)[:, None] * last
    points = torch.minimum(points, torch.nextafter(last, torch.zeros(1)))
    chosen: np.ndarray = (total <= points).sum(dim=-1).numpy()
    return chosen


def _nucleus(weights: Tensor, top_p: Tensor) -> Tensor:
    """Zero what lies outside the likeliest tokens that hold `top_p` (Holtzman et al. 2020)."""
    ordered, order = weights.sort(dim=-1, descending=True)
    outside = ordered.cumsum(dim=-1) - ordered >= top_p
    return weights.scatter(-1, order, ordered.masked_fill(outside, 0.0))

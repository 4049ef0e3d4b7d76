"""The next token from logits and one random number a row."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from foundation.errors import RequestError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Choice:
    """How a token is chosen.

    temperature: divides the logits, 0 to 10; 0 takes the likeliest token.
    top_k: only the k likeliest, 0 for all. top_p: only the likeliest that together hold this share
    (Holtzman et al. 2020), above 0, at most 1. min_p: only those at least this share as likely as
    the likeliest (Nguyen et al. 2024), 0 to 1.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self) -> None:
        _within("temperature", self.temperature, 0.0, 10.0)
        _within("top_p", self.top_p, 0.0, 1.0)
        _within("min_p", self.min_p, 0.0, 1.0)
        if self.top_p == 0:
            raise RequestError("top_p must be above 0")
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, int) or self.top_k < 0:
            raise RequestError(f"top_k must be a whole number of at least 0, got {self.top_k}")


def choose(
    logits: "torch.Tensor", uniform: "torch.Tensor", choices: "list[Choice]"
) -> "torch.Tensor":
    """Logits [rows, vocabulary] float32, uniform [rows] in [0, 1) -> tokens [rows].

    The cumulative distribution is inverted in the vocabulary's own order, so that a row's token
    depends on nothing but its logits and its number.
    """
    import torch

    temperatures = [choice.temperature for choice in choices]
    if not any(temperatures):
        return logits.argmax(dim=-1)
    temperature = torch.tensor(temperatures)[:, None]
    weights = torch.softmax(logits / temperature.clamp(min=1e-6), dim=-1)
    weights = _narrowed(weights, choices)
    total = weights.cumsum(dim=-1)
    last = total[:, -1:]
    # Below the last sum even where the product is rounded up: no token of weight 0 is ever drawn.
    points = torch.minimum(uniform[:, None] * last, torch.nextafter(last, torch.zeros(1)))
    drawn = (total <= points).sum(dim=-1)
    if all(temperatures):
        return drawn
    return torch.where(temperature[:, 0] == 0, logits.argmax(dim=-1), drawn)


def _narrowed(weights: "torch.Tensor", choices: "list[Choice]") -> "torch.Tensor":
    """Weights of zero outside top_k, top_p and min_p."""
    import torch

    if any(choice.min_p for choice in choices):
        floor = torch.tensor([choice.min_p for choice in choices])[:, None]
        weights = weights.masked_fill(weights < floor * weights.amax(-1, keepdim=True), 0.0)
    if all(choice.top_k == 0 and choice.top_p == 1 for choice in choices):
        return weights
    return torch.stack([_likeliest(row, c) for row, c in zip(weights, choices, strict=True)])


def _likeliest(weights: "torch.Tensor", choice: Choice) -> "torch.Tensor":
    """One row's weights [vocabulary] of zero outside top_k and top_p.

    Tokens below (1 - top_p) / vocabulary hold less than 1 - top_p together, so top_p never needs
    them: few are sorted.
    """
    import torch

    if choice.top_k == 0 and choice.top_p == 1:
        return weights
    floor = (1 - choice.top_p) / (2 * len(weights))
    places = (weights > floor).nonzero()[:, 0]
    ordered, order = weights[places].sort(descending=True, stable=True)
    if choice.top_p < 1:
        ordered = ordered[: int((ordered.cumsum(-1) - ordered < choice.top_p).sum())]
    if choice.top_k:
        ordered = ordered[: choice.top_k]
    return torch.zeros_like(weights).scatter_(0, places[order[: len(ordered)]], ordered)


def _within(name: str, value: float, low: float, high: float) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise RequestError(f"{name} must be a number from {low:g} to {high:g}, got {value}")

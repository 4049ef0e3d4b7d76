"""A fixed batch of SMILES being written, one token a row and step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from foundation.adapter import Output
from foundation.domains.molecule.inputs import Generate
from foundation.domains.molecule.plans import Plan, plan
from foundation.domains.molecule.stepper import Stepper
from foundation.domains.molecule.tokenizer import BEGIN, END, RANDOM
from foundation.draws import Draws

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_TOKENS = 128


class Sampling:
    """`count` rows of a recurrent network; a row is a request, its tokens and its state.

    Every step computes all rows, occupied or not, so that a row's result does not depend on which
    others are there. A row's random numbers are those of its request and its own step.
    """

    def __init__(self, stepper: Stepper, tokenizer: "Tokenizer", count: int) -> None:
        self._stepper, self._tokenizer = stepper, tokenizer
        self._plans: dict[int, Plan] = {}
        self._ended: list[tuple[int, Output]] = []
        self._tokens = np.zeros((count, MAX_TOKENS), dtype=np.int64)
        self._length = np.ones(count, dtype=np.int64)
        self._forced = np.ones(count, dtype=np.int64)
        self._ids = np.zeros(count, dtype=np.uint64)
        self._steps = np.zeros(count, dtype=np.int64)
        self._seed = 0
        self._likelihood = np.zeros(count)
        self._temperature = torch.ones(count, 1)
        self._top_p = torch.ones(count, 1)

    def insert(self, slot: int, request: Generate, draws: Draws) -> None:
        self._seed, self._ids[slot], self._steps[slot] = draws.seed, draws.ids[0], 0
        self._temperature[slot], self._top_p[slot] = request.temperature, request.top_p
        self._plans[slot] = plan(request, draws)
        self._likelihood[slot] = 0.0
        self._follow(slot, None)

    def remove(self, slot: int) -> None:
        self._plans.pop(slot, None)

    @torch.inference_mode()
    def step(self) -> Sequence[tuple[int, Output]]:
        """Write one token in every row; rows that are refused at once end without one."""
        rows = np.fromiter(self._plans, dtype=np.int64)
        if len(rows):
            self._write(rows)
        ended, self._ended = self._ended, []
        return ended

    def _write(self, rows: "np.ndarray") -> None:
        here = np.arange(len(self._length))
        logits = self._stepper.step(torch.from_numpy(self._tokens[here, self._length - 1]))
        chosen = self._choose(logits)
        # Where the prompt goes on, its own token takes the place of the drawn one.
        forced = self._length < self._forced
        chosen = np.where(forced, self._tokens[here, self._length % MAX_TOKENS], chosen)
        likelihood = torch.log_softmax(logits, dim=-1)[here, chosen].numpy()
        self._likelihood[rows] += np.where(forced, 0.0, likelihood)[rows]
        self._tokens[rows, self._length[rows]] = chosen[rows]
        self._length[rows] += 1
        self._steps[rows] += 1
        over = (chosen == END) & ~forced | (self._length == MAX_TOKENS)
        for slot in rows[over[rows]].tolist():
            self._end(slot, complete=chosen[slot] == END)

    def _choose(self, logits: Tensor) -> "np.ndarray":
        """Draw a token for each row by inverting the cumulative distribution."""
        weights = torch.softmax(logits / self._temperature, dim=-1)
        if bool((self._top_p < 1).any()):
            weights = _nucleus(weights, self._top_p)
        total = weights.cumsum(dim=-1)
        uniform = Draws(self._seed, self._ids.tolist()).uniform(self._steps.tolist())
        points = torch.from_numpy(uniform)[:, None] * total[:, -1:]
        chosen: np.ndarray = (total <= points).sum(dim=-1).clamp(max=logits.shape[-1] - 1).numpy()
        return chosen

    def _end(self, slot: int, complete: bool) -> None:
        tokens = self._tokens[slot, 1 : self._length[slot] - complete].tolist()
        smiles = self._tokenizer.decode(tokens)
        if complete:
            self._follow(slot, smiles)
        else:
            self._finish(slot, Output(smiles, reason=f"longer than {MAX_TOKENS - 2} tokens"))

    def _follow(self, slot: int, smiles: str | None) -> None:
        """Begin the plan's next prompt, or end the row."""
        following = self._plans[slot].follow(smiles)
        if isinstance(following, Output):
            self._finish(slot, following)
            return
        prompt = self._tokenizer.encode(following.smiles, add_special_tokens=False).ids
        tokens = [RANDOM if following.randomised else BEGIN, *prompt]
        if len(tokens) >= MAX_TOKENS:
            self._finish(slot, Output(following.smiles, reason="the prompt is too long"))
            return
        self._tokens[slot, : len(tokens)] = tokens
        self._length[slot], self._forced[slot] = 1, len(tokens)
        self._stepper.clear([slot])

    def _finish(self, slot: int, output: Output) -> None:
        usage = {"tokens": float(self._steps[slot])}
        extra = {"attempts": 1, "log_likelihood": float(self._likelihood[slot]), **output.extra}
        self._ended.append((slot, replace(output, extra=extra, usage=usage)))
        del self._plans[slot]


def _nucleus(weights: Tensor, top_p: Tensor) -> Tensor:
    """Zero what lies outside the likeliest tokens that hold `top_p` (Holtzman et al. 2020)."""
    ordered, order = weights.sort(dim=-1, descending=True)
    outside = ordered.cumsum(dim=-1) - ordered >= top_p
    return weights.scatter(-1, order, ordered.masked_fill(outside, 0.0))

"""A fixed batch of SMILES being written, one token a row and step."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from foundation.adapter import Output
from foundation.decoding.choice import Choice, choose
from foundation.domains.molecule.inputs import Generate
from foundation.domains.molecule.plans import Plan, plan
from foundation.domains.molecule.scripts import Script
from foundation.draws import Draws
from foundation.errors import RequestError


class Stepper(Protocol):
    """A network one token at a time, for a fixed number of rows."""

    def clear(self, rows: Sequence[int]) -> None:
        """Set some rows back to the beginning."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """One token for each row [rows] -> float32 logits of the next one [rows, vocabulary]."""
        ...


class Sampling:
    """`count` rows of a network; a row is a request, its tokens and the network's state.

    Every step computes all rows, occupied or not, so that a row's result does not depend on which
    others are there. A row's random numbers are those of its request and its own step.
    """

    def __init__(self, stepper: Stepper, script: Script, count: int) -> None:
        self._stepper, self._script = stepper, script
        self._plans: dict[int, Plan] = {}
        self._ended: list[tuple[int, Output]] = []
        self._tokens = np.zeros((count, script.longest), dtype=np.int64)
        self._length = np.ones(count, dtype=np.int64)
        self._forced = np.ones(count, dtype=np.int64)
        self._ids = np.zeros(count, dtype=np.uint64)
        self._steps = np.zeros(count, dtype=np.int64)
        self._seed = 0
        self._likelihood = np.zeros(count)
        self._choices = [Choice()] * count

    def insert(self, slot: int, request: Generate, draws: Draws) -> None:
        self._seed, self._ids[slot], self._steps[slot] = draws.seed, draws.ids[0], 0
        self._choices[slot] = Choice(request.temperature, top_p=request.top_p)
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
        uniform = Draws(self._seed, self._ids.tolist()).uniform(self._steps.tolist())
        chosen = choose(logits, torch.from_numpy(uniform), self._choices).numpy()
        # Where the prompt goes on, its own token takes the place of the drawn one.
        forced = self._length < self._forced
        chosen = np.where(forced, self._tokens[here, self._length % self._script.longest], chosen)
        likelihood = torch.log_softmax(logits, dim=-1)[here, chosen].numpy()
        self._likelihood[rows] += np.where(forced, 0.0, likelihood)[rows]
        self._tokens[rows, self._length[rows]] = chosen[rows]
        self._length[rows] += 1
        self._steps[rows] += 1
        ended = (chosen == self._script.end) & ~forced
        over = ended | (self._length == self._script.longest)
        for slot in rows[over[rows]].tolist():
            self._end(slot, complete=bool(ended[slot]))

    def _end(self, slot: int, complete: bool) -> None:
        tokens = self._tokens[slot, 1 : self._length[slot] - complete].tolist()
        smiles, reason = self._script.read(tokens)
        if not complete:
            reason = f"longer than {self._script.longest - 2} tokens"
        self._follow(slot, smiles, reason)

    def _follow(self, slot: int, smiles: str | None, reason: str | None = None) -> None:
        """Begin the plan's next prompt, or end the row; `reason` is why `smiles` is no molecule."""
        following = self._plans[slot].follow(smiles)
        if isinstance(following, Output):
            self._finish(slot, replace(following, reason=following.reason or reason))
            return
        try:
            tokens = self._script.begin(following)
            if len(tokens) >= self._script.longest:
                raise RequestError(f"longer than {self._script.longest - 2} tokens")
        except RequestError as error:
            reason = f"prompt {following.smiles}: {error}"
            self._finish(slot, Output(following.smiles, reason, refused=smiles is None))
            return
        if following.anew:
            self._likelihood[slot] = 0.0
        self._tokens[slot, : len(tokens)] = tokens
        self._length[slot], self._forced[slot] = 1, len(tokens)
        self._stepper.clear([slot])

    def _finish(self, slot: int, output: Output) -> None:
        usage = {"tokens": float(self._steps[slot])}
        extra = {"attempts": 1, "log_likelihood": float(self._likelihood[slot]), **output.extra}
        self._ended.append((slot, replace(output, extra=extra, usage=usage)))
        del self._plans[slot]

"""Rows of a causal model being written; each comes and goes on its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from foundation.adapter import Output
from foundation.decoding.cache import copy_row, mask, slot_cache
from foundation.decoding.choice import Choice, choose
from foundation.draws import Draws

CAPACITY = 256


@dataclass(frozen=True)
class Decode:
    """One row's work.

    tokens: what it goes on from, at least one. limit: new tokens at most, at least 1.
    ended: asked after each token with all new ones; a word says why the row ends.
    finish: (new tokens, their log-probabilities, why it ended) -> the row's output.
    banned: tokens that are never chosen. first: tokens of which the first one is; empty: of all.
    """

    tokens: Sequence[int]
    limit: int
    choice: Choice
    ended: Callable[[Sequence[int]], str | None]
    finish: Callable[[Sequence[int], Sequence[float], str], Output]
    banned: Sequence[int] = ()
    first: Sequence[int] = ()


@dataclass
class Row:
    """A row on its way. `position` counts the tokens whose keys are in the cache.

    opening: float32 logits of what follows the given tokens [1, vocabulary].
    """

    work: Decode
    draws: Draws
    position: int
    opening: "torch.Tensor"
    new: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)


Plan = Callable[[Any, Draws], Decode | Output]


class CausalSlots:
    """`count` rows of a transformers causal model.

    A new row's given tokens pass alone, so that they do not depend on who else is there; then every
    step passes one token of all rows at once. `window`: the longest row the model can take.
    """

    def __init__(self, model: Any, plan: Plan, count: int, window: int, layers: int) -> None:
        self._model, self._plan, self._count, self._window = model, plan, count, window
        self._cache, self._writing = slot_cache(layers, count, CAPACITY)
        self._rows: dict[int, Row] = {}
        self._ended: list[tuple[int, Output]] = []

    def insert(self, slot: int, request: Any, draws: Draws) -> None:
        work = self._plan(request, draws)
        if isinstance(work, Output):
            self._ended.append((slot, work))
            return
        if len(work.tokens) + 1 > self._window:
            reason = f"{len(work.tokens)} tokens are more than the model's window of {self._window}"
            self._ended.append((slot, Output(None, reason=reason, refused=True)))
            return
        opening = self._opening(slot, work.tokens)
        row = self._rows[slot] = Row(work, draws, len(work.tokens), opening)
        self._write({slot: row}, opening.clone())

    def remove(self, slot: int) -> None:
        self._rows.pop(slot, None)

    def step(self) -> Sequence[tuple[int, Output]]:
        """Write one token in every row."""
        if self._rows:
            starts = [self._rows[s].position if s in self._rows else 0 for s in range(self._count)]
            last = [self._rows[s].new[-1] if s in self._rows else 0 for s in range(self._count)]
            logits = self._pass(list(range(self._count)), starts, torch.tensor(last)[:, None])
            for row in self._rows.values():
                row.position += 1
            self._write(dict(self._rows), logits[list(self._rows)])
        ended, self._ended = self._ended, []
        return ended

    def _opening(self, slot: int, tokens: Sequence[int]) -> "torch.Tensor":
        """Put a row's given tokens into the cache; a row that has the same ones lends its own."""
        for twin, row in self._rows.items():
            if list(row.work.tokens) == list(tokens):
                copy_row(self._cache, twin, slot, len(tokens))
                return row.opening
        return self._pass([slot], [0], torch.tensor([list(tokens)]))

    @torch.inference_mode()
    def _pass(self, rows: list[int], starts: list[int], tokens: "torch.Tensor") -> "torch.Tensor":
        """Tokens [rows, length] -> float32 logits of what follows them [rows, vocabulary]."""
        self._writing.rows, self._writing.starts = rows, starts
        length = tokens.shape[1]
        device = self._model.device
        places = torch.tensor(starts)[:, None] + torch.arange(length)[None]
        out = self._model(
            input_ids=tokens.to(device),
            attention_mask=mask(starts, length).to(device),
            position_ids=places.to(device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: torch.Tensor = out.logits[:, -1].float().cpu()
        return logits

    @torch.inference_mode()
    def _write(self, rows: dict[int, Row], logits: "torch.Tensor") -> None:
        """Choose each row's next token; rows that end leave."""
        listed = list(rows.items())
        for number, (_, row) in enumerate(listed):
            if row.work.banned:
                logits[number, list(row.work.banned)] = -torch.inf
            if row.work.first and not row.new:
                outside = torch.ones_like(logits[number], dtype=torch.bool)
                outside[list(row.work.first)] = False
                logits[number, outside] = -torch.inf
        ids = [row.draws.ids[0] for _, row in listed]
        steps = [len(row.new) for _, row in listed]
        uniform = torch.from_numpy(Draws(listed[0][1].draws.seed, ids).uniform(steps))
        chosen = choose(logits, uniform, [row.work.choice for _, row in listed])
        logs = torch.log_softmax(logits, dim=-1).gather(-1, chosen[:, None])[:, 0]
        for (slot, row), token, log in zip(listed, chosen.tolist(), logs.tolist(), strict=True):
            row.new.append(token)
            row.logs.append(log)
            why = self._why(row)
            if why is not None:
                del self._rows[slot]
                self._ended.append((slot, row.work.finish(row.new, row.logs, why)))

    def _why(self, row: Row) -> str | None:
        why = row.work.ended(row.new)
        if why is None and len(row.new) >= row.work.limit:
            return "limit"
        if why is None and row.position + 1 >= self._window:
            return "window"
        return why

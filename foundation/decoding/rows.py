"""What a row being written is, and how its next token is chosen."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from foundation.adapter import Output
from foundation.decoding.choice import Choice, choose
from foundation.draws import Draws


@dataclass(frozen=True)
class Decode:
    """One row's work.

    tokens: what it goes on from, at least one. limit: new tokens at most, at least 1.
    ended: asked after each token with all new ones; a word says why the row ends.
    finish: (new tokens, their log-probabilities, why it ended) -> the row's output.
    banned: tokens that are never chosen. first: tokens of which the first one is; empty: of all.
    heard: told all new tokens after each one but the last.
    """

    tokens: Sequence[int]
    limit: int
    choice: Choice
    ended: Callable[[Sequence[int]], str | None]
    finish: Callable[[Sequence[int], Sequence[float], str], Output]
    banned: Sequence[int] = ()
    first: Sequence[int] = ()
    heard: Callable[[Sequence[int]], None] | None = None


@dataclass
class Row:
    """A row on its way. `position` counts the tokens whose keys are in the cache.

    opening: float32 logits of what follows the given tokens [vocabulary].
    """

    work: Decode
    draws: Draws
    position: int = 0
    opening: torch.Tensor | None = None
    new: list[int] = field(default_factory=list)
    logs: list[float] = field(default_factory=list)


Plan = Callable[[Any, Draws], Decode | Output]


def admitted(plan: Plan, request: Any, draws: Draws, window: int) -> Row | Output:
    """The row of a request, or why there is none."""
    work = plan(request, draws)
    if isinstance(work, Output):
        return work
    if len(work.tokens) + 1 > window:
        reason = f"{len(work.tokens)} tokens are more than the model's window of {window}"
        return Output(None, reason=reason, refused=True)
    return Row(work, draws)


@torch.inference_mode()
def write(rows: Sequence[Row], logits: torch.Tensor, window: int) -> list[Output | None]:
    """Choose each row's next token; the outputs of rows that end. The logits may be changed.

    logits: float32 [rows, vocabulary].
    """
    _forbid(rows, logits)
    chosen = choose(logits, _numbers(rows), [row.work.choice for row in rows])
    best = logits.gather(-1, chosen[:, None])[:, 0]
    logs = (best - logits.logsumexp(dim=-1)).tolist()
    return [
        _told(row, token, log, window)
        for row, token, log in zip(rows, chosen.tolist(), logs, strict=True)
    ]


def _told(row: Row, token: int, log: float, window: int) -> Output | None:
    row.new.append(token)
    row.logs.append(log)
    why = _why(row, window)
    if why is not None:
        return row.work.finish(row.new, row.logs, why)
    if row.work.heard is not None:
        row.work.heard(row.new)
    return None


def _why(row: Row, window: int) -> str | None:
    why = row.work.ended(row.new)
    if why is None and len(row.new) >= row.work.limit:
        return "limit"
    if why is None and row.position + 1 >= window:
        return "window"
    return why


def _forbid(rows: Sequence[Row], logits: torch.Tensor) -> None:
    """Take away what may not be chosen, in place."""
    banned = rows[0].work.banned
    if all(row.work.banned is banned for row in rows):
        logits[:, list(banned)] = -torch.inf
    else:
        for number, row in enumerate(rows):
            logits[number, list(row.work.banned)] = -torch.inf
    for number, row in enumerate(rows):
        if row.work.first and not row.new:
            outside = torch.ones_like(logits[number], dtype=torch.bool)
            outside[list(row.work.first)] = False
            logits[number, outside] = -torch.inf


def _numbers(rows: Sequence[Row]) -> torch.Tensor:
    """Each row's random number for its next token; none is made where no row needs one."""
    if all(row.work.choice.temperature == 0 for row in rows):
        return torch.zeros(len(rows))
    ids, steps = [row.draws.ids[0] for row in rows], [len(row.new) for row in rows]
    return torch.from_numpy(Draws(rows[0].draws.seed, ids).uniform(steps))

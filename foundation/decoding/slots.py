"""Rows of a causal model being written; each comes and goes on its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from foundation.adapter import Output
from foundation.decoding.attention import install
from foundation.decoding.cache import copy_row, slot_cache
from foundation.decoding.rows import Plan, Row, admitted, write

if TYPE_CHECKING:
    from foundation.draws import Draws

TOGETHER = 512
"""Given tokens of short rows that pass at once; a longer row passes alone."""


class CausalSlots:
    """`count` rows of a transformers causal model.

    The given tokens of new rows pass one row behind the other, where the model's attention can be
    ours, else one row at a time; then every step passes one token of all rows at once. No row looks
    at another. `window`: the longest row the model can take.
    """

    def __init__(self, model: Any, plan: Plan, count: int, window: int, layers: int) -> None:
        self._model, self._plan, self._window = model, plan, window
        self._side_by_side = install(model)
        self._cache, self._next = slot_cache(layers, count)
        self._waiting: dict[int, Row] = {}
        self._rows: dict[int, Row] = {}
        # The slot whose row has each place in the cache, or None.
        self._places: list[int | None] = []
        self._ended: list[tuple[int, Output]] = []

    def insert(self, slot: int, request: Any, draws: "Draws") -> None:
        row = admitted(self._plan, request, draws, self._window)
        if isinstance(row, Output):
            self._ended.append((slot, row))
        else:
            self._waiting[slot] = row

    def remove(self, slot: int) -> None:
        self._waiting.pop(slot, None)
        if self._rows.pop(slot, None) is not None:
            self._places[self._places.index(slot)] = None

    def step(self) -> Sequence[tuple[int, Output]]:
        """Write the first token of new rows, and then one in every row."""
        while self._waiting:
            self._begin()
        if self._rows:
            self._close_gaps()
            rows = {slot: self._rows[slot] for slot in self._places if slot is not None}
            logits = self._go_on(list(rows.values()))
            for row in rows.values():
                row.position += 1
            self._write(rows, logits)
        ended, self._ended = self._ended, []
        return ended

    def _begin(self) -> None:
        """Put given tokens of some new rows into the cache, once of rows that have the same."""
        passed: dict[tuple[int, ...], int] = {}
        for slot, row in self._rows.items():
            passed.setdefault(tuple(row.work.tokens), slot)
        fresh: dict[tuple[int, ...], int] = {}
        chosen: list[int] = []
        for slot, row in self._waiting.items():
            tokens = tuple(row.work.tokens)
            if tokens not in passed and tokens not in fresh:
                together = sum(map(len, fresh)) + len(tokens)
                if fresh and (not self._side_by_side or together > TOGETHER):
                    continue
                fresh[tokens] = slot
            chosen.append(slot)
        rows = {slot: self._waiting.pop(slot) for slot in chosen}
        places = {slot: self._place(slot) for slot in chosen}
        if fresh:
            logits = self._pass_new([places[slot] for slot in fresh.values()], list(fresh))
            for opening, slot in zip(logits, fresh.values(), strict=True):
                rows[slot].opening = opening
        self._rows |= rows
        for slot, row in rows.items():
            tokens = tuple(row.work.tokens)
            row.position = len(tokens)
            twin = passed.get(tokens, fresh.get(tokens, slot))
            if twin != slot:
                row.opening = self._rows[twin].opening
                copy_row(self._cache, self._places.index(twin), places[slot], len(tokens))
        self._write(
            rows, torch.stack([row.opening for row in rows.values() if row.opening is not None])
        )

    def _place(self, slot: int) -> int:
        """A place in the cache for a slot's row."""
        if None in self._places:
            place = self._places.index(None)
            self._places[place] = slot
            return place
        self._places.append(slot)
        return len(self._places) - 1

    def _close_gaps(self) -> None:
        """Move the last rows to where others left, so that no place passes for nothing."""
        while None in self._places:
            slot = self._places.pop()
            if slot is not None:
                place = self._place(slot)
                copy_row(self._cache, len(self._places), place, self._rows[slot].position)

    @torch.inference_mode()
    def _pass_new(self, places: list[int], given: list[tuple[int, ...]]) -> torch.Tensor:
        """Given tokens of rows -> float32 logits of what follows them [rows, vocabulary]."""
        lengths = [len(tokens) for tokens in given]
        self._next.begin(places, lengths, len(self._places))
        last = torch.tensor(lengths).cumsum(0) - 1
        # A mask of four dimensions is passed on as it is; our attention has no use for it.
        mask = torch.zeros(1, 1, 1, 1) if self._side_by_side else _causal(lengths[0])
        return self._pass(
            torch.tensor([[token for tokens in given for token in tokens]]),
            torch.cat([torch.arange(length) for length in lengths])[None],
            mask.to(self._model.dtype),
            last,
        )[0]

    @torch.inference_mode()
    def _go_on(self, rows: list[Row]) -> torch.Tensor:
        """The last token of rows -> float32 logits of the next one [rows, vocabulary]."""
        self._next.go_on([row.position for row in rows], self._model.device)
        return self._pass(
            torch.tensor([[row.new[-1]] for row in rows]),
            self._next.places[:, None],
            self._next.mask(self._model.dtype),
            1,
        )[:, 0]

    def _pass(
        self, tokens: torch.Tensor, places: torch.Tensor, mask: torch.Tensor, keep: Any
    ) -> torch.Tensor:
        device = self._model.device
        more = {"slots": self._next} if self._side_by_side else {}
        out = self._model(
            input_ids=tokens.to(device),
            attention_mask=mask.to(device),
            position_ids=places.to(device),
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=keep if isinstance(keep, int) else keep.to(device),
            **more,
        )
        logits: torch.Tensor = out.logits.float().cpu()
        return logits

    def _write(self, rows: dict[int, Row], logits: torch.Tensor) -> None:
        """Write each row's next token; rows that end leave. The logits may be changed."""
        outputs = write(list(rows.values()), logits, self._window)
        for slot, output in zip(rows, outputs, strict=True):
            if output is not None:
                self.remove(slot)
                self._ended.append((slot, output))


def _causal(length: int) -> torch.Tensor:
    """Added to the scores of one row's given tokens: [1, 1, length, length], 0 or -inf."""
    return torch.full((length, length), -torch.inf).triu(1)[None, None]

"""Keys and values of rows that come and go: a transformers Cache with a place for each row."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

BLOCK = 64
"""The cache's length is a multiple of it, so that sums are grouped alike whatever other rows do."""


@dataclass
class Pass:
    """What the next forward pass is of.

    rows: places in the cache. lengths: each row's tokens. new: whether they are rows' first tokens,
    one row behind the other in [1, tokens]; else it is the next token of the rows 0, 1, ...
    places: int64 [rows], where the token of each row is written. capacity: the cache's length; all
    of it is looked at, for products of whole tensors are several times as fast as those of parts.
    """

    rows: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    new: bool = True
    places: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    capacity: int = BLOCK
    used: int = 0

    def begin(self, rows: Sequence[int], lengths: Sequence[int], used: int) -> None:
        """New rows of these lengths; `used`: places that hold a row, with these."""
        self.rows, self.lengths, self.new = list(rows), list(lengths), True
        self.capacity = max(self.capacity, _blocks(max(lengths)))
        self.used = used

    def go_on(self, places: Sequence[int], device: torch.device) -> None:
        """The next token of the first rows."""
        self.rows, self.lengths, self.new = list(range(len(places))), [1] * len(places), False
        needed = _blocks(max(places) + 1)
        if not needed <= self.capacity < 2 * needed:
            self.capacity = needed
        self.used = len(places)
        self.places = torch.tensor(places, device=device)
        self.index = torch.arange(len(places), device=device)

    def mask(self, dtype: torch.dtype) -> Tensor:
        """Added to the scores of the next tokens: [rows, 1, 1, capacity], 0 or -inf."""
        behind = torch.arange(self.capacity, device=self.places.device) > self.places[:, None]
        mask = torch.zeros(behind.shape, dtype=dtype, device=behind.device)
        return mask.masked_fill_(behind, -torch.inf)[:, None, None]


def _blocks(length: int) -> int:
    return -(-length // BLOCK) * BLOCK


class SlotLayer(CacheLayerMixin):
    """One layer's keys and values, [rows, heads, capacity, width]."""

    is_sliding = False
    supports_early_init = False

    def __init__(self, count: int, slots: Pass) -> None:
        super().__init__()
        self._count, self._slots = count, slots

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = self._empty(key_states)
        self.values = self._empty(value_states)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write what the pass is of, [rows, heads, length, width]; return what it looks at."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        slots = self._slots
        keys, values = self._fitted()
        if slots.new:
            begin = 0
            for row, length in zip(slots.rows, slots.lengths, strict=True):
                keys[row, :, :length] = key_states[0, :, begin : begin + length]
                values[row, :, :length] = value_states[0, :, begin : begin + length]
                begin += length
            return key_states, value_states
        keys[slots.index, :, slots.places] = key_states[:, :, 0]
        values[slots.index, :, slots.places] = value_states[:, :, 0]
        return keys[: len(slots.rows)], values[: len(slots.rows)]

    def copy(self, row: int, other: int, length: int) -> None:
        """Give another row the first `length` positions of a row."""
        for held in self.states():
            held[other, :, :length] = held[row, :, :length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return (query_length if self._slots.new else self._slots.capacity), 0

    def get_seq_length(self) -> int:
        return 0 if self._slots.new else self._slots.capacity - 1

    def get_max_length(self) -> int:
        return -1

    def states(self) -> tuple[Tensor, Tensor]:
        """Keys and values."""
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def _empty(self, like: Tensor) -> Tensor:
        # No garbage: a place that is not looked at is still multiplied, by zero.
        return like.new_zeros(self._count, like.shape[1], self._slots.capacity, like.shape[-1])

    def _fitted(self) -> tuple[Tensor, Tensor]:
        """Keys and values at the length that the pass wants."""
        keys, values = self.states()
        if keys.shape[2] != self._slots.capacity:
            part = (
                slice(self._slots.used),
                slice(None),
                slice(min(keys.shape[2], self._slots.capacity)),
            )
            self.keys, self.values = self._empty(keys), self._empty(values)
            self.keys[part], self.values[part] = keys[part], values[part]
        return self.states()


def slot_cache(layers: int, count: int) -> tuple[Cache, Pass]:
    """A cache for `count` rows, and what its next pass is of."""
    slots = Pass()
    return Cache(layers=[SlotLayer(count, slots) for _ in range(layers)]), slots


@torch.inference_mode()
def copy_row(cache: Cache, row: int, other: int, length: int) -> None:
    """Give a row of a slot cache the first `length` positions of another, in every layer."""
    for layer in cache.layers:
        assert isinstance(layer, SlotLayer)
        layer.copy(row, other, length)

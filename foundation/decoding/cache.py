"""Keys and values of rows that come and go: a transformers Cache with a place for each slot."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


@dataclass
class Writing:
    """Where the next forward pass writes: rows, and the position each begins at."""

    rows: list[int] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)


class SlotLayer(CacheLayerMixin):
    """One layer's keys and values, [slots, heads, capacity, width]; grows by doubling."""

    is_sliding = False
    supports_early_init = False

    def __init__(self, slots: int, capacity: int, writing: Writing) -> None:
        super().__init__()
        self._slots, self._capacity, self._writing = slots, capacity, writing

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.dtype, self.device = key_states.dtype, key_states.device
        self.keys = self._empty(key_states, self._capacity)
        self.values = self._empty(value_states, self._capacity)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write [rows, heads, length, width] at the rows' places; return all up to the longest."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        length = key_states.shape[-2]
        ends = [start + length for start in self._writing.starts]
        self._reserve(max(ends), key_states, value_states)
        kept = (self._kept(self.keys), self._kept(self.values))
        if len(ends) == 1:
            row, start = self._writing.rows[0], self._writing.starts[0]
            for held, new in zip(kept, (key_states, value_states), strict=True):
                held[row, :, start : start + length] = new[0]
            return kept[0][row : row + 1, :, : ends[0]], kept[1][row : row + 1, :, : ends[0]]
        rows, places = torch.tensor(self._writing.rows), torch.tensor(self._writing.starts)
        for held, new in zip(kept, (key_states, value_states), strict=True):
            held[rows, :, places] = new[:, :, 0]
        return kept[0][:, :, : max(ends)], kept[1][:, :, : max(ends)]

    def copy(self, row: int, other: int, length: int) -> None:
        """Give another row the first `length` positions of a row."""
        for held in (self._kept(self.keys), self._kept(self.values)):
            held[other, :, :length] = held[row, :, :length]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return max(self._writing.starts, default=0) + query_length, 0

    def get_seq_length(self) -> int:
        return max(self._writing.starts, default=0)

    def get_max_length(self) -> int:
        return -1

    def _empty(self, like: Tensor, capacity: int) -> Tensor:
        return like.new_zeros(self._slots, like.shape[1], capacity, like.shape[-1])

    def _reserve(self, length: int, key_states: Tensor, value_states: Tensor) -> None:
        if length <= self._capacity:
            return
        old, self._capacity = self._capacity, max(length, 2 * self._capacity)
        keys, values = self._kept(self.keys), self._kept(self.values)
        self.keys = self._empty(key_states, self._capacity)
        self.values = self._empty(value_states, self._capacity)
        self.keys[:, :, :old], self.values[:, :, :old] = keys, values

    @staticmethod
    def _kept(states: Tensor | None) -> Tensor:
        assert states is not None
        return states


def slot_cache(layers: int, slots: int, capacity: int) -> tuple[Cache, Writing]:
    """A cache for `slots` rows, and where its next pass writes."""
    writing = Writing()
    return Cache(layers=[SlotLayer(slots, capacity, writing) for _ in range(layers)]), writing


@torch.inference_mode()
def copy_row(cache: Cache, row: int, other: int, length: int) -> None:
    """Give a row of a slot cache the first `length` positions of another, in every layer."""
    for layer in cache.layers:
        assert isinstance(layer, SlotLayer)
        layer.copy(row, other, length)


def mask(starts: Sequence[int], length: int) -> Tensor:
    """What each new token may look at: bool [rows, 1, length, longest], True where it may."""
    ends = torch.tensor(starts)[:, None] + torch.arange(length)[None]
    longest = int(ends.max()) + 1
    return torch.arange(longest)[None, None, None] <= ends[:, None, :, None]

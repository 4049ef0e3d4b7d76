"""A causal language model one token at a time, for a fixed number of rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from foundation.decoding.cache import slot_cache


class CausalStepper:
    """Every step passes all rows, each at its own position of a cache that the rows share.

    So rows begin and end when they like, and what one holds never changes another one's result.
    columns: tokens of the longest row.
    """

    def __init__(self, model: Any, rows: int, columns: int) -> None:
        self._model, self._last = model, columns - 1
        self._position = np.zeros(rows, dtype=np.int64)
        self._cache, self._next = slot_cache(model.config.num_hidden_layers, rows)

    def clear(self, rows: Sequence[int]) -> None:
        """Set some rows back to the beginning."""
        self._position[list(rows)] = 0

    def step(self, tokens: Tensor) -> Tensor:
        """One token for each row [rows] -> float32 logits of the next one [rows, vocabulary]."""
        self._next.go_on(self._position.tolist(), self._model.device)
        logits = self._model(
            input_ids=tokens.to(self._model.device)[:, None],
            attention_mask=self._next.mask(self._model.dtype),
            position_ids=self._next.places[:, None],
            past_key_values=self._cache,
            use_cache=True,
        ).logits
        # A row that nobody has cleared stays in its last column.
        self._position = np.minimum(self._position + 1, self._last)
        result: Tensor = logits[:, -1].float().cpu()
        return result

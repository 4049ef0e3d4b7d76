"""A causal language model one token at a time, for a fixed number of rows."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


class CausalStepper:
    """Keys and values have one column a token and a fixed shape [rows, heads, columns, width].

    A row's token goes to the column of its own position and sees the columns up to there, so rows
    begin and end when they like, and what one row holds never changes another one's result.
    """

    def __init__(self, model: Any, rows: int, columns: int) -> None:
        self._model, self._device = model, model.device
        self._position = np.zeros(rows, dtype=np.int64)
        self._columns = torch.arange(columns, device=model.device)
        self._hidden = torch.tensor(torch.finfo(model.dtype).min, device=model.device)
        layer = partial(_Columns, self._now, columns)
        self._cache = Cache(layer_class_to_replicate=layer)  # type: ignore[arg-type]

    def clear(self, rows: Sequence[int]) -> None:
        """Set some rows back to the beginning."""
        self._position[list(rows)] = 0

    def step(self, tokens: Tensor) -> Tensor:
        """One token for each row [rows] -> float32 logits of the next one [rows, vocabulary]."""
        now = self._now()
        seen = self._columns <= now[:, None]
        mask = torch.where(seen, 0.0, self._hidden).to(self._model.dtype)
        logits = self._model(
            input_ids=tokens.to(self._device)[:, None],
            attention_mask=mask[:, None, None, :],
            position_ids=now[:, None],
            past_key_values=self._cache,
            use_cache=True,
        ).logits
        # A row that nobody has cleared stays in its last column.
        self._position = np.minimum(self._position + 1, len(self._columns) - 1)
        result: Tensor = logits[:, -1].float().cpu()
        return result

    def _now(self) -> Tensor:
        return torch.from_numpy(self._position).to(self._device)


class _Columns(DynamicLayer):
    """One layer's keys and values."""

    keys: Tensor
    values: Tensor

    def __init__(self, now: Callable[[], Tensor], columns: int) -> None:
        super().__init__()
        self._now, self._columns = now, columns

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            shape = (*key_states.shape[:2], self._columns)
            self.keys = key_states.new_zeros(*shape, key_states.shape[-1])
            self.values = value_states.new_zeros(*shape, value_states.shape[-1])
            self.is_initialized = True
        rows = torch.arange(len(self.keys), device=self.keys.device)
        self.keys[rows, :, self._now()] = key_states[:, :, 0]
        self.values[rows, :, self._now()] = value_states[:, :, 0]
        return self.keys, self.values

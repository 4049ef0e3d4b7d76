"""What a text encoder made of a prompt is kept: most prompts, and the empty one, come again."""

from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor, nn

MOST = 2**28
"""Bytes kept of each text encoder."""
_TOKENS = ("input_ids", "attention_mask")


class Encoded:
    """Takes the place of a text encoder's forward; a row of tokens is encoded once.

    The rows that are not known yet pass together. `forget` when the encoder's weights change.
    """

    def __init__(self, encoder: nn.Module, most: int = MOST) -> None:
        self._forward, self._most = encoder.forward, most
        self._kept: OrderedDict[Any, Any] = OrderedDict()
        self._bytes = 0

    def forget(self) -> None:
        """Encode everything anew from here on."""
        self._kept.clear()
        self._bytes = 0

    def __call__(self, input_ids: Any = None, attention_mask: Any = None, **more: Any) -> Any:
        """What the encoder's own forward gives for input_ids and attention_mask [rows, tokens]."""
        plain = isinstance(input_ids, Tensor) and input_ids.ndim == 2
        if not plain or any(isinstance(value, Tensor) for value in more.values()):
            given = {"input_ids": input_ids, "attention_mask": attention_mask}
            given = {name: value for name, value in given.items() if value is not None}
            return self._forward(**given, **more)
        keys = _keys(input_ids, attention_mask, more)
        found = {key: self._kept[key] for key in keys if key in self._kept}
        new = {key: row for row, key in enumerate(keys) if key not in found}
        if new:
            rows = list(new.values())
            given = {"input_ids": input_ids[rows]}
            if attention_mask is not None:
                given["attention_mask"] = attention_mask[rows]
            made = self._forward(**given, **more)
            for place, key in enumerate(new):
                found[key] = _row(made, place, len(rows))
        for key in dict.fromkeys(keys):
            self._keep(key, found[key])
        return _joined([found[key] for key in keys])

    def _keep(self, key: Any, value: Any) -> None:
        if key not in self._kept:
            self._bytes += _size(value)
        self._kept[key] = value
        self._kept.move_to_end(key)
        while self._bytes > self._most:
            _, old = self._kept.popitem(last=False)
            self._bytes -= _size(old)


def keep_encoded(pipe: Any) -> list[Encoded]:
    """Let every text encoder of a pipeline keep what it makes of prompts."""
    made = []
    for name, part in pipe.components.items():
        if name.startswith("text_encoder") and isinstance(part, nn.Module):
            kept = Encoded(part)
            part.forward = kept
            made.append(kept)
    return made


def _keys(tokens: Tensor, mask: Tensor | None, more: dict[str, Any]) -> list[Any]:
    rest = tuple(sorted((name, repr(value)) for name, value in more.items()))
    masks: list[Any] = [()] * len(tokens) if mask is None else mask.tolist()
    return [
        (tuple(row), tuple(seen), rest) for row, seen in zip(tokens.tolist(), masks, strict=True)
    ]


def _row(value: Any, place: int, rows: int) -> Any:
    """One row of an output, [1, ...]; what has no rows, such as a key-value cache, is left out."""
    if isinstance(value, Tensor):
        return value[place : place + 1].clone() if value.ndim and len(value) == rows else None
    if isinstance(value, dict):
        return _like(value, {name: _row(each, place, rows) for name, each in value.items()})
    if isinstance(value, tuple | list):
        return tuple(_row(each, place, rows) for each in value)
    return None


def _joined(rows: list[Any]) -> Any:
    first = rows[0]
    if isinstance(first, Tensor):
        return torch.cat(rows) if len(rows) > 1 else first
    if isinstance(first, dict):
        return _like(first, {name: _joined([row[name] for row in rows]) for name in first})
    if isinstance(first, tuple):
        return tuple(_joined(list(each)) for each in zip(*rows, strict=True))
    return None


def _like(model: Any, values: dict[str, Any]) -> Any:
    return type(model)(**{name: value for name, value in values.items() if value is not None})


def _size(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value or ()
    return sum(map(_size, parts)) if isinstance(value, dict | tuple) else 0

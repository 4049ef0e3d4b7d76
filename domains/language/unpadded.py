"""Passes of an encoder on a CPU without padding: rows stand one behind the other.

Every layer but attention sees tokens alone. Attention, as one of transformers' functions, takes the
rows of one length at a time, so that it needs no mask.
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from foundation.attention import attended, use

NAME = "unpadded"
Runs = Sequence[tuple[int, int]]
"""Rows and their length, for rows of one length that follow each other."""


def install(model: Any) -> bool:
    """Have a model use `attend`; False where it cannot, and is then left as it is.

    BERT's positions are counted by whoever asks; other architectures count them on their own.
    """
    plain = model.config.model_type == "bert" and not model.config.is_decoder
    return plain and use(model, NAME, attend)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    runs: Runs | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """transformers' own attention, but for rows one behind the other.

    query, key and value: [1, heads, tokens, width] -> [1, tokens, heads, width].
    """
    if runs is None:
        usual: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
        return usual
    found = torch.empty_like(query.transpose(1, 2))
    begin = 0
    for count, length in runs:
        end = begin + count * length
        asked, keys, values = (
            part[0, :, begin:end].unflatten(1, (count, length)).transpose(0, 1)
            for part in (query, key, value)
        )
        states = attended(asked, keys, values, scaling)
        found[0, begin:end] = states.transpose(1, 2).flatten(0, 1)
        begin = end
    return found, None


def passed(model: Any, rows: Sequence[Sequence[int]], **more: Any) -> tuple[Any, Runs]:
    """Rows of tokens, those of one length together -> what the model says of [1, tokens]."""
    runs = [(len(list(same)), length) for length, same in groupby(map(len, rows))]
    ids = torch.tensor([[token for row in rows for token in row]])
    places = torch.cat([torch.arange(length).repeat(count) for count, length in runs])[None]
    return model(input_ids=ids, position_ids=places, runs=runs, **more), runs


def means(states: Tensor, runs: Runs) -> Tensor:
    """The mean over each row's tokens [1, tokens, width] -> float32 [rows, width]."""
    begin, found = 0, []
    for count, length in runs:
        end = begin + count * length
        found.append(states[0, begin:end].float().unflatten(0, (count, length)).mean(1))
        begin = end
    return torch.cat(found)


def firsts(states: Tensor, runs: Runs) -> Tensor:
    """The first token of each row [1, tokens, width] -> float32 [rows, width]."""
    lengths = torch.tensor([length for count, length in runs for _ in range(count)])
    return states[0, lengths.cumsum(0) - lengths].float()

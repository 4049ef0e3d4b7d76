"""Attention of rows that come and go, as one of transformers' attention functions.

New rows pass one behind the other without padding, each looking at itself alone. Rows that are gone
on with look at the used part of the cache by two batched products, the query heads that share a
key head side by side: nothing is copied, and a row's sums do not depend on the other rows.
"""

from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from foundation.attention import use
from foundation.decoding.cache import Pass

NAME = "slots"


def install(model: Any) -> bool:
    """Have a model use `attend`; False where it cannot, and is then left as it is."""
    capped = getattr(model.config.get_text_config(), "attn_logit_softcapping", None)
    return not capped and use(model, NAME, attend)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    slots: Pass | None = None,
    sliding_window: int | None = None,
    **more: Any,
) -> tuple[Tensor, None]:
    """transformers' own attention, but for passes of `slots`.

    query: [rows, heads, length, width], key and value with their own number of heads -> [rows,
    length, heads, width]. sliding_window: places a token looks at, itself included.
    """
    if slots is None:
        states: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask,
            scaling=scaling, sliding_window=sliding_window, **more,
        )  # fmt: skip
        return states
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if slots.new:
        return _new(query, key, value, slots, scale, sliding_window), None
    assert attention_mask is not None
    return _next(query, key, value, attention_mask, slots, scale, sliding_window), None


def _new(
    query: Tensor, key: Tensor, value: Tensor, slots: Pass, scale: float, window: int | None
) -> Tensor:
    """Rows one behind the other, [1, heads, tokens, width], each from its first token."""
    begin, found = 0, []
    for length in slots.lengths:
        part = slice(begin, begin + length)
        banded = window is not None and length > window
        found.append(
            torch.nn.functional.scaled_dot_product_attention(
                query[:, :, part],
                key[:, :, part],
                value[:, :, part],
                attn_mask=_band(length, window, query.device) if banded and window else None,
                is_causal=not banded,
                scale=scale,
                enable_gqa=query.shape[1] != key.shape[1],
            )
        )
        begin += length
    return torch.cat(found, dim=2).transpose(1, 2)


def _next(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    slots: Pass,
    scale: float,
    window: int | None,
) -> Tensor:
    """One token a row, [rows, heads, 1, width]; mask: what is added, [rows, 1, 1, longest]."""
    rows, heads, _, width = query.shape
    groups, longest = key.shape[1], key.shape[2]
    if window is not None and window < longest:
        places = torch.arange(longest, device=mask.device)
        mask = mask.masked_fill(places <= slots.places[:, None, None, None] - window, -torch.inf)
    # For each key head, the query heads that share it.
    asked = query.reshape(rows * groups, heads // groups, width)
    scores = torch.bmm(asked, key.flatten(0, 1).transpose(1, 2)).view(rows, groups, -1, longest)
    chances = torch.add(mask, scores, alpha=scale).softmax(-1).flatten(0, 1)
    states = torch.bmm(chances, value.flatten(0, 1))
    return states.view(rows, 1, heads, value.shape[-1])


def _band(length: int, window: int, device: torch.device) -> Tensor:
    places = torch.arange(length, device=device)
    gap = places[:, None] - places
    return (gap >= 0) & (gap < window)

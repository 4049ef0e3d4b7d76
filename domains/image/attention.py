"""Attention of the starter while it is trained."""

from typing import Any

import torch
from torch import Tensor


class Attended:
    """What PRXAttnProcessor2_0 of diffusers computes, spelt out.

    On a CPU the fused kernel goes back through few tokens several times slower than this.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Tensor | None = None,
        **_: Any,
    ) -> Tensor:
        """Tokens [rows, tokens, width], text [rows, words, width], its mask [rows, words]."""
        rows, count, width = hidden_states.shape
        shape = (rows, -1, attn.heads, attn.head_dim)
        query, key, value = (
            each.reshape(shape).transpose(1, 2)
            for each in attn.img_qkv_proj(hidden_states).chunk(3, -1)
        )
        said, meant = (
            each.reshape(shape).transpose(1, 2)
            for each in attn.txt_kv_proj(encoder_hidden_states).chunk(2, -1)
        )
        query, key, said = attn.norm_q(query), attn.norm_k(key), attn.norm_added_k(said)
        if image_rotary_emb is not None:
            query, key = _turned(query, image_rotary_emb), _turned(key, image_rotary_emb)
        keys = torch.cat((said, key), 2).transpose(-1, -2)
        weights = (query * attn.head_dim**-0.5).to(value.dtype) @ keys.to(value.dtype)
        if attention_mask is not None:
            hidden = torch.nn.functional.pad(~attention_mask, (0, count))[:, None, None]
            weights = weights.masked_fill(hidden, -torch.inf)
        mixed = weights.softmax(-1).to(value.dtype) @ torch.cat((meant, value), 2)
        mixed = mixed.transpose(1, 2).reshape(rows, count, width)
        out: Tensor = attn.to_out[0](mixed)
        return out


def _turned(states: Tensor, turns: Tensor) -> Tensor:
    """Rotary places: pairs of neighbouring units turned; turns [rows, 1, tokens, units / 2, 2, 2].

    Every row has the same grid, so the first one's turns are all that is needed.
    """
    cos, sin = turns[:1, ..., 0, 0].to(states.dtype), turns[:1, ..., 1, 0].to(states.dtype)
    even, odd = states[..., 0::2], states[..., 1::2]
    pair = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1)
    return pair.flatten(-2)

"""Attention functions of our own, and how models of transformers are made to use them."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

SHORT, LONG, VECTOR = 64, 1024, 16
"""Tokens up to which `attended` multiplies on a CPU, and in bfloat16; numbers of a register."""
SCORES = 2**22
"""Scores that are held at once where there are more tokens than SHORT."""


def use(model: Any, name: str, attend: Callable[..., Any]) -> bool:
    """Have a model attend by a function, known as `name`, with the masks of transformers' sdpa.

    False where the model cannot, and is then left as it is: it attends otherwise than by sdpa, or
    does not ask transformers for its attention.
    """
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    config = model.config.get_text_config()
    if config._attn_implementation == name:
        return True
    if config._attn_implementation != "sdpa" or not model._supports_attention_backend:
        return False
    AttentionInterface.register(name, attend)
    AttentionMaskInterface.register(name, sdpa_mask)
    model.set_attn_implementation(name)
    return bool(config._attn_implementation == name)


def attended(
    query: "Tensor", key: "Tensor", value: "Tensor", scale: float | None = None
) -> "Tensor":
    """Attention without a mask or gradients, [rows, heads, tokens, units], the faster way.

    scale: of the products; None: 1 / sqrt(units).

    On a CPU torch's fused kernel spends most of its time around small products, and makes little
    of bfloat16: two batched products are 1.5 to 3 times as fast there.
    """
    from torch import bfloat16, cat
    from torch.nn.functional import scaled_dot_product_attention

    heads, tokens = query.shape[1:3]
    most = LONG if query.dtype == bfloat16 else SHORT
    if query.device.type != "cpu" or tokens > most:
        return scaled_dot_product_attention(query, key, value, scale=scale)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    if tokens <= SHORT:
        return _by_products(query, key, value, scale)
    together = max(1, SCORES // (heads * tokens * tokens))
    found = []
    for first in range(0, len(query), together):
        some = slice(first, first + together)
        found.append(_by_products(query[some], key[some], value[some], scale))
    return found[0] if len(found) == 1 else cat(found)


def _by_products(query: "Tensor", key: "Tensor", value: "Tensor", scale: float) -> "Tensor":
    from torch import baddbmm, bmm

    asked, keys, values = (part.flatten(0, 1) for part in (query, key, value))
    if query.shape[2] > SHORT:  # scores as precise as the states: passing them twice costs most
        scores = baddbmm(asked.new_empty(1), asked, keys.transpose(1, 2), beta=0, alpha=scale)
        chances = scores.softmax(-1)
    elif query.shape[2] >= VECTOR:
        chances = bmm(asked, keys.transpose(1, 2)).float().mul_(scale).softmax(-1)
    else:  # torch's softmax is slow on rows that fill no vector register
        scores = bmm(asked, keys.transpose(1, 2)).float().mul_(scale)
        chances = scores.sub_(scores.amax(-1, keepdim=True)).exp_()
        chances.div_(chances.sum(-1, keepdim=True))
    return bmm(chances.to(values.dtype), values).view(*query.shape[:3], -1)

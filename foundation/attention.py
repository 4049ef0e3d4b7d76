"""Attention functions of our own in models of transformers."""

from collections.abc import Callable
from typing import Any


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

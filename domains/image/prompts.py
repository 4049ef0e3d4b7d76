"""How much of a prompt the text encoders read."""

from typing import Any

from foundation.domains.image.loading import parameters

_ENDLESS = 100_000  # a tokenizer without a limit says a number far above


def cut(pipe: Any, prompt: str) -> str | None:
    """The end of a prompt that no encoder of the pipeline reads; None where all is read."""
    left: str | None = None
    for name, tokenizer in pipe.components.items():
        if not name.startswith("tokenizer") or tokenizer is None:
            continue
        numbers = tokenizer(prompt, add_special_tokens=True)["input_ids"]
        room = _room(pipe, tokenizer)
        if room is None or len(numbers) <= room:
            return None
        kept = room - tokenizer.num_special_tokens_to_add()
        rest = tokenizer(prompt, add_special_tokens=False)["input_ids"][kept:]
        text = str(tokenizer.decode(rest, skip_special_tokens=True)).strip()
        left = text if left is None or len(text) < len(left) else left
    return left


def _room(pipe: Any, tokenizer: Any) -> int | None:
    """Tokens that are read, with the special ones."""
    limits = [tokenizer.model_max_length, getattr(pipe.config, "prompt_max_tokens", None)]
    if "CLIP" not in type(tokenizer).__name__:
        limits.append(parameters(pipe).get("max_sequence_length"))
    known = [limit for limit in limits if isinstance(limit, int) and limit < _ENDLESS]
    return min(known) if known else None

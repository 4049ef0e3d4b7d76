"""The log-likelihood of texts under a causal model."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch

from foundation.adapter import Output
from foundation.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from foundation.decoding.script import Script

LOGITS = 2**26
"""Numbers of one pass's logits, 256 MiB in float32: rows are passed in groups that keep to it."""


def score(model: Any, script: "Script", texts: Sequence[str]) -> Iterator[tuple[int, Output]]:
    """(row, output) with the natural log-likelihood of the text's tokens and their number.

    The first token is scored after the model's own first one.
    """
    rows: dict[int, list[int]] = {}
    for row, text in enumerate(texts):
        try:
            rows[row] = _tokens(script, text)
        except RequestError as error:
            yield row, Output(None, reason=str(error), refused=True)
    vocabulary = model.config.get_text_config().vocab_size
    for group in _groups(rows, LOGITS // vocabulary):
        totals = likelihoods(model, [rows[row] for row in group])
        for row, total in zip(group, totals, strict=True):
            count = len(rows[row]) - 1
            extra = {"log_likelihood": total, "tokens": count}
            yield row, Output(texts[row], extra=extra, usage={"tokens": float(count)})


def _tokens(script: "Script", text: str) -> list[int]:
    script.check_length(text)
    tokens = script.tokens(text)
    if tokens[:1] != [script.begin]:
        tokens = [script.begin, *tokens]
    if len(tokens) > script.window:
        raise RequestError(
            f"{len(tokens)} tokens are more than the model's window of {script.window}"
        )
    return tokens


def _groups(rows: dict[int, list[int]], most: int) -> Iterator[list[int]]:
    """Rows by length, as many as `most` padded tokens hold, and at least one."""
    group: list[int] = []
    for row in sorted(rows, key=lambda row: (len(rows[row]), row)):
        if group and (len(group) + 1) * len(rows[row]) > most:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


@torch.inference_mode()
def likelihoods(model: Any, rows: Sequence[Sequence[int]]) -> list[float]:
    """The summed log-probability of each row's tokens after its first one."""
    longest = max(map(len, rows))
    # Causal attention never looks at the padding, which is at the end.
    tokens = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows])
    tokens = tokens.to(model.device)
    logits: Tensor = model(tokens, use_cache=False).logits[:, :-1].float()
    places = torch.arange(1, longest, device=model.device)[None]
    last = torch.tensor([len(row) for row in rows], device=model.device)[:, None]
    each = logits.gather(-1, tokens[:, 1:, None])[..., 0] - logits.logsumexp(-1)
    totals: list[float] = (each * (places < last)).sum(1).tolist()
    return totals

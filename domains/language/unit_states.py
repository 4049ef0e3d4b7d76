"""What an encoder makes of each unit of a text; texts over the window pass in overlapping ones."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from foundation.domains.language.spans import Unit
from foundation.domains.language.views import lower

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OVERLAP = 4
"""Neighbouring windows share one part in this many."""


@dataclass(frozen=True)
class Window:
    """Tokens of one pass, and the pieces of each unit that is looked up in it.

    text: the text's number. units: numbers of its units; pieces: places of each one's tokens.
    inner: the places of all tokens that stand for text.
    """

    text: int
    tokens: list[int]
    units: list[int]
    pieces: list[list[int]]
    inner: list[int]


def windows(
    tokenizer: Any, texts: Sequence[str], parts: Sequence[Sequence[Unit]], longest: int
) -> list[Window]:
    """The passes that texts need; a unit is looked up where it is farthest from an edge."""
    if not texts:
        return []
    cut = tokenizer(
        list(texts),
        truncation=True,
        max_length=longest,
        stride=max(0, min(longest // OVERLAP, longest - 4)),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    found: list[Window] = []
    best: dict[tuple[int, int], tuple[int, int, list[int]]] = {}
    for number, owner in enumerate(cut["overflow_to_sample_mapping"]):
        offsets = cut["offset_mapping"][number]
        inner = [place for place, (start, end) in enumerate(offsets) if end > start]
        found.append(Window(owner, cut["input_ids"][number], [], [], inner))
        for unit, pieces in _pieces(offsets, inner, parts[owner]):
            margin = min(pieces[0] - inner[0], inner[-1] - pieces[-1])
            if (owner, unit) not in best or margin > best[owner, unit][0]:
                best[owner, unit] = (margin, number, pieces)
    for (_, unit), (_, number, pieces) in best.items():
        found[number].units.append(unit)
        found[number].pieces.append(pieces)
    return found


def _pieces(
    offsets: Sequence[Unit], inner: Sequence[int], parts: Sequence[Unit]
) -> Iterator[tuple[int, list[int]]]:
    """(unit, places of the tokens that share a character with it), of those that have any."""
    import bisect

    first = 0 if not inner else bisect.bisect_right(parts, offsets[inner[0]][0], key=lambda u: u[1])
    begin = 0
    for unit in range(first, len(parts)):
        start, end = parts[unit]
        while begin < len(inner) and offsets[inner[begin]][1] <= start:
            begin += 1
        stop = begin
        while stop < len(inner) and offsets[inner[stop]][0] < end:
            stop += 1
        if stop > begin:
            yield unit, list(inner[begin:stop])
        if begin == len(inner):
            return


def features(model: Any, pad: int, some: Sequence[Window]) -> "list[NDArray[np.float32]]":
    """Of each window [its units, features]: several layers' states, and what stands around them.

    Every part has length 1.
    """
    import numpy as np
    import torch

    depth = model.config.num_hidden_layers
    longest = max(len(window.tokens) for window in some)
    ids = torch.tensor([[*w.tokens, *[pad] * (longest - len(w.tokens))] for w in some])
    real = torch.tensor([[n < len(w.tokens) for n in range(longest)] for w in some])
    with torch.inference_mode():
        out = model(
            input_ids=ids.to(model.device),
            attention_mask=real.long().to(model.device),
            output_hidden_states=True,
        )
        layers = [out.hidden_states[layer] for layer in (*lower(depth), depth)]
        states = torch.stack(layers, 2).float().cpu().numpy()
    found = []
    for window, rows in zip(some, states, strict=True):
        width = rows.shape[-1]
        each = np.array([rows[pieces].mean(0) for pieces in window.pieces])
        each = each.reshape(len(window.pieces), len(layers), width)
        around = rows[window.inner, -1].mean(0) if window.inner else np.zeros(width)
        around = np.broadcast_to(around, (len(each), 1, width))
        both = np.concatenate([each, around], 1)
        both /= np.linalg.norm(both, axis=-1, keepdims=True).clip(1e-9)
        found.append(both.reshape(len(each), (len(layers) + 1) * width).astype(np.float32))
    return found


def width(model: Any) -> int:
    """The number of features of a unit."""
    layers = len(lower(model.config.num_hidden_layers)) + 2
    return layers * int(model.config.hidden_size)

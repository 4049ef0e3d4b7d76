"""A head on the states of a causal model: what it makes of texts, and who classifies by it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from foundation.adapter import Output
from foundation.domains.language.examples import labelled
from foundation.domains.language.head import Head, fit
from foundation.domains.language.labels import labelled_output, spoken
from foundation.domains.language.views import Standard, Views, lower, standard, unit

if TYPE_CHECKING:
    from foundation.decoding.script import Script
    from foundation.domains.language.inputs import Classify

PASS = 4096
"""Tokens of one pass, padding included."""


def views(model: Any, script: "Script", texts: Sequence[str]) -> tuple[Views, list[int]]:
    """What a head sees of texts, and the tokens of each; long ones pass window by window.

    The vector is the mean state at two thirds of the depth, where causal models hold most meaning.
    """
    depth = model.config.get_text_config().num_hidden_layers
    layers = lower(depth)
    rows, owners = [], []
    for owner, text in enumerate(texts):
        tokens = script.words(text)
        step = script.window - 1
        for start in range(0, max(len(tokens), 1), step):
            rows.append([script.begin, *tokens[start : start + step]])
            owners.append(owner)
    sums: Any = None
    counts = [0] * len(texts)
    for group in _groups(rows):
        for place, found in zip(group, _pass(model, [rows[p] for p in group], layers), strict=True):
            if sums is None:
                sums = np.zeros((len(texts), *found.shape))
            sums[owners[place]] += found
            counts[owners[place]] += max(len(rows[place]) - 1, 1)
    means = (sums / np.array(counts)[:, None, None]).astype(np.float32)
    below = np.concatenate([unit(means[:, place]) for place in range(len(layers) - 1)], axis=1)
    return Views(tuple(texts), means[:, -1], below), counts


def _groups(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    group: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: (len(rows[place]), place)):
        if group and (len(group) + 1) * len(rows[place]) > PASS:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


@torch.inference_mode()
def _pass(model: Any, rows: Sequence[Sequence[int]], layers: Sequence[int]) -> Any:
    """Of each row the summed states of its tokens behind the first [rows, layers, width]."""
    longest = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (longest - len(row))] for row in rows], device=model.device)
    lengths = torch.tensor([[len(row)] for row in rows], device=model.device)
    # Causal attention never looks at the padding, which is at the end.
    states = model(ids, use_cache=False, output_hidden_states=True, logits_to_keep=1).hidden_states
    places = torch.arange(longest, device=model.device)[None]
    # The first token takes up what attention has no other place for, unless it is all there is.
    real = (places < lengths) & ((places > 0) | (lengths == 1))
    sums = [(states[layer].float() * real[..., None]).sum(1) for layer in layers]
    return torch.stack(sums, 1).double().cpu().numpy()


@dataclass(frozen=True)
class Headed:
    """Classifies by a head on a causal model's states. loss: of examples that were held out."""

    model: Any
    script: "Script"
    labels: tuple[str, ...]
    standard: Standard
    head: Head

    @property
    def loss(self) -> float | None:
        return self.head.loss

    def outputs(self, batch: Sequence["Classify"]) -> Iterator[tuple[int, Output]]:
        """(row, output) of each request."""
        seen, tokens = views(self.model, self.script, [request.text for request in batch])
        chances = self.head.probabilities(self.standard.of(seen)).tolist()
        for row, request in enumerate(batch):
            output = labelled_output(self.labels, chances[row], request.threshold)
            yield row, replace(output, usage={"tokens": float(tokens[row])})


def headed(model: Any, script: "Script", request: "Classify") -> Headed:
    """A head fitted to a request's examples."""
    pairs, labels = labelled(request.examples, request.labels)
    seen, _ = views(model, script, [text for text, _ in pairs])
    scale = standard(seen)
    said = spoken(labels)
    names = scale.of(views(model, script, said)[0]) if said else None
    targets = [labels.index(label) for _, label in pairs]
    return Headed(model, script, labels, scale, fit(scale.of(seen), targets, len(labels), names))

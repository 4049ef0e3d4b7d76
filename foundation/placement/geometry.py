"""The shape of a transformer as its config.json tells it, and what its passes need.

Formulas: of key-value caches, Pope et al. 2022 (arXiv:2211.05102); operations of a token, 2 a
parameter, Kaplan et al. 2020 (arXiv:2001.08361). The constants are first estimates, set by few
measurements: `python -m benchmarks.estimates` holds them against the peaks of real runs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from foundation.adapter import Cost
from foundation.hub.facts import config
from foundation.spec import ModelSpec

SIZES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 4}
"""Bytes of a number; "auto" is taken for the larger."""
BLOCK = 64
LOGITS = 4
"""Copies of a row's logits while a token is chosen."""
TOGETHER = 512
"""Tokens that pass at once, of short texts together."""
CHARACTERS = 4
"""Of a token, about, in what people write."""
NAMES = {
    "layers": ("num_hidden_layers", "n_layer", "num_layers"),
    "width": ("hidden_size", "n_embd", "d_model"),
    "heads": ("num_attention_heads", "n_head", "num_heads"),
    "vocabulary": ("vocab_size",),
    "hidden": ("intermediate_size", "n_inner", "ffn_dim", "d_ff"),
}


@dataclass(frozen=True)
class Geometry:
    """layers; width of the states; heads, of them with keys of their own, and a head's width;
    hidden units of a layer's perceptron; tokens of the vocabulary."""

    layers: int
    width: int
    heads: int
    key_heads: int
    head: int
    hidden: int
    vocabulary: int

    def cache(self, tokens: int, size: int) -> int:
        """Bytes of keys and values of a row of tokens, in numbers of `size` bytes."""
        blocks = -(-tokens // BLOCK) * BLOCK
        return 2 * self.layers * self.key_heads * self.head * blocks * size

    def activations(self, tokens: int, size: int, hidden: int = 5) -> int:
        """Bytes of the states of so many tokens in one layer, the widest at once.

        hidden: states of the perceptron that are held together.
        """
        return tokens * size * (10 * self.width + hidden * self.hidden)


USUAL = Geometry(
    layers=24, width=1024, heads=16, key_heads=16, head=64, hidden=4096, vocabulary=50_000
)
"""What is taken for a model whose config is not known."""


def geometry(config: Mapping[str, Any]) -> Geometry | None:
    """The shape that a config of transformers tells; None where it tells none."""
    text = config.get("text_config") or config
    found: dict[str, Any] = {
        ours: next((text[name] for name in names if text.get(name)), None)
        for ours, names in NAMES.items()
    }
    if not all(type(found[name]) is int for name in ("layers", "width", "heads", "vocabulary")):
        return None
    head = text.get("head_dim") or found["width"] // found["heads"]
    keys = text.get("num_key_value_heads") or found["heads"]
    hidden = found.pop("hidden") or 4 * found["width"]
    return Geometry(key_heads=keys, head=head, hidden=hidden, **found)


def mapped(spec: ModelSpec) -> int:
    """Bytes of the files that the weights are read from."""
    return int(spec.facts.get("bytes") or SIZES.get(spec.dtype, 4) * (spec.parameters or 0))


ACTIVATED = 4
"""Hidden states held together where a packed layer does its own activation, as encoders' do."""


def reading_cost(spec: ModelSpec, tokens: int, together: int = TOGETHER) -> Cost:
    """Of a model that reads texts of `tokens`, and `together` tokens at most in one pass."""
    size, parameters = SIZES.get(spec.dtype, 4), spec.parameters or 0
    shape = geometry(config(spec)) or USUAL
    return Cost(
        weights=size * parameters,
        memory=shape.activations(tokens, size, ACTIVATED),
        most=shape.activations(max(tokens, together), size, ACTIVATED),
        work=2.0 * parameters * tokens,
    )


def writing_cost(spec: ModelSpec, given: int, new: int, together: int = TOGETHER) -> Cost:
    """Of a model that goes on from `given` tokens with `new` ones.

    together: given tokens that pass at once. `cache_per_token` in the spec's options: numbers kept
    of each token, where no config tells.
    """
    size, parameters = SIZES.get(spec.dtype, 4), spec.parameters or 0
    known = geometry(config(spec))
    shape = known or USUAL
    kept = shape.cache(given + new, size)
    if known is None and "cache_per_token" in spec.options:
        kept = size * (given + new) * int(spec.options["cache_per_token"])
    return Cost(
        weights=_weights(spec, shape),
        memory=kept + LOGITS * 4 * shape.vocabulary,
        fixed=shape.activations(max(given, together), size),
        work=2.0 * parameters * (given + new),
    )


def scoring_cost(spec: ModelSpec, tokens: int, most: int = 2**26) -> Cost:
    """Of a model that scores texts of `tokens`; `most`: numbers of logits in one pass."""
    size, parameters = SIZES.get(spec.dtype, 4), spec.parameters or 0
    shape = geometry(config(spec)) or USUAL
    each = shape.activations(1, size) + shape.vocabulary * (size + 8)
    return Cost(
        weights=_weights(spec, shape),
        memory=tokens * each,
        most=max(tokens, most // shape.vocabulary) * each,
        work=2.0 * parameters * tokens,
    )


def causal_cost(spec: ModelSpec, text: str | None, prompt: str, new: int) -> Cost:
    """Of a causal model that scores a text, or goes on from a prompt with `new` tokens.

    size: characters.
    """
    given = prompt if text is None else text
    tokens = len(given) // CHARACTERS + 1
    cost = writing_cost(spec, tokens, new) if text is None else scoring_cost(spec, tokens)
    return replace(cost, mapped=mapped(spec) + _told_twice(spec), size=len(given) + 1)


def _told_twice(spec: ModelSpec) -> int:
    """Bytes of an embedding that is the logits' layer, too: on a CPU that one is packed apart."""
    shape = geometry(config(spec))
    if shape is None or spec.bits or not config(spec).get("tie_word_embeddings", True):
        return 0
    return SIZES.get(spec.dtype, 4) * shape.vocabulary * shape.width


def _weights(spec: ModelSpec, shape: Geometry) -> int:
    """Bytes of the weights; in fewer bits, of all but the embedding."""
    size, parameters = SIZES.get(spec.dtype, 4), spec.parameters or 0
    if spec.bits is None:
        return size * parameters
    whole = min(parameters, shape.vocabulary * shape.width)
    return size * whole + (parameters - whole) * spec.bits // 8

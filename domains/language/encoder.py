"""Text encoders of transformers, as sentence-transformers publishes them: embed, classify and tag.

Options of a model's YAML, each taking the place of what the model's own files say:
    pooling: mean or cls. normalise: whether vectors have length 1. window: tokens of a pass.
    prefix: what the model wants before every text, such as "query: ".
"""

import json
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement
from foundation.domains.language.inputs import Classify, Text
from foundation.domains.language.tagging import Tag
from foundation.domains.language.tuned import read_tuned
from foundation.draws import Draws
from foundation.errors import RequestError, SourceError
from foundation.spec import EMPTY, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from foundation.domains.language.head import Head
    from foundation.domains.language.tagger import Tagger
    from foundation.domains.language.views import Views

PASS = 8192
"""Tokens of one pass, padding included."""
FEW, LONGER = 16, 1.25
"""Rows that are worth a pass of their own where the next are longer by this: they pad less."""


class TextEncoder:
    """Any encoder with mean or first-token pooling.

    A text longer than the window is split; its vector is the mean over all its tokens (or, by first
    token, over its windows).
    """

    offloads = ("host", "disk")
    model: Any
    width: int

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of the states of a text's tokens, or of a whole pass; size in characters."""
        from foundation.placement.geometry import CHARACTERS, reading_cost

        length = len(getattr(request, "text", None) or "") + 1
        return replace(reading_cost(spec, length // CHARACTERS + 1, PASS), size=length)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.domains.language.unpadded import install
        from foundation.hub.gguf import plain
        from foundation.packed import pack
        from foundation.pretrained import read_model, read_tokenizer

        if placement.threads:
            torch.set_num_threads(placement.threads)
        folder = plain(folder)
        dtype = getattr(torch, placement.dtype)
        model = read_model(folder, "AutoModel", dtype, spec.deltas, placement)
        self.model = pack(model)
        self._unpadded = placement.device == "cpu" and install(self.model)
        self._tuned = read_tuned(folder, spec)
        self.width = model.config.hidden_size
        self._tokenizer = read_tokenizer(folder)
        self._pooling, self._normalise = _pooling(folder, spec.options)
        self._window = _window(folder, spec.options, self._tokenizer, model.config)
        self._prefix = str(spec.options.get("prefix", ""))
        self._heads: dict[Hashable, tuple[tuple[str, ...], Head]] = {}
        self._taggers: dict[Hashable, Tagger] = {}

    def key(self, task: str, request: Any) -> Hashable:
        if not isinstance(request, Classify | Tag):
            return ()
        return (request.labels, request.examples, request.method)

    def run(
        self, task: str, batch: Sequence[Text | Classify | Tag], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        """Embed, classify or tag."""
        if task == "classify":
            yield from self._classify([r for r in batch if isinstance(r, Classify)])
            return
        if task == "tag":
            yield from self._tag([r for r in batch if isinstance(r, Tag)])
            return
        vectors, tokens, windows = self.vectors([request.text for request in batch])
        for row, request in enumerate(batch):
            extra = {"embedding": vectors[row], "tokens": tokens[row], "windows": windows[row]}
            yield row, Output(request.text, extra=extra, usage={"tokens": float(tokens[row])})

    def vectors(
        self, texts: Sequence[str], layers: Sequence[int] = ()
    ) -> "tuple[NDArray[np.float32], list[int], list[int]]":
        """Texts -> float32 [texts, width], and the tokens and windows of each.

        layers: hidden states whose means follow the vector, each of length 1.
        """
        import numpy as np

        cut = self._tokenizer(
            [self._prefix + text for text in texts],
            truncation=True,
            max_length=self._window,
            return_overflowing_tokens=True,
            return_token_type_ids=False,
            return_attention_mask=False,
            verbose=False,
        )
        rows: list[list[int]] = cut["input_ids"]
        owners: list[int] = cut["overflow_to_sample_mapping"]
        sums = np.zeros((len(texts), 1 + len(layers), self.width))
        tokens, windows = [0] * len(texts), [0] * len(texts)
        one_pass = self._pass_unpadded if self._unpadded else self._pass
        for group in _groups(rows, padded=not self._unpadded):
            states = one_pass([rows[place] for place in group], layers)
            for place, vector in zip(group, states, strict=True):
                share = len(rows[place]) if self._pooling == "mean" else 1
                sums[owners[place]] += share * vector
                tokens[owners[place]] += len(rows[place])
                windows[owners[place]] += 1
        shares = np.array(tokens if self._pooling == "mean" else windows)[:, None, None]
        means = sums / shares
        lengths = np.maximum(np.linalg.norm(means, axis=2, keepdims=True), 1e-12)
        if not self._normalise:
            lengths[:, 0] = 1
        return (means / lengths).reshape(len(texts), -1).astype(np.float32), tokens, windows

    def views(self, texts: Sequence[str]) -> "tuple[Views, list[int]]":
        """What a head sees of texts, and the tokens of each."""
        from foundation.domains.language.views import Views, lower, unit

        layers = lower(self.model.config.num_hidden_layers)
        found, tokens, _ = self.vectors(texts, layers)
        vectors, below = found[:, : self.width], found[:, self.width :]
        return Views(tuple(texts), unit(vectors), below), tokens

    def close(self) -> None:
        del self.model, self._tokenizer, self._heads, self._taggers

    def _pass(self, rows: Sequence[Sequence[int]], layers: Sequence[int]) -> "NDArray[np.float64]":
        """Tokens of windows -> their pooled states [rows, 1 + layers, width], of any length."""
        import torch

        device, longest = self.model.device, max(map(len, rows))
        pad = self._tokenizer.pad_token_id or 0
        ids = torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows], device=device)
        lengths = torch.tensor([[len(row)] for row in rows], device=device)
        real = torch.arange(longest, device=device)[None] < lengths
        with torch.inference_mode():
            out = self.model(
                input_ids=ids, attention_mask=real.long(), output_hidden_states=bool(layers)
            )
            pooled = [self._pooled(out.last_hidden_state, real)]
            pooled += [_mean(out.hidden_states[layer], real) for layer in layers]
        vectors: NDArray[np.float64] = torch.stack(pooled, 1).double().cpu().numpy()
        return vectors

    def _pass_unpadded(
        self, rows: Sequence[Sequence[int]], layers: Sequence[int]
    ) -> "NDArray[np.float64]":
        """The same without padding; rows come by length."""
        import torch

        from foundation.domains.language.unpadded import firsts, means, passed

        with torch.inference_mode():
            out, runs = passed(self.model, rows, output_hidden_states=bool(layers))
            pool = firsts if self._pooling == "cls" else means
            pooled = [pool(out.last_hidden_state, runs)]
            pooled += [means(out.hidden_states[layer], runs) for layer in layers]
        vectors: NDArray[np.float64] = torch.stack(pooled, 1).double().numpy()
        return vectors

    def _pooled(self, states: Any, real: Any) -> Any:
        return states[:, 0].float() if self._pooling == "cls" else _mean(states, real)

    def _classify(self, batch: Sequence[Classify]) -> Iterator[tuple[int, Output]]:
        from foundation.domains.language.labels import labelled_output

        if self._tuned is not None and self._tuned.answers(batch[0]):
            vectors, tokens, _ = self.vectors([request.text for request in batch])
            for row, chances in enumerate(self._tuned.probabilities(vectors)):
                output = labelled_output(self._tuned.labels, chances, batch[row].threshold)
                yield row, replace(output, usage={"tokens": float(tokens[row])})
            return
        labels, head = self._head(batch[0])
        views, tokens = self.views([request.text for request in batch])
        for row, chances in enumerate(head.probabilities(views).tolist()):
            output = labelled_output(labels, chances, batch[row].threshold)
            yield row, replace(output, usage={"tokens": float(tokens[row])})

    def _tag(self, batch: Sequence[Tag]) -> Iterator[tuple[int, Output]]:
        from foundation.domains.language.tagging import tagged_output

        found = self._tagger(batch[0]).tag([request.text for request in batch])
        for row, (request, (spans, chances)) in enumerate(zip(batch, found, strict=True)):
            yield row, tagged_output(request.text, spans, chances, request.threshold)

    def _tagger(self, request: Tag) -> "Tagger":
        """The tagger fitted to a request's examples, once."""
        from foundation.domains.language.tagger import Encoder, fit
        from foundation.domains.language.tagging import tagged

        if request.method == "prompt":
            raise RequestError("task.method=prompt needs a model with task=generate")
        key = self.key("tag", request)
        if key not in self._taggers:
            encoder = Encoder(self.model, self._tokenizer, self._window)
            self._taggers[key] = fit(encoder, *tagged(request.examples, request.labels))
        return self._taggers[key]

    def _head(self, request: Classify) -> "tuple[tuple[str, ...], Head]":
        """The head fitted to a request's examples, once."""
        from foundation.domains.language.examples import labelled
        from foundation.domains.language.head import fit
        from foundation.domains.language.labels import spoken

        if request.method == "prompt" or request.examples is None:
            raise RequestError(
                "this model has no words of its own to classify by: "
                "give task.examples=<file with the columns text and label>"
            )
        key = self.key("classify", request)
        if key not in self._heads:
            pairs, labels = labelled(request.examples, request.labels)
            views, _ = self.views([text for text, _ in pairs])
            names = self.views(spoken(labels))[0] if spoken(labels) else None
            numbers = {label: number for number, label in enumerate(labels)}
            targets = [numbers[label] for _, label in pairs]
            self._heads[key] = labels, fit(views, targets, len(labels), names)
        return self._heads[key]


def _mean(states: Any, real: Any) -> Any:
    """The mean over real tokens [rows, tokens, width] -> [rows, width]."""
    return (states.float() * real[..., None]).sum(1) / real.sum(1, keepdim=True)


def _groups(rows: Sequence[Sequence[int]], padded: bool) -> Iterator[list[int]]:
    """Places of rows by length, as many as a pass holds and, padded, are alike; at least one."""
    group: list[int] = []
    for place in sorted(range(len(rows)), key=lambda place: (len(rows[place]), place)):
        size = len(rows[place])
        wide = padded and len(group) >= FEW and size > LONGER * len(rows[group[0]])
        if group and (wide or (len(group) + 1) * size > PASS):
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _pooling(folder: Path, options: "Mapping[str, Any]") -> tuple[str, bool]:
    """How states become a vector, and whether it gets length 1; mean and yes where nothing says."""
    config = _json(folder / "1_Pooling" / "config.json")
    kinds = [key for key, on in config.items() if key.startswith("pooling_mode_") and on]
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    found = known.get(kinds[0]) if len(kinds) == 1 else None if kinds else "mean"
    pooling = options.get("pooling", found)
    if pooling not in ("mean", "cls"):
        raise SourceError(f"{folder} pools by {', '.join(kinds) or pooling}: known are mean, cls")
    modules = _json(folder / "modules.json") or [{"type": "Normalize"}]
    normalises = any(str(module.get("type", "")).endswith("Normalize") for module in modules)
    return str(pooling), bool(options.get("normalise", normalises))


def _window(folder: Path, options: "Mapping[str, Any]", tokenizer: Any, config: Any) -> int:
    """Tokens of a pass: the least of what the model's files say."""
    said = [
        options.get("window") or _json(folder / "sentence_bert_config.json").get("max_seq_length"),
        tokenizer.model_max_length,
        getattr(config, "max_position_embeddings", None),
    ]
    return int(min(limit for limit in said if limit))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else EMPTY
    except ValueError:
        raise SourceError(f"{path} is not JSON: it is damaged") from None

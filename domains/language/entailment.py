"""Classifying without examples by entailment: does a text say "This text is about ..."?

Yin, Hay & Roth, "Benchmarking Zero-shot Text Classification" (2019). Option of a model's YAML:
    hypothesis: the sentence, with {label}.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement
from foundation.domains.language.encoder import PASS, TextEncoder
from foundation.domains.language.inputs import Classify
from foundation.draws import Draws
from foundation.errors import RequestError, SourceError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HYPOTHESIS = "This text is about {label}."


class Entailment:
    """Any sequence classifier of transformers with a label named "entailment"."""

    offloads = ("host", "disk")
    model: Any

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of the states of a text's tokens, or of a whole pass; size in characters."""
        return TextEncoder.cost(spec, request)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.pretrained import read_model, read_tokenizer

        if placement.threads:
            torch.set_num_threads(placement.threads)
        dtype = getattr(torch, placement.dtype)
        kind = "AutoModelForSequenceClassification"
        self.model = model = read_model(folder, kind, dtype, spec.deltas, placement)
        self._tokenizer = read_tokenizer(folder)
        names = {str(name).lower(): int(n) for n, name in model.config.id2label.items()}
        if "entailment" not in names:
            raise SourceError(f"{folder} says nothing of entailment: its labels are {list(names)}")
        self._yes = names["entailment"]
        self._hypothesis = str(spec.options.get("hypothesis", HYPOTHESIS))
        limits = (self._tokenizer.model_max_length, model.config.max_position_embeddings)
        self._window = int(min(limit for limit in limits if limit))
        self._weights: dict[Hashable, float] = {}

    def key(self, task: str, request: Any) -> Hashable:
        return (request.labels, request.examples, request.method)

    def run(
        self, task: str, batch: Sequence[Classify], draws: Draws
    ) -> Iterator[tuple[int, Output]]:
        """Classify; a text over the window is refused with its reason."""
        import numpy as np

        from foundation.domains.language.examples import labelled
        from foundation.domains.language.labels import labelled_output
        from foundation.domains.language.regression import log_softmax

        if batch[0].method != "auto":
            raise RequestError(
                f"this model classifies by entailment: leave task.method={batch[0].method} out"
            )
        _, labels = labelled(batch[0].examples, batch[0].labels)
        weight = self._weight(batch[0])
        kept = []
        for row, request in enumerate(batch):
            reason = self._refusal(request.text, labels)
            if reason is None:
                kept.append(row)
            else:
                yield row, Output(None, reason=reason, refused=True)
        scores = self._scores([batch[row].text for row in kept], labels)
        for row, chances in zip(kept, np.exp(log_softmax(weight * scores)).tolist(), strict=True):
            output = labelled_output(labels, chances, batch[row].threshold)
            yield row, replace(output, usage={"texts": 1.0})

    def close(self) -> None:
        del self.model, self._tokenizer, self._weights

    def _weight(self, request: Classify) -> float:
        """What scores are multiplied by, so that examples are neither too sure nor too unsure."""
        import numpy as np

        from foundation.domains.language.calibration import stack
        from foundation.domains.language.examples import labelled

        pairs, labels = labelled(request.examples, request.labels)
        key = self.key("classify", request)
        if not pairs:
            return 1.0
        if key not in self._weights:
            used = [pair for pair in pairs if self._refusal(pair[0], labels) is None]
            scores = self._scores([text for text, _ in used], labels)
            targets = np.array([labels.index(label) for _, label in used])
            self._weights[key] = float(stack(scores[None], targets)[0]) if used else 1.0
        return self._weights[key]

    def _refusal(self, text: str, labels: Sequence[str]) -> str | None:
        longest = max((self._said(label) for label in labels), key=len)
        # A token is of at least one character, and seldom of more than 16.
        if len(text) <= 16 * self._window:
            ids = self._tokenizer(text, longest, verbose=False).input_ids
            if len(ids) <= self._window:
                return None
            return f"{len(ids)} tokens are more than the model's window of {self._window}"
        return f"{len(text):,} characters are more than the model's window of {self._window} tokens"

    def _said(self, label: str) -> str:
        from foundation.domains.language.labels import spoken

        return self._hypothesis.replace("{label}", (spoken([label]) or [label])[0])

    def _scores(self, texts: Sequence[str], labels: Sequence[str]) -> "NDArray[np.float64]":
        """The log-odds of entailment against all else [texts, labels]."""
        import numpy as np

        asked = [(text, self._said(label)) for text in texts for label in labels]
        rows = [self._tokenizer(*pair, verbose=False) for pair in asked]
        found = np.zeros(len(rows))
        order = sorted(range(len(rows)), key=lambda place: (len(rows[place].input_ids), place))
        group: list[int] = []
        for place in order:
            if group and (len(group) + 1) * len(rows[place].input_ids) > PASS:
                found[group] = self._pass([rows[each] for each in group])
                group = []
            group.append(place)
        if group:
            found[group] = self._pass([rows[each] for each in group])
        return found.reshape(len(texts), len(labels))

    def _pass(self, rows: Sequence[Any]) -> "NDArray[np.float64]":
        import torch

        padded = self._tokenizer.pad([dict(row) for row in rows], return_tensors="pt")
        with torch.inference_mode():
            logits = self.model(**padded.to(self.model.device)).logits.double()
        others = [n for n in range(logits.shape[1]) if n != self._yes]
        odds: NDArray[np.float64] = (
            (logits[:, self._yes] - logits[:, others].logsumexp(1)).cpu().numpy()
        )
        return odds

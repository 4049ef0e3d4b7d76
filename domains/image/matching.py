"""Pictures and texts in one space, by CLIP and SigLIP of transformers: embed, score, classify.

Options of a model's YAML: batch, the rows that pass together.
"""

from collections.abc import Hashable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Placement
from foundation.domains.image.inputs import Classify, Look
from foundation.domains.image.pictures import opened
from foundation.draws import Draws
from foundation.errors import RequestError, SourceError
from foundation.placement.geometry import SIZES
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import torch

WORKING = 2**25  # bytes a picture while it is looked at, about
LONGEST = 64  # tokens of a text where a tokenizer states no limit, which is what SigLIP was taught


class PicturesAndTexts:
    """A dual encoder: vectors of pictures and of texts, whose cosine says how well they match."""

    model: Any

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Weights in `spec.dtype`, "auto" taken for float32."""
        return Cost(weights=SIZES.get(spec.dtype, 4) * (spec.parameters or 0), memory=WORKING)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch
        from transformers import AutoImageProcessor

        from foundation.pretrained import quiet, read_model, read_tokenizer

        if placement.threads:
            torch.set_num_threads(placement.threads)
        dtype = getattr(torch, placement.dtype)
        self.model = read_model(folder, "AutoModel", dtype).to(placement.device)
        if not hasattr(self.model, "get_image_features"):
            kind = type(self.model).__name__
            raise SourceError(f"{folder}: {kind} has no pictures and texts in one space")
        self.tokenizer = read_tokenizer(folder)
        try:
            with quiet():
                self._processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, ImportError) as error:
            said = str(error).partition("\n")[0]
            raise SourceError(f"{folder} does not say how pictures are prepared: {said}") from error
        # SigLIP learnt texts padded to one length and reads the padding, too.
        self._padded = hasattr(self.model, "logit_bias")
        self._labels: dict[Hashable, torch.Tensor] = {}

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        config = self.model.config
        found = getattr(config, "projection_dim", None) or config.text_config.projection_size
        return int(found)

    def key(self, task: str, request: Any) -> Hashable:
        if isinstance(request, Classify):
            return (tuple(request.labels), tuple(request.templates))
        return isinstance(request, Look) and request.image is None

    def run(self, task: str, batch: Sequence[Any], draws: Draws) -> Iterator[tuple[int, Output]]:
        """Each row's vector, similarity or label; an unreadable picture is refused."""
        rows, pictures = [], []
        for row, request in enumerate(batch):
            if request.image is None:
                continue
            try:
                pictures.append(opened(request.image))
                rows.append(row)
            except RequestError as error:
                yield row, Output(None, str(error), refused=True)
        answer = {"embed": self._embedded, "score": self._scored, "classify": self._classified}
        if task == "embed" and batch[0].image is None:
            yield from self._texts(batch)
        elif rows:
            some = [batch[row] for row in rows]
            yield from zip(rows, answer[task](some, self._seen(pictures)), strict=True)

    def close(self) -> None:
        del self.model, self.tokenizer, self._processor, self._labels

    def _embedded(self, batch: Sequence[Look], seen: "torch.Tensor") -> Iterator[Output]:
        for request, vector in zip(batch, seen.cpu().numpy(), strict=True):
            yield Output(request.image, extra={"text": None, "cut": None, "embedding": vector})

    def _texts(self, batch: Sequence[Look]) -> Iterator[tuple[int, Output]]:
        texts = [str(request.text) for request in batch]
        for row, vector in enumerate(self._said(texts).cpu().numpy()):
            extra = {"text": texts[row], "cut": self._cut(texts[row]), "embedding": vector}
            yield row, Output(texts[row], extra=extra)

    def _scored(self, batch: Sequence[Any], seen: "torch.Tensor") -> Iterator[Output]:
        texts = [request.text for request in batch]
        alike = (seen * self._said(texts)).sum(-1)
        likely = self._logits(alike).sigmoid().tolist() if self._padded else [None] * len(texts)
        for text, cosine, probability in zip(texts, alike.tolist(), likely, strict=True):
            extra = {"text": text, "similarity": cosine, "probability": probability}
            yield Output(f"{cosine:.4f}", extra={**extra, "cut": self._cut(text)})

    def _classified(self, batch: Sequence[Classify], seen: "torch.Tensor") -> Iterator[Output]:
        labels = list(batch[0].labels)
        values, places = self._likely(seen, labels, batch[0].templates).topk(2)
        for request, best, place in zip(batch, values.tolist(), places.tolist(), strict=True):
            extra = {"probability": best[0], "unsure": best[0] < request.threshold}
            yield Output(labels[place[0]], extra={**extra, "second": labels[place[1]]})

    def likely(
        self, pictures: Sequence[Any], labels: Sequence[str], templates: Sequence[str]
    ) -> "torch.Tensor":
        """Probabilities of labels, [pictures, labels], of pictures of PIL."""
        return self._likely(self._seen(pictures), labels, templates)

    def _likely(
        self, seen: "torch.Tensor", labels: Sequence[str], templates: Sequence[str]
    ) -> "torch.Tensor":
        logits = self._logits(seen @ self._named(labels, templates).T)
        # SigLIP judges each label by itself, CLIP one against the others.
        return logits.sigmoid() if self._padded else logits.softmax(-1)

    def _named(self, labels: Sequence[str], templates: Sequence[str]) -> "torch.Tensor":
        """A unit vector of each label [labels, width]: the mean of its wordings'."""
        from torch.nn.functional import normalize

        key = (tuple(labels), tuple(templates))
        if key not in self._labels:
            worded = [each.replace("{label}", label) for label in labels for each in templates]
            vectors = self._said(worded).view(len(labels), len(templates), -1)
            self._labels[key] = normalize(vectors.mean(1), dim=-1)
        return self._labels[key]

    def _logits(self, alike: "torch.Tensor") -> "torch.Tensor":
        scaled: torch.Tensor = alike * self.model.logit_scale.exp().float()
        return scaled + self.model.logit_bias.float() if self._padded else scaled

    def _seen(self, pictures: Sequence[Any]) -> "torch.Tensor":
        """Unit vectors of pictures, [rows, width] in float32."""
        given = self._processor(images=list(pictures), return_tensors="pt")
        given = {
            name: value.to(self.model.device, self.model.dtype) if value.is_floating_point()
            else value.to(self.model.device)
            for name, value in given.items()
        }  # fmt: skip
        return self._unit(self.model.get_image_features, given)

    def _said(self, texts: Sequence[str]) -> "torch.Tensor":
        """Unit vectors of texts, [rows, width] in float32."""
        given = self.tokenizer(
            list(texts),
            padding="max_length" if self._padded else True,
            truncation=True,
            max_length=self._room,
            return_tensors="pt",
        ).to(self.model.device)
        wanted = {name: given[name] for name in ("input_ids", "attention_mask") if name in given}
        if self._padded:
            wanted.pop("attention_mask", None)
        return self._unit(self.model.get_text_features, wanted)

    def _unit(self, features: Any, given: dict[str, Any]) -> "torch.Tensor":
        import torch
        from torch.nn.functional import normalize

        with torch.inference_mode():
            found = features(**given)
            vectors: torch.Tensor = getattr(found, "pooler_output", found)
            return normalize(vectors.float(), dim=-1)

    @property
    def _room(self) -> int:
        config = self.model.config.text_config
        return int(getattr(config, "max_position_embeddings", None) or LONGEST)

    def _cut(self, text: str) -> str | None:
        """The end of a text that the model does not read."""
        numbers = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        kept = self._room - self.tokenizer.num_special_tokens_to_add()
        if len(numbers) <= kept:
            return None
        return str(self.tokenizer.decode(numbers[kept:], skip_special_tokens=True)).strip()

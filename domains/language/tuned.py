"""A tuned classifier's folder: as sentence-transformers lays out a text encoder with a linear head.

modules.json         Transformer, Pooling, Normalize where vectors have length 1, Dense
1_Pooling/           how states become a vector
3_Dense/             the head, whose outputs are logits (2_Dense/ without Normalize)
config.json          the encoder's, with the labels as id2label; or
adapter_config.json  peft's, where the encoder's own weights are left as they are
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.errors import SourceError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from foundation.domains.language.inputs import Classify

TYPES = "sentence_transformers.models."


@dataclass(frozen=True)
class Tuned:
    """A linear head on an encoder's vectors. weight [labels, width], bias [labels]."""

    labels: tuple[str, ...]
    weight: "NDArray[np.float32]"
    bias: "NDArray[np.float32]"

    def answers(self, request: "Classify") -> bool:
        """Whether a request asks for these labels, with no examples of its own."""
        return request.examples is None and request.labels == self.labels

    def probabilities(self, vectors: "NDArray[np.float32]") -> list[list[float]]:
        """Vectors [texts, width] -> of each text the labels' probabilities."""
        import numpy as np

        from foundation.domains.language.regression import log_softmax

        scores = (vectors @ self.weight.T + self.bias).astype(np.float64)
        found: list[list[float]] = np.exp(log_softmax(scores)).tolist()
        return found


def holds_tuned(spec: ModelSpec, folder: Path) -> bool:
    """Whether the weights, or what is laid on them, are a tuned classifier's."""
    return any(_dense(place) is not None for place in _places(folder, spec))


def read_tuned(folder: Path, spec: ModelSpec) -> Tuned | None:
    """The head beside the weights, or beside what is laid on them; None where there is none."""
    from safetensors.numpy import load_file

    for place in _places(folder, spec):
        dense = _dense(place)
        if dense is None:
            continue
        try:
            weights = load_file(dense / "model.safetensors")
            names = json.loads((place / "config.json").read_text(encoding="utf-8"))["id2label"]
            labels = tuple(names[str(number)] for number in range(len(names)))
            return Tuned(labels, weights["linear.weight"], weights["linear.bias"])
        except (OSError, ValueError, KeyError) as error:
            raise SourceError(f"{place} holds no tuned classifier: {error}") from error
    return None


def write_tuned(
    folder: Path, config: Any, labels: Sequence[str], pooling: str, normalise: bool,
    window: int, head: "dict[str, torch.Tensor]",
) -> None:  # fmt: skip
    """Write all but the encoder's weights and its tokenizer. head: weight and bias."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config.id2label = {number: label for number, label in enumerate(labels)}
    config.label2id = {label: number for number, label in enumerate(labels)}
    config.save_pretrained(folder)
    width, count = head["weight"].shape[1], head["weight"].shape[0]
    kinds = ["Transformer", "Pooling", *(["Normalize"] if normalise else []), "Dense"]
    modules = [
        {"idx": n, "name": str(n), "path": f"{n}_{kind}" if n else "", "type": TYPES + kind}
        for n, kind in enumerate(kinds)
    ]
    _write(folder / "modules.json", modules)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": window})
    modes = {
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_cls_token": pooling == "cls",
    }
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes})
    dense = folder / f"{len(kinds) - 1}_Dense"
    activation = "torch.nn.modules.linear.Identity"
    shape = {"in_features": width, "out_features": count, "bias": True}
    _write(dense / "config.json", {**shape, "activation_function": activation})
    named = {f"linear.{name}": value for name, value in head.items()}
    save_file(named, str(dense / "model.safetensors"), metadata={"format": "pt"})
    if normalise:
        (folder / "2_Normalize").mkdir(exist_ok=True)


def _places(folder: Path, spec: ModelSpec) -> list[Path]:
    return [*(Path(delta.path).expanduser() for delta in spec.deltas), folder]


def _dense(folder: Path) -> Path | None:
    for name in ("3_Dense", "2_Dense"):
        if (folder / name / "model.safetensors").is_file():
            return folder / name
    return None


def _write(path: Path, value: Any) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")

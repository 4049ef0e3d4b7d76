"""What turns patches' vectors into classes: learnt by task=probe or task=tune, kept as a file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.domains.geospatial.probing import Linear
from foundation.durable import replacing
from foundation.errors import SourceError
from foundation.trust import provenance
from foundation.trust.seal import seal

FILE = "head.safetensors"


@dataclass(frozen=True)
class Head:
    """A linear classifier of patches; a window's logits are the mean of its patches'."""

    classes: tuple[str, ...]
    linear: Linear

    @classmethod
    def plain(cls, classes: Sequence[str], weight: torch.Tensor, bias: torch.Tensor) -> "Head":
        """On vectors as they are: weight [classes, units], bias [classes]."""
        units = weight.shape[1]
        linear = Linear(torch.zeros(units), torch.ones(units), weight.T.contiguous(), bias)
        return cls(tuple(classes), linear)

    def probabilities(self, vectors: NDArray[Any]) -> NDArray[np.float32]:
        """Vectors [..., units], NaN for none -> [..., classes], NaN for none."""
        logits = self.linear.logits(torch.from_numpy(np.asarray(vectors, np.float32)))
        found: NDArray[np.float32] = logits.softmax(-1).numpy()
        return found

    def save(self, path: Path) -> None:
        """Write it as safetensors, the classes as metadata."""
        from safetensors.torch import save_file

        fields = ("mean", "std", "weights", "bias")
        tensors = {name: getattr(self.linear, name).contiguous() for name in fields}
        with replacing(path) as part:
            told = provenance.text(provenance.of_run(path.parent))
            head = {"classes": json.dumps(self.classes), provenance.KEY: told}
            save_file(tensors, str(part), head)
            seal(part)

    @classmethod
    def read(cls, path: Path, units: int) -> "Head":
        """What `save` wrote; SourceError where it is none, or of another model."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(str(path), "pt") as file:
                classes = json.loads((file.metadata() or {})["classes"])
                fields = ("mean", "std", "weights", "bias")
                linear = Linear(*(file.get_tensor(name) for name in fields))
        except (SafetensorError, KeyError, ValueError, OSError) as error:
            raise SourceError(f"{path} holds no head that task=probe or task=tune wrote") from error
        if linear.weights.shape != (units, len(classes)):
            raise SourceError(
                f"{path} is a head for {linear.weights.shape[0]} units; the model has {units}"
            )
        return cls(tuple(classes), linear)

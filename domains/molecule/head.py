"""A tuned head beside the starter's files: labels, or a value, from the mean of its states."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foundation.adapter import Output
from foundation.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


@dataclass(frozen=True)
class MoleculeHead:
    """weight [labels or 1, width], bias; no labels: it tells a value."""

    labels: tuple[str, ...]
    weight: "NDArray[np.float32]"
    bias: "NDArray[np.float32]"

    @property
    def task(self) -> str:
        """The task that it answers."""
        return "classify" if self.labels else "predict"

    def output(self, smiles: str, vector: "NDArray[np.float32]") -> Output:
        """What a molecule is told, of its vector [width]."""
        told = self.told(vector)
        if not self.labels:
            value = float(told[0])
            return Output(f"{value:.6g}", extra={"canonical": smiles, "value": value})
        best = int(told.argmax())
        extra = {"canonical": smiles, "probability": float(told[best])}
        return Output(self.labels[best], extra=extra)

    def told(self, vector: "NDArray[np.float32]") -> "NDArray[np.float32]":
        """A vector [width] -> the labels' probabilities [labels], or the value [1]."""
        import numpy as np

        given = self.weight @ vector + self.bias
        if not self.labels:
            return given
        chances = np.exp(given - given.max())
        return np.asarray(chances / chances.sum())


def write_head(folder: Path, labels: Sequence[str], weights: "dict[str, torch.Tensor]") -> None:
    """Write head.safetensors and head.json."""
    from safetensors.torch import save_file

    save_file(weights, str(folder / "head.safetensors"), metadata={"format": "pt"})
    (folder / "head.json").write_text(json.dumps({"labels": list(labels)}) + "\n", "utf-8")


def read_head(folder: Path) -> MoleculeHead | None:
    """What `write_head` wrote; None where there is none."""
    from safetensors.numpy import load_file

    if not (folder / "head.json").is_file():
        return None
    try:
        labels = json.loads((folder / "head.json").read_text("utf-8"))["labels"]
        weights = load_file(folder / "head.safetensors")
        return MoleculeHead(tuple(labels), weights["weight"], weights["bias"])
    except (OSError, ValueError, KeyError) as error:
        raise SourceError(f"{folder} has a damaged head: {error}") from error

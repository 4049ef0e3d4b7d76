"""ChemNet's view of molecules and the Fréchet distance between two sets of them.

Preuer et al., "Fréchet ChemNet Distance" (2018). The weights are the file
`fcd_torch/ChemNet_v0.13_pretrained.pt` of the wheel fcd_torch 1.0.7; other releases of ChemNet
give other distances.
"""

import pickle
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from foundation.errors import SourceError

FEATURES = 512
_LENGTH = 350
_END, _UNKNOWN = ".", "X"
_SYMBOLS = (
    *("C", "N", "O", "H", "F", "Cl", "P", "B", "Br", "S", "I", "Si"),
    *("#", "(", ")", "+", "-", "1", "2", "3", "4", "5", "6", "7", "8", "=", "[", "]", "@"),
    *("c", "n", "o", "s", _UNKNOWN, _END),
)
_INDEX = {symbol: index for index, symbol in enumerate(_SYMBOLS)}
_SYMBOL = re.compile(".[ril]|.")
_LAYERS = ("Conv1d", "Conv1d", "LSTM", "LSTM")


def tokens(smiles: str) -> list[int]:
    """The symbols ChemNet reads: at most 349 of the first fragment and the end sign."""
    first = smiles.partition(_END)[0]
    found = _SYMBOL.findall(first)[: _LENGTH - 1]
    return [*(_INDEX.get(symbol, _INDEX[_UNKNOWN]) for symbol in found), _INDEX[_END]]


class ChemNet(nn.Module):
    """ChemNet up to its last hidden layer: two convolutions, then two LSTMs.

    Both LSTMs read their input backwards, so that the second goes along the string again and its
    last state is the molecule's activation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, 32, kernel_size=4, stride=2, bias=False)
            for channels in (len(_SYMBOLS), 32)
        )
        self.backward_lstm = nn.LSTM(32, 128, batch_first=True)
        self.forward_lstm = nn.LSTM(128, FEATURES, batch_first=True)

    @classmethod
    def load(cls, path: Path) -> "ChemNet":
        """Read the published weights as data; no code in the file is run.

        Raises:
            SourceError: the file is missing, damaged or not ChemNet.
        """
        try:
            layers = torch.load(path, map_location="cpu", weights_only=True)
            if tuple(kind for kind, _ in layers) != _LAYERS:
                raise ValueError(f"its layers are not {', '.join(_LAYERS)}")
            net = cls()
            parts = (*net.convolutions, net.backward_lstm, net.forward_lstm)
            for part, (_, (weights, *_rest)) in zip(parts, layers, strict=True):
                part.load_state_dict(weights)
        except (
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
            EOFError,
            pickle.PickleError,
        ) as error:
            reason = str(error).partition("\n")[0]
            raise SourceError(f"{path} is not ChemNet of fcd_torch 1.0.7: {reason}") from error
        return net.eval()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[batch, 35, 350] scaled one-hot symbols -> [batch, 512]."""
        for convolution in self.convolutions:
            features = nn.functional.selu(convolution(_pad_as_keras(features)))
        states, _ = self.backward_lstm(features.transpose(1, 2).flip(1))
        states, _ = self.forward_lstm(states.flip(1))
        last: torch.Tensor = states[:, -1]
        return last

    @torch.inference_mode()
    def activations(self, smiles: Sequence[str], batch: int = 64) -> NDArray[np.float32]:
        """[molecules, 512] of canonical SMILES, in float32; 64 was the fastest batch on a CPU."""
        # Written to one place: small tensors kept between large ones would split the heap.
        found = np.zeros((len(smiles), FEATURES), np.float32)
        for at in range(0, len(smiles), batch):
            found[at : at + batch] = self(_one_hot(smiles[at : at + batch])).numpy()
        return found


def _pad_as_keras(features: torch.Tensor) -> torch.Tensor:
    """Zeros for Keras' padding "same" with kernel 4 and stride 2: the odd one goes to the right."""
    total = 2 + features.shape[2] % 2
    return nn.functional.pad(features, (total // 2, total - total // 2))


def _one_hot(smiles: Iterable[str]) -> torch.Tensor:
    """[batch, 35, 350], each symbol as 1/35, the scale ChemNet was trained with."""
    strings = [tokens(text) for text in smiles]
    features = torch.zeros(len(strings), len(_SYMBOLS), _LENGTH)
    for row, string in enumerate(strings):
        features[row, string, torch.arange(len(string))] = 1 / len(_SYMBOLS)
    return features


def moments(activations: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean [512] and unbiased covariance [512, 512]; NaN for fewer than two molecules."""
    if len(activations) < 2:
        return np.full(FEATURES, np.nan), np.full((FEATURES, FEATURES), np.nan)
    exact = activations.astype(np.float64)
    return exact.mean(axis=0), np.cov(exact, rowvar=False)


def frechet_distance(
    mean: NDArray[np.float64],
    covariance: NDArray[np.float64],
    other_mean: NDArray[np.float64],
    other_covariance: NDArray[np.float64],
) -> float:
    """|m1 - m2|² + tr(C1 + C2 - 2 (C1 C2)^½), from 0; NaN where a moment is not finite.

    C1 C2 and C1^½ C2 C1^½ have the same eigenvalues; the second is symmetric, which needs no
    general matrix root and leaves no imaginary part to drop.
    """
    if not (np.isfinite(covariance).all() and np.isfinite(other_covariance).all()):
        return float("nan")
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ other_covariance @ root).clip(0)).sum()
    difference = mean - other_mean
    traces = np.trace(covariance) + np.trace(other_covariance)
    return max(0.0, float(difference @ difference + traces - 2 * cross))

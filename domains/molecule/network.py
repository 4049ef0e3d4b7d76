"""The starter's network: a gated recurrent unit over SMILES tokens."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True)
class Shape:
    """vocabulary: tokens. width: units a layer. layers: recurrent layers. dropout: 0 to 1."""

    vocabulary: int = 320
    width: int = 512
    layers: int = 3
    dropout: float = 0.0


class SmilesNetwork(nn.Module):
    """Tied embedding, GRU (Cho et al. 2014) and logits.

    The reset gate multiplies the recurrent product, as in torch.nn.GRU.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocabulary, shape.width)
        self.gru = nn.GRU(
            shape.width, shape.width, shape.layers, batch_first=True, dropout=shape.dropout
        )
        self.bias = nn.Parameter(torch.zeros(shape.vocabulary))
        nn.init.normal_(self.embedding.weight, std=0.04)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens [rows, time] -> states of the last layer [rows, time, width]."""
        states: Tensor = self.gru(self.embedding(tokens))[0]
        return states

    def logits(self, states: Tensor) -> Tensor:
        """States [..., width] -> logits [..., vocabulary]."""
        return functional.linear(states, self.embedding.weight, self.bias)

    def config(self) -> dict[str, Any]:
        """What `Shape(**config)` needs to build it again."""
        return asdict(self.shape)

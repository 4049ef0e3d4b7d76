"""The starter's network one token at a time, for a fixed number of rows."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from foundation.domains.molecule.network import SmilesNetwork
from foundation.packed import PackedLinear, packs


class Stepper:
    """SmilesNetwork's recurrence with its state kept between tokens.

    What the first layer makes of each token is computed once: a table [vocabulary, 3 * width].
    """

    def __init__(self, network: SmilesNetwork, rows: int, device: str, dtype: torch.dtype) -> None:
        gru, layers = network.gru, network.shape.layers

        def part(kind: str, layer: int) -> Tensor:
            weights: Tensor = getattr(gru, f"{kind}_l{layer}").detach()
            return weights.to(device, dtype)

        embedding = network.embedding.weight.detach().to(device, dtype)
        bias = network.bias.detach().to(device, dtype)
        self._first = functional.linear(embedding, part("weight_ih", 0), part("bias_ih", 0))
        self._input = [_linear(part("weight_ih", n), part("bias_ih", n)) for n in range(1, layers)]
        self._hidden = [_linear(part("weight_hh", n), part("bias_hh", n)) for n in range(layers)]
        self._logits = _linear(embedding, bias)
        self._state = torch.zeros(layers, rows, network.shape.width, device=device, dtype=dtype)

    def clear(self, rows: Sequence[int]) -> None:
        """Set the state of some rows back to the beginning."""
        self._state[:, list(rows)] = 0

    def step(self, tokens: Tensor) -> Tensor:
        """One token for each row [rows] -> float32 logits of the next one [rows, vocabulary]."""
        output = self._advance(0, self._first[tokens.to(self._first.device)])
        for layer in range(1, len(self._state)):
            output = self._advance(layer, self._input[layer - 1](output))
        return self._logits(output).float().cpu()

    def _advance(self, layer: int, gates: Tensor) -> Tensor:
        """torch.nn.GRU's update of one layer's state from its input's gates [rows, 3 * width]."""
        state = self._state[layer]
        own = self._hidden[layer](state)
        width = state.shape[-1]
        reset_update = torch.sigmoid(gates[:, : 2 * width] + own[:, : 2 * width])
        reset, update = reset_update[:, :width], reset_update[:, width:]
        new = torch.tanh(torch.addcmul(gates[:, 2 * width :], reset, own[:, 2 * width :]))
        return torch.lerp(new, state, update, out=state)


def _linear(weight: Tensor, bias: Tensor) -> Callable[[Tensor], Tensor]:
    """A linear layer; in bfloat16 on a CPU with packed weights, which give the same numbers."""
    if weight.dtype == torch.bfloat16 and packs(weight):
        return PackedLinear(weight, bias)
    return partial(functional.linear, weight=weight, bias=bias)

"""The starter's network one token at a time, for a fixed number of rows."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from foundation.domains.molecule.network import SmilesNetwork


class Stepper:
    """SmilesNetwork's recurrence with its state kept between tokens.

    What the first layer makes of each token is computed once: a table [vocabulary, 3 * width].
    """

    def __init__(self, network: SmilesNetwork, rows: int, device: str, dtype: torch.dtype) -> None:
        gru, layers = network.gru, network.shape.layers
        self._input = [getattr(gru, f"weight_ih_l{n}").to(device, dtype) for n in range(layers)]
        self._input_bias = [getattr(gru, f"bias_ih_l{n}").to(device, dtype) for n in range(layers)]
        self._hidden = [getattr(gru, f"weight_hh_l{n}").to(device, dtype) for n in range(layers)]
        self._hidden_bias = [getattr(gru, f"bias_hh_l{n}").to(device, dtype) for n in range(layers)]
        self._embedding = network.embedding.weight.to(device, dtype)
        self._bias = network.bias.to(device, dtype)
        self._first = functional.linear(self._embedding, self._input[0], self._input_bias[0])
        self._state = torch.zeros(layers, rows, network.shape.width, device=device, dtype=dtype)

    def clear(self, rows: Sequence[int]) -> None:
        """Set the state of some rows back to the beginning."""
        self._state[:, list(rows)] = 0

    def step(self, tokens: Tensor) -> Tensor:
        """One token for each row [rows] -> float32 logits of the next one [rows, vocabulary]."""
        output = self._advance(0, self._first[tokens.to(self._first.device)])
        for layer in range(1, len(self._state)):
            gates = functional.linear(output, self._input[layer], self._input_bias[layer])
            output = self._advance(layer, gates)
        return functional.linear(output, self._embedding, self._bias).float().cpu()

    def _advance(self, layer: int, gates: Tensor) -> Tensor:
        """torch.nn.GRU's update of one layer's state from its input's gates [rows, 3 * width]."""
        state = self._state[layer]
        own = functional.linear(state, self._hidden[layer], self._hidden_bias[layer])
        width = state.shape[-1]
        reset_update = torch.sigmoid(gates[:, : 2 * width] + own[:, : 2 * width])
        reset, update = reset_update[:, :width], reset_update[:, width:]
        new = torch.tanh(torch.addcmul(gates[:, 2 * width :], reset, own[:, 2 * width :]))
        return torch.lerp(new, state, update, out=state)

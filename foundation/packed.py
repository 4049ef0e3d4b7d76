"""Linear layers whose weights are laid out once as oneDNN wants them, for passes on a CPU.

torch lays a plain weight out anew at every call, which costs more than the product of a few rows.
"""

from typing import Any

import torch
from torch import Tensor, nn

ROWS = 32
"""Rows of a pass that the layout is chosen for."""


class PackedLinear(nn.Module):
    """A linear layer for inference: [..., in_features] -> [..., out_features].

    A row's result does not depend on how many rows pass with it: oneDNN sums one float32 row in
    another order than several, so one row passes twice.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)
        self._bias = bias
        self._twice = weight.dtype == torch.float32

    def forward(self, states: Tensor) -> Tensor:
        if self._twice and states.numel() == self.in_features:
            pair = self._product(states.reshape(1, -1).expand(2, -1).contiguous())
            return pair[:1].reshape(*states.shape[:-1], self.out_features)
        return self._product(states)

    def _product(self, states: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self._weight, self._bias, "none", [], ""
        )
        return product


@torch.no_grad()
def pack(model: Any) -> Any:
    """Take the place of a model's linear layers where oneDNN has their dtype; elsewhere nothing.

    The model is for inference from then on: its linear layers have no parameters any more.
    """
    from transformers.pytorch_utils import Conv1D

    plain = (nn.Linear, Conv1D)
    # The linear layers themselves are not kept: each is given up as soon as it is packed.
    for parent in [module for module in model.modules() if type(module) not in plain]:
        for name, layer in list(parent.named_children()):
            if type(layer) not in plain or not packs(layer.weight):
                continue
            weight = layer.weight.t() if type(layer) is Conv1D else layer.weight
            bias = None if layer.bias is None else layer.bias.detach()
            setattr(parent, name, PackedLinear(weight.detach(), bias))
    for weight in model.parameters():
        if weight.device.type == "cpu":
            weight.data = weight.data.clone()  # a view of the mapped file holds all of it in memory
    return model


def packs(weight: Tensor) -> bool:
    """Whether a weight is a plain one on the CPU in a dtype that oneDNN computes in."""
    plain = type(weight) in (nn.Parameter, Tensor) and type(weight.data) is Tensor
    if not plain or weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    if weight.dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return weight.dtype == torch.float32

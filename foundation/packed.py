"""Linear layers whose weights are laid out once as oneDNN wants them, for passes on a CPU.

torch lays a plain weight out anew at every call, which costs more than the product of a few rows.
"""

from operator import floordiv
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

ROWS = 32
"""Rows of a pass that the layout is chosen for."""
ACTIVATED = (
    ("fc1", "activation_fn"), ("fc1", "act"), ("up", "act"), ("up_proj", "act_fn"),
    ("dense", "intermediate_act_fn"),
)  # fmt: skip
"""Names of a layer and of the activation that it alone goes through, in perceptrons."""


class PackedLinear(nn.Module):
    """A linear layer for inference: [..., in_features] -> [..., out_features], in weight's dtype.

    then: "gelu" (by the error function) for the activation in one with the layer, or "none".

    A row's result does not depend on how many rows pass with it: oneDNN sums one float32 row in
    another order than several, so one row passes twice.
    """

    then = "none"

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.out_features, self.in_features = weight.shape
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), ROWS)
        self._bias = bias
        self.dtype, self._twice = weight.dtype, weight.dtype == torch.float32

    def forward(self, states: Tensor) -> Tensor:
        states = states.to(self.dtype)
        if self._twice and states.numel() == self.in_features:
            pair = self._product(states.reshape(1, -1).expand(2, -1).contiguous())
            return pair[:1].reshape(*states.shape[:-1], self.out_features)
        return self._product(states)

    def _product(self, states: Tensor) -> Tensor:
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            states, self._weight, self._bias, self.then, [], "none"
        )
        return product


class PackedPatches(nn.Module):
    """A convolution of patches that do not overlap, as a linear layer for inference: pixels
    [rows, bands, height, width] -> [rows, units, height / patch, width / patch].

    weight: that of the convolution; models ask for its dtype.
    """

    def __init__(self, layer: nn.Conv2d, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, self._patch = nn.Parameter(layer.weight.to(dtype), False), layer.kernel_size
        self._layer = _packed(layer.weight.flatten(1), layer.bias, dtype)

    def forward(self, pixels: Tensor) -> Tensor:
        rows, bands, *sides = pixels.shape
        (high, wide), (down, across) = self._patch, map(floordiv, sides, self._patch)
        pixels = pixels[..., : down * high, : across * wide].to(self._layer.dtype)
        cut = pixels.reshape(rows, bands, down, high, across, wide).permute(0, 2, 4, 1, 3, 5)
        tokens: Tensor = self._layer(cut.flatten(3))
        return tokens.permute(0, 3, 1, 2)


@torch.no_grad()
def pack(model: Any, dtype: torch.dtype | None = None) -> Any:
    """Take the place of a model's linear layers, and of convolutions that cut pictures in patches,
    where oneDNN has their dtype; elsewhere nothing.

    The model is for inference from then on: its linear layers have no parameters any more.
    dtype: what the layers compute in and give, whatever that of the model; None: that of each.
    """
    from transformers.pytorch_utils import Conv1D

    plain = (nn.Linear, Conv1D)
    # The linear layers themselves are not kept: each is given up as soon as it is packed.
    for parent in [module for module in model.modules() if type(module) not in plain]:
        if isinstance(parent, nn.TransformerEncoderLayer):
            continue  # torch's fast path reads the weights of its layers
        for name, layer in list(parent.named_children()):
            if type(layer) in plain and packs(layer.weight, dtype):
                weight = layer.weight.t() if type(layer) is Conv1D else layer.weight
                setattr(parent, name, _packed(weight, layer.bias, dtype or weight.dtype))
            elif type(layer) is nn.Conv2d and _cuts(layer) and packs(layer.weight, dtype):
                setattr(parent, name, PackedPatches(layer, dtype or layer.weight.dtype))
        _activate(parent)
    for weight in model.parameters():
        if weight.device.type == "cpu":
            weight.data = weight.data.clone()  # a view of the mapped file holds all of it in memory
    return model


def _packed(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> PackedLinear:
    bias = None if bias is None else bias.detach().to(dtype)
    return PackedLinear(weight.detach().to(dtype), bias)


def _cuts(layer: nn.Conv2d) -> bool:
    """Whether a convolution looks at each pixel once, but for those beyond the last patch."""
    whole = layer.kernel_size == layer.stride and layer.padding in ((0, 0), "valid")
    return whole and layer.dilation == (1, 1) and layer.groups == 1


def _activate(perceptron: nn.Module) -> None:
    """Have a packed layer do the GELU that follows it: states are then passed once, not twice."""
    from transformers.activations import GELUActivation

    if hasattr(perceptron, "gate_proj"):  # there the activation follows another layer
        return
    for name, follows in ACTIVATED:
        layer, then = (getattr(perceptron, each, None) for each in (name, follows))
        exact = isinstance(then, nn.GELU) and then.approximate == "none"
        exact = exact or (isinstance(then, GELUActivation) and then.act is functional.gelu)
        if exact and isinstance(layer, PackedLinear):
            layer.then = "gelu"
            setattr(perceptron, follows, nn.Identity())


def packs(weight: Tensor, dtype: torch.dtype | None = None) -> bool:
    """Whether a weight is a plain one on the CPU, and oneDNN computes in its dtype (or `dtype`)."""
    plain = type(weight) in (nn.Parameter, Tensor) and type(weight.data) is Tensor
    if not plain or weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    if not hasattr(torch.ops.mkldnn, "_reorder_linear_weight"):
        return False
    dtype = dtype or weight.dtype
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    return dtype == torch.float32

"""Packed layers give what the model's own do, in one dtype or another."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foundation.packed import PackedLinear, PackedPatches, pack

SIDE = 30


def _vision(kind: str, **more: Any) -> Any:
    import transformers

    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=48, num_hidden_layers=2, num_attention_heads=3, intermediate_size=96,
        image_size=32, patch_size=8, num_channels=4, initializer_range=0.2, **more,
    )  # fmt: skip
    return getattr(transformers, f"{kind}Model")(config).eval()


MADE = {
    "dinov2": lambda: _vision("Dinov2"),
    "dinov3": lambda: _vision("DINOv3ViT"),
    "dinov3-gated": lambda: _vision("DINOv3ViT", use_gated_mlp=True, hidden_act="gelu"),
    "tanh": lambda: _vision("Dinov2", hidden_act="gelu_pytorch_tanh"),
}


def _states(model: Any, pixels: Tensor) -> Tensor:
    with torch.inference_mode():
        states: Tensor = model(pixels).last_hidden_state
    return states


@pytest.mark.parametrize("kind", MADE)
def test_a_packed_model_gives_the_same_vectors(kind: str) -> None:
    pixels = torch.randn(3, 4, 32, 32)
    model = MADE[kind]()
    wanted = _states(model, pixels)
    packed = pack(model)
    assert any(isinstance(part, PackedLinear) for part in packed.modules())
    assert any(isinstance(part, PackedPatches) for part in packed.modules())
    torch.testing.assert_close(_states(packed, pixels), wanted, atol=1e-4, rtol=1e-4)


def test_layers_pass_in_another_dtype_than_the_model() -> None:
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("oneDNN has no bfloat16 on this processor")
    pixels = torch.randn(3, 4, 32, 32)
    wanted = _states(MADE["dinov2"](), pixels)
    plain = MADE["dinov2"]()
    with torch.autocast("cpu", torch.bfloat16):
        usual = _states(plain, pixels)
        found = _states(pack(MADE["dinov2"](), torch.bfloat16), pixels.bfloat16())
    assert found.dtype == torch.float32  # what layers add to stays as precise as the model
    assert (found - wanted).norm() < 1.1 * (usual - wanted).norm()


@pytest.mark.parametrize("padding", [0, 2])
def test_patches_are_those_of_the_convolution(padding: int) -> None:
    layer = nn.Conv2d(3, 5, (8, 4), (8, 4), padding)
    pixels = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        wanted = layer(pixels)
        packed = pack(nn.Sequential(layer))
        assert isinstance(packed[0], PackedPatches) == (padding == 0)
        torch.testing.assert_close(packed(pixels), wanted)


def test_a_layer_of_torchs_encoder_keeps_the_weights_that_its_fast_path_reads() -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True).eval()
    model = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False).eval()
    with torch.inference_mode():
        rows = torch.randn(5, 2, 16)
        torch.testing.assert_close(pack(model)(rows), model(rows))

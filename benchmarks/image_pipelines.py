"""Pipelines of the large models' shapes, scaled to what a CPU draws in seconds; random weights.

They time what the real ones compute, layer for layer, and draw nothing that could be looked at.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

LETTERS = "abcdefghijklmnopqrstuvwxyz,.!"
STEPS = {"sdxl": 8, "flux": 12, "sd-tiny": 2}
SIDE = {"sdxl": 256, "flux": 256, "sd-tiny": 64}
SCALE = {
    "sdxl": "UNet of (80, 160, 320) channels for (320, 640, 1280), 2 and 10 transformer layers as "
    "in SDXL, text encoders and VAE a quarter as wide, 256 pixels for 1024",
    "flux": "6 heads of 64 for 24 of 128, 5 double and 10 single blocks for 19 and 38, T5 of 6 "
    "layers 256 wide for 24 of 4096, VAE a quarter as wide, 256 pixels for 1024",
    "sd-tiny": "a UNet of (8, 16) channels, 64 pixels",
}


def build(geometry: str, folder: Path) -> Path:
    """Write a pipeline's folder, with the same random weights each time."""
    import torch

    torch.manual_seed(0)
    BUILDERS[geometry]().save_pretrained(folder)
    return folder


def _clip() -> Any:
    from transformers import CLIPTokenizer

    words = [*LETTERS, *(f"{c}</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _clip_text(width: int, layers: int, heads: int, projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    words = 2 * len(LETTERS) + 2
    config = CLIPTextConfig(
        vocab_size=words, hidden_size=width, intermediate_size=4 * width, projection_dim=width,
        num_hidden_layers=layers, num_attention_heads=heads, max_position_embeddings=77,
        bos_token_id=words - 2, eos_token_id=words - 1, pad_token_id=1,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def _vae(channels: int, widths: tuple[int, ...], **more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=widths, latent_channels=channels, layers_per_block=2, sample_size=256,
        norm_num_groups=min(widths) // 2 if min(widths) < 64 else 32,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths), **more,
    ).eval()  # fmt: skip


def _sdxl() -> Any:
    from diffusers import (
        EulerDiscreteScheduler,
        StableDiffusionXLPipeline,
        UNet2DConditionModel,
    )

    unet = UNet2DConditionModel(
        block_out_channels=(80, 160, 320), layers_per_block=2, sample_size=32, norm_num_groups=16,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10), attention_head_dim=(5, 5, 10),
        cross_attention_dim=512, use_linear_projection=True, addition_embed_type="text_time",
        addition_time_embed_dim=64, projection_class_embeddings_input_dim=320 + 6 * 64,
    ).eval()  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=_vae(4, (32, 64, 128, 128)), unet=unet, add_watermarker=False,
        text_encoder=_clip_text(192, 12, 3, False), tokenizer=_clip(),
        text_encoder_2=_clip_text(320, 32, 5, True), tokenizer_2=_clip(),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
    )  # fmt: skip


def _flux() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [(c, -3.0) for c in LETTERS]
    transformer = FluxTransformer2DModel(
        in_channels=64, num_layers=5, num_single_layers=10, attention_head_dim=64,
        num_attention_heads=6, joint_attention_dim=256, pooled_projection_dim=192,
        guidance_embeds=True, axes_dims_rope=(8, 28, 28),
    ).eval()  # fmt: skip
    words = T5Config(
        vocab_size=len(vocabulary), d_model=256, d_kv=64, d_ff=640, num_layers=6, num_heads=4
    )
    return FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(16, (32, 64, 128, 128), shift_factor=0.12, scaling_factor=0.36),
        text_encoder=_clip_text(192, 12, 3, False), tokenizer=_clip(),
        text_encoder_2=T5EncoderModel(words).eval(),
        tokenizer_2=T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=512),
    )  # fmt: skip


def _tiny() -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    unet = UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=32, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=8,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=32,
    ).eval()  # fmt: skip
    return StableDiffusionPipeline(
        vae=_vae(4, (8, 8)), text_encoder=_clip_text(32, 2, 2, False), tokenizer=_clip(),
        unet=unet, safety_checker=None, feature_extractor=None, requires_safety_checker=False,
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
    )  # fmt: skip


BUILDERS: dict[str, Callable[[], Any]] = {"sdxl": _sdxl, "flux": _flux, "sd-tiny": _tiny}


def configuration(geometry: str, folder: Path, root: Path, **options: Any) -> Path:
    """A folder for --config-dir with the model image/bench, and the folder itself back."""
    import yaml

    values = {
        "name": "image/bench", "domain": "image", "source": f"path:{folder}", "tasks": ["generate"],
        "adapter": "foundation.domains.image.adapter:TextToImage",
        "options": {"steps": STEPS[geometry], "width": SIDE[geometry], "height": SIDE[geometry],
                    **options},
    }  # fmt: skip
    place = root / "conf" / "model" / "image"
    place.mkdir(parents=True, exist_ok=True)
    (place / "bench.yaml").write_text("# @package model\n" + yaml.safe_dump(values))
    return root / "conf"

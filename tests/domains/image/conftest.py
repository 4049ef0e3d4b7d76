"""Tiny pipelines of diffusers, built from their configs, and ways to draw with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from foundation.adapter import Placement
from foundation.model import Model
from foundation.spec import ModelSpec

LETTERS = "abcdefghijklmnopqrstuvwxyz,.!"
KINDS = ("sd", "sdxl", "sd3", "flux", "pixart", "prx")
OPTIONS = {
    "pixart": {"call": {"use_resolution_binning": False, "clean_caption": False}},
    "prx": {"call": {"use_resolution_binning": False}},
}


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`folders("sd")`: the folder of a tiny pipeline of that kind."""
    root, made = tmp_path_factory.mktemp("pipelines"), {}

    def folder(kind: str) -> Path:
        if kind not in made:
            torch.manual_seed(0)
            path = root / kind
            if kind == "prx":
                _starter(path)
            else:
                _BUILDERS[kind]().save_pretrained(path)
            made[kind] = path
        return made[kind]

    return folder


@pytest.fixture
def tiny(folders: Callable[[str], Path]) -> Callable[..., Model]:
    """`tiny("sd", dtype="float32", deltas=...)`: a Model of a tiny pipeline."""

    def model(kind: str, **given: Any) -> Model:
        options = {"steps": 2, "batch": 3, **OPTIONS.get(kind, {}), **given.pop("options", {})}
        spec = ModelSpec(
            name=f"image/{kind}",
            domain="image",
            adapter="foundation.domains.image.adapter:TextToImage",
            source=f"path:{given.pop('path', None) or folders(kind)}",
            tasks=("generate",),
            options=options,
            **given,
        )
        return Model(spec, Placement("cpu", "float32"))

    return model


def _clip(longest: int = 16) -> Any:
    from transformers import CLIPTokenizer

    words = [*LETTERS, *(f"{c}</w>" for c in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={w: n for n, w in enumerate(words)}, merges=[], model_max_length=longest
    )


def _clip_text(projected: bool) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=2 * len(LETTERS) + 2, hidden_size=32, intermediate_size=37, projection_dim=32,
        num_hidden_layers=2, num_attention_heads=2, max_position_embeddings=16,
        bos_token_id=2 * len(LETTERS), eos_token_id=2 * len(LETTERS) + 1, pad_token_id=1,
    )  # fmt: skip
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config).eval()


def _t5() -> tuple[Any, Any]:
    from transformers import T5Config, T5EncoderModel, T5Tokenizer

    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [(c, -3.0) for c in LETTERS]
    tokenizer = T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=24)
    config = T5Config(
        vocab_size=len(vocabulary), d_model=32, d_kv=16, d_ff=37, num_layers=2, num_heads=2
    )
    return tokenizer, T5EncoderModel(config).eval()


def _vae(channels: int, **more: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=channels, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        **more,
    ).eval()  # fmt: skip


def _unet(width: int, **more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=16, norm_num_groups=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), attention_head_dim=8,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=width, **more,
    ).eval()  # fmt: skip


def _sd() -> Any:
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae=_vae(4), text_encoder=_clip_text(False), tokenizer=_clip(), unet=_unet(32),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip


def _sdxl() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    unet = _unet(
        64, addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + 32,
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=_vae(4), text_encoder=_clip_text(False), tokenizer=_clip(), unet=unet,
        text_encoder_2=_clip_text(True), tokenizer_2=_clip(),
        scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear", steps_offset=1),
        add_watermarker=False,
    )  # fmt: skip


def _sd3() -> Any:
    from diffusers import (
        FlowMatchEulerDiscreteScheduler,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
    )

    transformer = SD3Transformer2DModel(
        sample_size=16, patch_size=2, in_channels=4, out_channels=4, num_layers=1,
        attention_head_dim=16, num_attention_heads=2, joint_attention_dim=64,
        caption_projection_dim=32, pooled_projection_dim=64, pos_embed_max_size=32,
    ).eval()  # fmt: skip
    return StableDiffusion3Pipeline(
        transformer=transformer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(4, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=_clip_text(True), tokenizer=_clip(),
        text_encoder_2=_clip_text(True), tokenizer_2=_clip(),
        text_encoder_3=None, tokenizer_3=None,
    )  # fmt: skip


def _flux() -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    tokenizer, encoder = _t5()
    transformer = FluxTransformer2DModel(
        in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
        num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32,
        guidance_embeds=True, axes_dims_rope=(4, 4, 8),
    ).eval()  # fmt: skip
    return FluxPipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=_vae(4, shift_factor=0.06, scaling_factor=1.5),
        text_encoder=_clip_text(False), tokenizer=_clip(),
        text_encoder_2=encoder, tokenizer_2=tokenizer,
    )  # fmt: skip


def _pixart() -> Any:
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    tokenizer, encoder = _t5()
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=16, in_channels=4, out_channels=8, num_layers=1,
        cross_attention_dim=32, sample_size=16, caption_channels=32,
        use_additional_conditions=False,
    ).eval()  # fmt: skip
    return PixArtSigmaPipeline(
        tokenizer=tokenizer, text_encoder=encoder, vae=_vae(4), transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(),
    )  # fmt: skip


def _starter(folder: Path) -> None:
    from foundation.domains.image.training import PictureTraining

    shape = {
        "side": 48, "patch": 16, "width": 32, "depth": 2, "heads": 2, "ratio": 2.0,
        "text_width": 16, "text_depth": 1, "text_heads": 2,
    }  # fmt: skip
    made = PictureTraining.begin([], shape, 0)
    for weight in made.learner.parts["transformer"].parameters():
        torch.nn.init.normal_(weight, std=0.2)  # untrained, every picture is grey
    made.save(folder)


_BUILDERS = {"sd": _sd, "sdxl": _sdxl, "sd3": _sd3, "flux": _flux, "pixart": _pixart}


@pytest.fixture(scope="session")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`encoders("clip")`, `encoders("siglip")`: the folder of a tiny dual encoder."""
    root = tmp_path_factory.mktemp("encoders")

    def folder(kind: str) -> Path:
        if not (root / kind).exists():
            dual_encoder(root / kind, kind)
        return root / kind

    return folder


def dual_encoder(folder: Path, kind: str) -> None:
    """A tiny CLIP or SigLIP with its tokenizer and its preparation of pictures."""
    import transformers

    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2}
    size["num_attention_heads"] = 2
    words = {**size, "vocab_size": 2 * len(LETTERS) + 2, "max_position_embeddings": 16}
    sight = {**size, "image_size": 32, "patch_size": 8}
    if kind == "clip":
        words |= {"bos_token_id": 2 * len(LETTERS), "eos_token_id": 2 * len(LETTERS) + 1}
        config = transformers.CLIPConfig(text_config=words, vision_config=sight, projection_dim=24)
        model = transformers.CLIPModel(config)
        processor = transformers.CLIPImageProcessor(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
        )
    else:
        config = transformers.SiglipConfig(
            text_config={**words, "projection_size": 32}, vision_config=sight
        )
        model = transformers.SiglipModel(config)
        processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    for name, weight in model.named_parameters():  # untrained ones see all pictures alike
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=0.3)
        elif name == "logit_bias":
            torch.nn.init.constant_(weight, -2.0)
    model.save_pretrained(folder)
    _clip().save_pretrained(folder)
    processor.save_pretrained(folder)

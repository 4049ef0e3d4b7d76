"""Models of published shapes with random weights, and inputs, for benchmarks.estimates."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.estimates import Geometry


def made(geometry: "Geometry", folder: Path) -> dict[str, Any]:
    """The settings of a spec whose model has the geometry's random network; made once a folder."""
    path = folder / geometry.name.replace(" ", "-")
    domain = geometry.model.partition("/")[0]
    if not path.exists():
        import torch

        torch.manual_seed(0)
        {"image": _image, "geospatial": _geospatial, "molecule": _molecules}.get(domain, _text)(
            path, geometry.random
        )
    overrides: dict[str, Any] = {"path": str(path), "parameters": None}
    if domain == "molecule":
        overrides["options"] = {"notation": "smiles", "max_length": 64}
    return overrides


def inputs(geometry: "Geometry", folder: Path) -> dict[str, Any]:
    """What the task is given; a raster of `side` pixels is made."""
    given = dict(geometry.given)
    if "side" in given:
        given["rasters"] = [str(_raster(folder, given.pop("side")))]
    return given


def _text(path: Path, shape: Mapping[str, Any]) -> None:
    """A Llama with the tokenizer of SmolLM2."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    from foundation import registry
    from foundation.hub.facts import _folder

    there = _folder(registry.spec("language/smollm2-135m"))
    assert there is not None, "run language/smollm2-135m once, which brings its tokenizer"
    AutoTokenizer.from_pretrained(there).save_pretrained(path)
    config = LlamaConfig(vocab_size=49152, tie_word_embeddings=True, **shape,
                         max_position_embeddings=2048)  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(path)


def _molecules(path: Path, shape: Mapping[str, Any]) -> None:
    """A Llama over the characters of SMILES."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM

    words = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", *"CNOSPFIBrcnosp()[]=#+-123456789@Hl%"]
    words = list(dict.fromkeys(words))
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(words)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    config = LlamaConfig(vocab_size=len(words), bos_token_id=1, eos_token_id=2, **shape,
                         max_position_embeddings=256)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(path)
    (path / "tokenizer.json").write_text(tokenizer.to_str())


def _image(path: Path, shape: Mapping[str, Any]) -> None:
    if "scale" in shape:
        _stable_diffusion(path)
        return
    import torch

    from foundation.domains.image import network
    from foundation.domains.image.wording import vocabulary

    torch.manual_seed(0)
    made, words = network.Shape(**{"side": 64, "patch": 8, "heads": 6, **shape}), vocabulary()
    parts = {
        "transformer": network.transformer(made),
        "text_encoder": network.text_encoder(made, len(words)),
    }
    network.save(network.pipeline(made, parts, network.tokenizer(words, made.tokens)), path)


def _stable_diffusion(path: Path) -> None:
    """Stable Diffusion 1.5 with a UNet of half its width; its own autoencoder."""
    import torch
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [*letters, *(f"{c}</w>" for c in letters), "<|startoftext|>", "<|endoftext|>"]
    text = CLIPTextConfig(vocab_size=49408, hidden_size=768, intermediate_size=3072,
                          num_hidden_layers=12, num_attention_heads=12,
                          bos_token_id=52, eos_token_id=53, pad_token_id=1)  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        sample_size=512,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        block_out_channels=(160, 320, 640, 640), cross_attention_dim=768, sample_size=64
    )
    pipe = StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), unet=unet,
        tokenizer=CLIPTokenizer(vocab={w: n for n, w in enumerate(words)}, merges=[],
                                model_max_length=77),
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipe.to(torch.bfloat16).save_pretrained(path)


def _geospatial(path: Path, shape: Mapping[str, Any]) -> None:
    from foundation.domains.geospatial.network import Shape, SpectralTransformer
    from foundation.domains.geospatial.training import GeospatialTraining

    GeospatialTraining(SpectralTransformer(Shape(**shape))).save(path)


def _raster(folder: Path, side: int) -> Path:
    """Three bands of smooth noise at 10 m."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin

    path = folder / f"scene-{side}.tif"
    if not path.exists():
        noise = np.random.default_rng(0).integers(1, 255, (3, side, side), dtype=np.uint8)
        with rasterio.open(
            path, "w", driver="GTiff", count=3, height=side, width=side, dtype="uint8",
            crs="EPSG:32633", transform=from_origin(5e5, 5e6, 10, 10), tiled=True,
        ) as file:  # fmt: skip
            file.write(noise)
            file.colorinterp = [rasterio.enums.ColorInterp(n) for n in (3, 4, 5)]
    return path

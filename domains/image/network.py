"""The starter's network: a pixel transformer of diffusers and a small text encoder.

Built of the libraries' own classes, so that the folder it is saved as opens without code of ours.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from foundation.domains.image.quiet import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PreTrainedTokenizerFast


@dataclass(frozen=True)
class Shape:
    """side, patch: pixels. width, depth, heads, ratio: of the picture's transformer.

    text_width, text_depth, text_heads, tokens: of the text encoder, and its longest caption.
    noise: standard deviation of the noise that sampling begins with, pixels being -1 to 1.
    shift: how far the sampler's times lean towards noise (Esser et al. 2024).
    """

    side: int = 48
    patch: int = 8
    width: int = 192
    depth: int = 6
    heads: int = 6
    ratio: float = 3.0
    text_width: int = 128
    text_depth: int = 2
    text_heads: int = 4
    tokens: int = 20
    noise: float = 2.0
    shift: float = 3.0


def transformer(shape: Shape) -> nn.Module:
    """A PRXTransformer2DModel over pixels that predicts the clean picture."""
    from diffusers import PRXTransformer2DModel

    axis = shape.width // shape.heads // 2
    model: nn.Module = PRXTransformer2DModel(
        in_channels=3,
        patch_size=shape.patch,
        context_in_dim=shape.text_width,
        hidden_size=shape.width,
        mlp_ratio=shape.ratio,
        num_heads=shape.heads,
        depth=shape.depth,
        axes_dim=[axis, axis],
        # So small a grid needs no long waves.
        theta=100,
    )
    # The first guess is grey, and each block begins as the identity.
    nn.init.zeros_(model.final_layer.linear.weight)  # type: ignore[union-attr,arg-type]
    nn.init.zeros_(model.final_layer.linear.bias)  # type: ignore[union-attr,arg-type]
    return model


def text_encoder(shape: Shape, words: int) -> nn.Module:
    """A DistilBertModel, which has no pooler that would be saved untrained."""
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(
        vocab_size=words,
        max_position_embeddings=shape.tokens,
        dim=shape.text_width,
        hidden_dim=4 * shape.text_width,
        n_layers=shape.text_depth,
        n_heads=shape.text_heads,
        dropout=0.0,
        attention_dropout=0.0,
    )
    return DistilBertModel(config)


def tokenizer(words: "Mapping[str, int]", longest: int) -> "PreTrainedTokenizerFast":
    """Words to numbers; letters' case and punctuation make no difference."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.WordLevel(dict(words), "[UNK]"))
    made.normalizer = normalizers.Sequence(
        [normalizers.Lowercase(), normalizers.Replace(Regex(r"[^\w\s]"), " ")]
    )
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, words[name]) for name in ("[CLS]", "[SEP]")],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        model_max_length=longest,
    )


def scheduler(shape: Shape) -> Any:
    """Steps along the flow."""
    from diffusers import FlowMatchEulerDiscreteScheduler

    return FlowMatchEulerDiscreteScheduler(shift=shape.shift)


def pipeline(shape: Shape, parts: "Mapping[str, nn.Module]", words: Any) -> Any:
    """The parts as the pipeline that draws with them."""
    from diffusers import PRXPixelPipeline

    return PRXPixelPipeline(
        transformer=parts["transformer"],
        scheduler=scheduler(shape),
        text_encoder=parts["text_encoder"],
        tokenizer=words,
        default_sample_size=shape.side,
        prompt_max_tokens=shape.tokens,
        noise_scale=shape.noise,
    )


def predict(
    transformer: nn.Module, mixed: Tensor, time: Tensor, states: Tensor, mask: Tensor
) -> Tensor:
    """The clean pictures, [rows, 3, side, side], of `mixed` at times [rows], 1 to 0.

    states, mask: what the text encoder made of the captions, [rows, tokens, width], [rows, tokens].
    """
    clean: Tensor = transformer(
        hidden_states=mixed,
        timestep=time,
        encoder_hidden_states=states,
        attention_mask=mask,
        return_dict=False,
    )[0]
    return clean.float()


def read_shape(pipe: Any) -> Shape:
    """The shape of a pipeline that `pipeline` made."""
    picture, text = pipe.transformer.config, pipe.text_encoder.config
    return Shape(
        side=pipe.config.default_sample_size,
        patch=picture.patch_size,
        width=picture.hidden_size,
        depth=picture.depth,
        heads=picture.num_heads,
        ratio=picture.mlp_ratio,
        text_width=text.dim,
        text_depth=text.n_layers,
        text_heads=text.n_heads,
        tokens=pipe.config.prompt_max_tokens,
        noise=pipe.config.noise_scale,
        shift=pipe.scheduler.config.shift,
    )


def save(pipe: Any, folder: Path) -> None:
    """Write the pipeline in bfloat16; the folder opens with DiffusionPipeline.from_pretrained."""
    with quiet():
        pipe.to(dtype=torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    # transformers would load bfloat16 where diffusers loads float32, and the two would not meet.
    path = folder / "text_encoder" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | {"dtype": "float32"}
    path.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")

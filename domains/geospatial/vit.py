"""Vision transformers of transformers as encoders: ViT-MAE, DINOv2, DINOv3."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from foundation.attention import attended, use
from foundation.domains.geospatial.intake import Intake, Units
from foundation.domains.geospatial.parts import Part
from foundation.errors import SourceError
from foundation.pretrained import read_model


class VisionEncoder:
    """The class token is the window's vector, or with `options.whole: mean` its patches' mean."""

    def __init__(self, module: Any, intake: Intake, whole: str) -> None:
        self.module, self.intake, self._whole = module, intake, whole
        self.units = Units(int(module.config.hidden_size), int(module.config.hidden_size))
        # Before the patches come the class token and, in DINOv3, registers.
        self._before = 1 + int(getattr(module.config, "num_register_tokens", 0) or 0)
        self._masks = module.config.model_type == "vit_mae"

    @classmethod
    def read(cls, folder: Path, options: Mapping[str, Any]) -> "VisionEncoder":
        module = read_model(folder, "AutoModel", torch.float32)
        use(module, "whole", attend)
        config = module.config
        intake = Intake.of({"patch": config.patch_size, **options})
        if len(intake.bands) != config.num_channels or intake.patch != config.patch_size:
            raise SourceError(
                f"{folder} takes {config.num_channels} bands and patches of {config.patch_size}; "
                f"model.options names {len(intake.bands)} and {intake.patch}"
            )
        if config.model_type == "vit_mae":
            config.mask_ratio = 0.0
        return cls(module, intake, str(options.get("whole", "class")))

    def untrained(self, seed: int) -> "VisionEncoder":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return VisionEncoder(type(self.module)(self.module.config), self.intake, self._whole)

    def __call__(self, pixels: Tensor, batch: Sequence[Part]) -> tuple[Tensor, Tensor]:
        side = self.intake.side // self.intake.patch
        more: dict[str, Any] = {}
        if self._masks:  # it shuffles patches by this noise, even where it hides none
            order = torch.arange(side * side, device=pixels.device, dtype=torch.float32)
            more = {"noise": order.expand(len(pixels), -1), "interpolate_pos_encoding": True}
        tokens = self.module(pixels, **more).last_hidden_state
        patches = tokens[:, self._before :]
        whole = patches.mean(1) if self._whole == "mean" else tokens[:, 0]
        return whole, patches.unflatten(1, (side, side))


def attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
    *, scaling: float | None = None, **more: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """transformers' own attention, faster where all tokens look at all and nothing is learnt.

    query, key and value: [rows, heads, tokens, units] -> [rows, tokens, heads, units].
    """
    if attention_mask is not None or module.training or torch.is_grad_enabled():
        usual: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, scaling=scaling, **more
        )
        return usual
    return attended(query, key, value, scaling).transpose(1, 2).contiguous(), None

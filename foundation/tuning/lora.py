"""Low-rank adaptation (Hu et al. 2021) through peft: laid on, saved, and merged again."""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.errors import SourceError
from foundation.spec import Delta

if TYPE_CHECKING:
    import torch

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def lay(base: "torch.nn.Module", targets: Sequence[str], rank: int) -> Any:
    """Lay LoRA on the linear layers named `targets`; all else of `base` is frozen.

    Scaled by 2, whatever the rank. Returns peft's configuration.
    """
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=list(targets))
    inject_adapter_in_model(config, base)
    return config


def linear_names(base: "torch.nn.Module") -> list[str]:
    """The last names of all linear layers but a pooler's, which is what LoRA adapts at its best.

    All layers rather than those of attention: Dettmers et al., "QLoRA" (2023), figure 2.
    """
    import torch

    found = {
        name.rpartition(".")[2]
        for name, layer in base.named_modules()
        if isinstance(layer, torch.nn.Linear) and "pooler" not in name
    }
    return sorted(found)


def frozen(module: "torch.nn.Module") -> list[str]:
    """The names of parameters that are not trained."""
    return [name for name, p in module.named_parameters() if not p.requires_grad]


def save(base: "torch.nn.Module", config: Any, folder: Path, model: str) -> None:
    """Write the adapter as peft does; `model` names what it belongs to."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    weights = {
        f"base_model.model.{name.replace('.default.', '.')}": value.detach().cpu().contiguous()
        for name, value in base.state_dict().items()
        if ".lora_" in name
    }
    save_file(weights, str(folder / WEIGHTS), metadata={"format": "pt"})
    config.base_model_name_or_path, config.inference_mode = model, True
    config.save_pretrained(str(folder))


def merged(model: Any, deltas: Sequence[Delta]) -> Any:
    """A model with LoRA folders merged into its weights, each times its scale; SourceError."""
    from peft import PeftModel

    for delta in deltas:
        folder = local(delta)
        try:
            with warnings.catch_warnings():
                # peft asks transformers for what that has renamed.
                warnings.simplefilter("ignore", FutureWarning)
                wrapped = PeftModel.from_pretrained(model, str(folder))
        except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise SourceError(f"{folder} does not fit this model: {reason}") from error
        for layer in wrapped.modules():
            scaling: Any = getattr(layer, "scaling", None)
            for name in scaling if isinstance(scaling, dict) else ():
                scaling[name] *= delta.scale
        model = wrapped.merge_and_unload()
    return model


def local(delta: Delta) -> Path:
    """The folder of a delta, its files there and as they should be."""
    from foundation.hub import resolve

    wanted = {WEIGHTS: delta.sha256} if delta.sha256 else {}
    folder = resolve(delta.path, sha256=wanted).path
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise SourceError(f"{folder} is no LoRA folder of peft: it has no {name}")
    return folder


def model_of(folder: Path) -> str | None:
    """The model that LoRA weights belong to, where their folder says so."""
    path = folder / CONFIG
    if not path.is_file():
        return None
    value = json.loads(path.read_text(encoding="utf-8")).get("base_model_name_or_path")
    return None if value is None else str(value)

"""Low-rank adaptation (Hu et al. 2021) through peft: laid on, saved, and merged again."""

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
    """The names of parameters that are not trained, each of those that are tied."""
    named = module.named_parameters(remove_duplicate=False)
    return [name for name, p in named if not p.requires_grad]


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
    for delta in deltas:
        folder = local(delta)
        try:
            model = _merged(model, folder, delta.scale)
        except (ValueError, RuntimeError, KeyError, TypeError, OSError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise SourceError(f"{folder} does not fit this model: {reason}") from error
    return model


def _merged(model: Any, folder: Path, scale: float) -> Any:
    from peft import LoraConfig, inject_adapter_in_model
    from peft.tuners.lora import LoraLayer
    from safetensors.torch import load_file

    inject_adapter_in_model(LoraConfig.from_pretrained(str(folder)), model)
    weights = {
        name.removeprefix("base_model.model.")
        .replace(".lora_A.", ".lora_A.default.")
        .replace(".lora_B.", ".lora_B.default."): value
        for name, value in load_file(str(folder / WEIGHTS)).items()
    }
    _, unknown = model.load_state_dict(weights, strict=False)
    if unknown:
        raise ValueError(f"the model has no {unknown[0]}")
    # peft's merge_and_unload wants a config that only models of transformers have.
    for name, layer in list(model.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.scaling["default"] *= scale
            layer.merge()
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, layer.get_base_layer())
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

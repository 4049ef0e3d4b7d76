"""Checkpoints: a folder each, complete or not there at all."""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing, sync_folder
from foundation.errors import RunFolderError
from foundation.tuning.sharding import full, shares

if TYPE_CHECKING:
    import torch

    from foundation.tuning.optimizers import Together


def flatten(state: dict[str, Any]) -> "tuple[dict[str, torch.Tensor], dict[str, Any]]":
    """An optimizer's state -> (tensors by name, the rest as JSON): no pickle is written."""
    import torch

    tensors, rest = {}, {"param_groups": state["param_groups"], "state": {}}
    for index, values in state["state"].items():
        for name, value in values.items():
            if torch.is_tensor(value):
                tensors[f"{index}.{name}"] = value.detach().contiguous()
            else:
                rest["state"].setdefault(str(index), {})[name] = value
    return tensors, rest


def unflatten(tensors: "dict[str, torch.Tensor]", rest: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `flatten`."""
    state: dict[int, dict[str, Any]] = {int(i): dict(v) for i, v in rest["state"].items()}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    return {"param_groups": rest["param_groups"], "state": state}


def save(
    folder: Path,
    step: int,
    weights: "Mapping[str, torch.Tensor]",
    optimizer: "tuple[Mapping[str, torch.Tensor], dict[str, Any]]",
    progress: dict[str, Any],
    keep: int,
    average: "Mapping[str, torch.Tensor] | None" = None,
) -> Path:
    """Write `folder/step-<n>` under a temporary name, rename it, and drop all but `keep`.

    weights: by `weights_of`. optimizer: its state by `flatten`.
    """
    from safetensors.torch import save_file

    final = folder / f"step-{step:08d}"
    part = folder / f".{final.name}.{os.getpid()}.part"
    for leftover in folder.glob(".step-*.part"):
        shutil.rmtree(leftover)
    part.mkdir(parents=True)
    save_file(dict(weights), str(part / "model.safetensors"))
    if average is not None:
        save_file(dict(average), str(part / "average.safetensors"))
    tensors, rest = optimizer
    save_file(dict(tensors), str(part / "optimizer.safetensors"))
    (part / "progress.json").write_text(json.dumps({"step": step, "optimizer": rest, **progress}))
    for path in part.iterdir():
        _sync(path)
    sync_folder(part)
    shutil.rmtree(final, ignore_errors=True)
    part.rename(final)
    sync_folder(folder)
    for old in saved(folder)[:-keep]:
        shutil.rmtree(old)
    return final


def weights_of(
    module: "torch.nn.Module", frozen: Collection[str] = ()
) -> "dict[str, torch.Tensor]":
    """All but the frozen parameters of a module, shared ones once; whole where they are sharded.

    Of a sharded module every process must ask.
    """
    learnt = dict(module.named_parameters(remove_duplicate=False))
    again = learnt.keys() - dict(module.named_parameters()).keys()
    state = {n: v for n, v in module.state_dict().items() if n not in frozen and n not in again}
    once = {_place(value): name for name, value in reversed(state.items())}
    found = full({name: state[name].detach() for name in reversed(once.values())})
    return {name: value.contiguous() for name, value in found.items()}


def _place(tensor: "torch.Tensor") -> Any:
    """Equal for plain tensors that are the same memory seen in the same way."""
    if hasattr(tensor, "full_tensor") or not tensor.numel():
        return id(tensor)
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def save_weights(weights: "Mapping[str, torch.Tensor]", path: Path) -> None:
    """Write what `weights_of` gave, whole or not at all."""
    from safetensors.torch import save_file

    with replacing(path) as part:
        save_file(dict(weights), str(part))


def load_weights(module: "torch.nn.Module", path: Path, frozen: Collection[str] = ()) -> None:
    """Put what `save_weights` wrote into a module."""
    from safetensors.torch import load_model

    missing, _ = load_model(module, str(path), strict=not frozen)
    if set(missing) - set(frozen):
        raise RunFolderError(f"{path} lacks weights of the model, {sorted(missing)[0]} among them")


def saved(folder: Path) -> list[Path]:
    """The complete checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def progress(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint tells about itself; empty where there is none."""
    found = saved(folder)
    values: dict[str, Any] = json.loads((found[-1] / "progress.json").read_text()) if found else {}
    return values


def load_optimizer(path: Path, optimizer: "torch.optim.Optimizer | Together") -> None:
    """Put a checkpoint's state into an optimizer, of whole weights or of sharded ones."""
    from safetensors.torch import load_file

    rest = json.loads((path / "progress.json").read_text())["optimizer"]
    state = unflatten(load_file(str(path / "optimizer.safetensors")), rest)
    optimizer.load_state_dict(shares(state, optimizer))


def average(path: Path) -> "dict[str, torch.Tensor]":
    """The averaged weights of a checkpoint."""
    from safetensors.torch import load_file

    return load_file(str(path / "average.safetensors"))


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())

"""Checkpoints: a folder each, complete or not there at all."""

import json
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import sync_folder
from foundation.errors import RunFolderError

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
    module: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer | Together",
    progress: dict[str, Any],
    keep: int,
    frozen: Collection[str] = (),
    average: "Mapping[str, torch.Tensor] | None" = None,
) -> Path:
    """Write `folder/step-<n>` under a temporary name, rename it, and drop all but `keep`.

    frozen: parameters that are the model's own, and left out.
    """
    from safetensors.torch import save_file

    final = folder / f"step-{step:08d}"
    part = folder / f".{final.name}.{os.getpid()}.part"
    for leftover in folder.glob(".step-*.part"):
        shutil.rmtree(leftover)
    part.mkdir(parents=True)
    save_weights(module, part / "model.safetensors", frozen)
    if average is not None:
        save_file(dict(average), str(part / "average.safetensors"))
    tensors, rest = flatten(optimizer.state_dict())
    save_file(tensors, str(part / "optimizer.safetensors"))
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


def save_weights(module: "torch.nn.Module", path: Path, frozen: Collection[str] = ()) -> None:
    """Write all but the frozen parameters of a module, shared ones once."""
    from safetensors.torch import save_file, save_model

    if not frozen:
        save_model(module, str(path))
        return
    kept = {n: v.detach().contiguous() for n, v in module.state_dict().items() if n not in frozen}
    save_file(kept, str(path))


def load_weights(module: "torch.nn.Module", path: Path, frozen: Collection[str] = ()) -> None:
    """The inverse of `save_weights`."""
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


def load(
    path: Path,
    module: "torch.nn.Module",
    optimizer: "torch.optim.Optimizer | Together",
    frozen: Collection[str] = (),
) -> dict[str, Any]:
    """Put a checkpoint into module and optimizers; return its progress."""
    from safetensors.torch import load_file

    load_weights(module, path / "model.safetensors", frozen)
    values: dict[str, Any] = json.loads((path / "progress.json").read_text())
    tensors = load_file(str(path / "optimizer.safetensors"))
    optimizer.load_state_dict(unflatten(tensors, values.pop("optimizer")))
    return values


def average(path: Path) -> "dict[str, torch.Tensor]":
    """The averaged weights of a checkpoint."""
    from safetensors.torch import load_file

    return load_file(str(path / "average.safetensors"))


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())

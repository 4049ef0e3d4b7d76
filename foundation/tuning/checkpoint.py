"""Checkpoints: a folder each, complete or not there at all."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import sync_folder

if TYPE_CHECKING:
    import torch


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
    optimizer: "torch.optim.Optimizer",
    progress: dict[str, Any],
    keep: int,
) -> Path:
    """Write `folder/step-<n>` under a temporary name, rename it, and drop all but `keep`."""
    from safetensors.torch import save_file, save_model

    final = folder / f"step-{step:08d}"
    part = folder / f".{final.name}.{os.getpid()}.part"
    for leftover in folder.glob(".step-*.part"):
        shutil.rmtree(leftover)
    part.mkdir(parents=True)
    save_model(module, str(part / "model.safetensors"))
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


def saved(folder: Path) -> list[Path]:
    """The complete checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def progress(folder: Path) -> dict[str, Any]:
    """What the newest checkpoint tells about itself; empty where there is none."""
    found = saved(folder)
    values: dict[str, Any] = json.loads((found[-1] / "progress.json").read_text()) if found else {}
    return values


def load(
    path: Path, module: "torch.nn.Module", optimizer: "torch.optim.Optimizer"
) -> dict[str, Any]:
    """Put a checkpoint into module and optimizers; return its progress."""
    from safetensors.torch import load_file, load_model

    load_model(module, str(path / "model.safetensors"))
    values: dict[str, Any] = json.loads((path / "progress.json").read_text())
    tensors = load_file(str(path / "optimizer.safetensors"))
    optimizer.load_state_dict(unflatten(tensors, values.pop("optimizer")))
    return values


def _sync(path: Path) -> None:
    with path.open("rb") as handle:
        os.fsync(handle.fileno())

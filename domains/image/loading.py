"""A folder of diffusers -> its pipeline, with LoRA weights; safetensors only, none of its code."""

import inspect
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.image.quiet import quiet
from foundation.errors import SourceError
from foundation.spec import Delta

if TYPE_CHECKING:
    import torch

_BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError)


def read_pipeline(folder: Path, dtype: "torch.dtype") -> Any:
    """The pipeline of a folder; SourceError where it holds none that draws from text."""
    from diffusers import DiffusionPipeline

    if not (folder / "model_index.json").is_file():
        raise SourceError(f"{folder} is no folder of diffusers: it has no model_index.json")
    try:
        with quiet():
            pipe = DiffusionPipeline.from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                variant=_variant(folder),
                **_absent(folder),
            )
    except _BROKEN as error:
        raise SourceError(f"{folder} holds no pipeline: {first_line(error)}") from error
    if "prompt" not in parameters(pipe):
        raise SourceError(f"{folder}: {type(pipe).__name__} draws nothing from text")
    pipe.set_progress_bar_config(disable=True)
    if type(pipe).__name__ == "PRXPixelPipeline":
        pipe.transformer.register_forward_pre_hook(_time_each, with_kwargs=True)
    return pipe


def parameters(pipe: Any) -> dict[str, Any]:
    """What the pipeline's call takes, with its defaults."""
    taken = inspect.signature(type(pipe).__call__).parameters
    return {name: value.default for name, value in taken.items() if name != "self"}


def add_loras(pipe: Any, deltas: Sequence[Delta]) -> list[dict[str, Any]]:
    """Lay LoRA weights on a pipeline; their names, scales and digests.

    SourceError for a file that has changed, is a pickle, or fits another architecture.
    """
    added = []
    for number, delta in enumerate(deltas):
        path, digest = _verified(delta)
        _add_lora(pipe, path, f"lora_{number}")
        added.append({"file": path.name, "scale": delta.scale, "sha256": digest})
    return added


def scale_loras(pipe: Any, loras: Sequence[dict[str, Any]], by: float) -> None:
    """Set the scales of all LoRA weights, times `by`."""
    if loras:
        names = [f"lora_{number}" for number in range(len(loras))]
        pipe.set_adapters(names, [lora["scale"] * by for lora in loras])


def first_line(error: Exception) -> str:
    """What an error of the libraries says, in one line."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


def _add_lora(pipe: Any, path: Path, name: str) -> None:
    if not hasattr(pipe, "load_lora_weights"):
        raise SourceError(f"{path}: {type(pipe).__name__} takes no LoRA weights")
    before = _adapted(pipe, name)
    try:
        with quiet():
            pipe.load_lora_weights(
                path.parent,
                weight_name=path.name,
                adapter_name=name,
                local_files_only=True,
                use_safetensors=True,
            )
        fits = _adapted(pipe, name) > before
    except (*_BROKEN, IndexError) as error:
        raise _unlike(pipe, path, first_line(error)) from error
    if not fits:
        raise _unlike(pipe, path, "none of its weights is one of the model's")


def _adapted(pipe: Any, name: str) -> int:
    """Layers that have LoRA weights of that name."""
    return sum(
        name in getattr(layer, "lora_A", {})
        for part in pipe.components.values()
        if hasattr(part, "modules")
        for layer in part.modules()
    )


def _unlike(pipe: Any, path: Path, why: str) -> SourceError:
    return SourceError(
        f"{path} does not fit {type(pipe).__name__}, it is of another architecture: {why}"
    )


def _verified(delta: Delta) -> tuple[Path, str]:
    from foundation.hub import resolve

    wanted = {} if delta.sha256 is None else {Path(delta.path).name: delta.sha256}
    found = resolve(delta.path, sha256=wanted)
    path = found.path
    if path.is_dir():
        weights = sorted(name for name in found.files if name.endswith(".safetensors"))
        if len(weights) != 1:
            raise SourceError(f"{path}: name one .safetensors file of LoRA weights in it")
        path = path / weights[0]
    return path, found.files[path.name if found.path == path else weights[0]]


def _absent(folder: Path) -> dict[str, None]:
    """Parts that a pipeline was saved without, which diffusers wants to be told again."""
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    return {name: None for name, value in index.items() if value == [None, None]}


def _variant(folder: Path) -> str | None:
    """`fp16` where a part of the pipeline has weights of that variant only."""
    for part in folder.iterdir():
        if not part.is_dir():
            continue
        names = [path.name for path in part.glob("*.safetensors")]
        if names and all(".fp16" in name for name in names):
            return "fp16"
    return None


def _time_each(_module: Any, args: Any, given: dict[str, Any]) -> Any:
    """PRXPixelPipeline of diffusers 0.42 gives guided batches two times, not one a picture."""
    time, rows = given["timestep"], len(given["hidden_states"])
    if len(time) not in (1, rows):
        given["timestep"] = time.repeat_interleave(rows // len(time))
    return args, given

"""A folder of diffusers, or one checkpoint file -> its pipeline; safetensors and GGUF only."""

import inspect
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.image.parts import other_parts, quantisation
from foundation.domains.image.quiet import BROKEN, first_line, quiet
from foundation.errors import FoundationError, InputError, SourceError

if TYPE_CHECKING:
    import torch

    from foundation.spec import ModelSpec

CONFIGURATION = ("*.json", "*.txt", "*.model", "*.jinja")


def read_pipeline(path: Path, spec: "ModelSpec", dtype: "torch.dtype") -> Any:
    """The pipeline of a folder or of a single file; SourceError where it draws nothing from text.

    A single file holds weights alone: what they are the weights of is told by the folder
    `options.config`, or else by the model of the registry that the spec is named after.
    """
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    folder = path if path.is_dir() else _configuration(spec)
    index = _index(folder)
    given: dict[str, Any] = {"dtype": dtype, "local_files_only": True}
    given |= other_parts(spec.options.get("parts"), index, folder, dtype)
    given |= {name: None for name, value in index.items() if value == [None, None]}
    try:
        with quiet():
            if path.is_dir():
                pipe = _from_folder(folder, spec.options, index, given)
            else:
                pipe = _class(index, folder).from_single_file(path, config=str(folder), **given)
    except FoundationError:
        raise
    except (*BROKEN, SingleFileComponentError) as error:
        raise SourceError(f"{path} holds no pipeline: {first_line(error)}") from error
    if "prompt" not in parameters(pipe):
        raise SourceError(f"{path}: {type(pipe).__name__} draws nothing from text")
    pipe.set_progress_bar_config(disable=True)
    if type(pipe).__name__ == "PRXPixelPipeline":
        pipe.transformer.register_forward_pre_hook(_time_each, with_kwargs=True)
    return pipe


def parameters(pipe: Any) -> dict[str, Any]:
    """What the pipeline's call takes, with its defaults."""
    return _parameters(type(pipe))  # type: ignore[arg-type]


@cache
def _parameters(kind: type) -> dict[str, Any]:
    taken = inspect.signature(kind.__call__).parameters
    return {name: value.default for name, value in taken.items() if name != "self"}


def _from_folder(
    folder: Path, options: Mapping[str, Any], index: Mapping[str, Any], given: dict[str, Any]
) -> Any:
    from diffusers import DiffusionPipeline

    return DiffusionPipeline.from_pretrained(
        folder,
        use_safetensors=True,
        trust_remote_code=False,
        variant=options.get("variant") or _variant(folder),
        quantization_config=quantisation(options.get("quantise"), index),
        **given,
    )


def _configuration(spec: "ModelSpec") -> Path:
    """The folder that says what the weights of a single file are of; it needs no weights."""
    from foundation import registry
    from foundation.hub import resolve

    source, revision = spec.options.get("config"), None
    if source is None:
        known = registry.models()
        named = registry.spec(spec.name) if spec.name in known else None
        if named is None or not named.source.startswith(("hub:", "embedded:")):
            raise InputError(
                f"{spec.source} is one file of weights: give model.options.config=<folder of the "
                "model's configuration>, or choose the model of the Hub that it is a version of"
            )
        source, revision = named.source, named.revision
    return resolve(source, revision=revision, allow=CONFIGURATION).path


def _index(folder: Path) -> dict[str, Any]:
    path = folder / "model_index.json"
    if not path.is_file():
        raise SourceError(f"{folder} is no folder of diffusers: it has no model_index.json")
    index = json.loads(path.read_text(encoding="utf-8"))
    return index if isinstance(index, dict) else {}


def _class(index: Mapping[str, Any], folder: Path) -> Any:
    import diffusers

    kind = getattr(diffusers, str(index.get("_class_name")), None)
    if not hasattr(kind, "from_single_file"):
        raise SourceError(
            f"{folder}: {index.get('_class_name')} is not read from a single file; "
            "give it as the part it holds, e.g. model.options.parts.transformer=<file>"
        )
    return kind


def _variant(folder: Path) -> str | None:
    """The variant, e.g. `fp16`, of a pipeline that has a part in no other one."""
    for part in sorted(folder.iterdir()):
        if not part.is_dir():
            continue
        stems = [path.name.removesuffix(".safetensors") for path in part.glob("*.safetensors")]
        known = [variant for variant in ("fp16", "bf16", "fp32") if stems and
                 all(f".{variant}" in stem for stem in stems)]  # fmt: skip
        if known:
            return known[0]
    return None


def _time_each(_module: Any, args: Any, given: dict[str, Any]) -> Any:
    """PRXPixelPipeline of diffusers 0.42 gives guided batches two times, not one a picture."""
    time, rows = given["timestep"], len(given["hidden_states"])
    if len(time) not in (1, rows):
        given["timestep"] = time.repeat_interleave(rows // len(time))
    return args, given

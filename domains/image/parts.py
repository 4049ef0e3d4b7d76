"""Parts of a pipeline from other files than its own, and parts that are quantised as they load."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.image.quiet import BROKEN, first_line, quiet
from foundation.errors import MissingExtra, SourceError, UnknownName

if TYPE_CHECKING:
    import torch

ALLOW = ("*.safetensors", "*.gguf", "*.json")
PACKAGES = {"bitsandbytes": "bitsandbytes", "quanto": "optimum.quanto", "torchao": "torchao"}


def other_parts(
    sources: Mapping[str, str] | None,
    index: Mapping[str, Any],
    folder: Path,
    dtype: "torch.dtype",
) -> dict[str, Any]:
    """Part of the pipeline, e.g. `transformer` -> its model, read from the source named for it.

    sources: a .gguf or .safetensors file, or a folder of diffusers, by part. A GGUF stays quantised
    and is computed in `dtype`. index: the pipeline's model_index.json; folder: its configuration.
    """
    from diffusers.loaders.single_file_utils import SingleFileComponentError

    from foundation.hub import resolve

    found = {}
    for name, source in (sources or {}).items():
        kind = _kind(name, index)
        path = resolve(str(source), allow=ALLOW).path
        try:
            with quiet():
                found[name] = _read(kind, path, folder, name, dtype)
        except (*BROKEN, SingleFileComponentError) as error:
            raise SourceError(f"{path} is no {kind.__name__}: {first_line(error)}") from error
    return found


def quantisation(
    wanted: Mapping[str, Mapping[str, Any]] | None, index: Mapping[str, Any]
) -> Any | None:
    """The configuration by which diffusers quantises parts as it reads them.

    wanted: part -> `backend`, one of diffusers' (bitsandbytes_4bit, bitsandbytes_8bit, quanto,
    torchao), and what its configuration takes.
    """
    if not wanted:
        return None
    from diffusers import PipelineQuantizationConfig

    made = {name: _configured(name, dict(given), index) for name, given in wanted.items()}
    return PipelineQuantizationConfig(quant_mapping=made)


def _read(kind: Any, path: Path, folder: Path, name: str, dtype: "torch.dtype") -> Any:
    given: dict[str, Any] = {"torch_dtype": dtype, "local_files_only": True}
    if path.is_dir():
        return kind.from_pretrained(path, use_safetensors=True, **given)
    if path.suffix == ".gguf":
        from diffusers import GGUFQuantizationConfig

        given["quantization_config"] = GGUFQuantizationConfig(compute_dtype=dtype)
    return kind.from_single_file(str(path), config=str(folder), subfolder=name, **given)


def _kind(name: str, index: Mapping[str, Any]) -> Any:
    """The class of a part of diffusers; UnknownName where the pipeline has no such part."""
    import diffusers

    own = [part for part, value in index.items() if isinstance(value, list) and
           value[0] == "diffusers"]  # fmt: skip
    known = [part for part in own if part != "scheduler"]
    if name not in known:
        raise UnknownName("part", name, known, "(model.options.parts)")
    return getattr(diffusers, index[name][1])


def _configured(name: str, given: dict[str, Any], index: Mapping[str, Any]) -> Any:
    import importlib.util

    from diffusers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING as OF_DIFFUSERS
    from transformers.quantizers.auto import AUTO_QUANTIZATION_CONFIG_MAPPING as OF_TRANSFORMERS

    parts = [part for part, value in index.items() if isinstance(value, list) and value[0]]
    if name not in parts:
        raise UnknownName("part", name, parts, "(model.options.quantise)")
    backend = str(given.pop("backend", ""))
    known = OF_DIFFUSERS if index[name][0] == "diffusers" else OF_TRANSFORMERS
    if backend not in known:
        raise UnknownName("backend", backend, known, f"(model.options.quantise.{name}.backend)")
    package = PACKAGES.get(backend.partition("_")[0])
    if package and importlib.util.find_spec(package.partition(".")[0]) is None:
        raise MissingExtra(package, "quantised")
    try:
        return known[backend](**given)
    except BROKEN as error:
        raise SourceError(f"model.options.quantise.{name}: {first_line(error)}") from error

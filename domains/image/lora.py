"""LoRA weights laid on a pipeline: several, each with its scale, verified before they are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foundation.domains.image.quiet import BROKEN, first_line, quiet
from foundation.errors import SourceError
from foundation.spec import Delta

DISTILLED = "distilled"
PEFT = "adapter_config.json"


class Loras:
    """The LoRA weights of a pipeline. told: their files, scales and digests.

    SourceError for a file that has changed, is a pickle, or fits another architecture.
    """

    def __init__(self, pipe: Any, deltas: Sequence[Delta]) -> None:
        self._pipe = pipe
        self._distilled: str | None = None
        self.told: list[dict[str, Any]] = []
        for number, delta in enumerate(deltas):
            if (Path(delta.path).expanduser() / PEFT).is_file():
                # As task=tune writes it; merged, since not every pipeline takes LoRA weights.
                from foundation.tuning.lora import merged

                pipe.transformer = merged(pipe.transformer, [delta])
                continue
            path, digest = _verified(delta)
            _add(pipe, path, f"lora_{number}")
            self.told.append({"file": path.name, "scale": delta.scale, "sha256": digest})

    def set(self, by: float, distilled: str | None = None) -> None:
        """Multiply all scales by `by`; distilled: a source of further weights, laid on now."""
        if distilled is not None and self._distilled is None:
            _add(self._pipe, _verified(Delta(distilled))[0], DISTILLED)
            self._distilled = distilled
        names = [f"lora_{number}" for number in range(len(self.told))]
        scales = [lora["scale"] * by for lora in self.told]
        if distilled is not None:
            names, scales = [*names, DISTILLED], [*scales, 1.0]
        if self._distilled is not None:
            (self._pipe.enable_lora if names else self._pipe.disable_lora)()
        if names:
            self._pipe.set_adapters(names, scales)


def _add(pipe: Any, path: Path, name: str) -> None:
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
    except (*BROKEN, IndexError) as error:
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

"""Models and tokenizers of transformers from a local folder: safetensors only, none of its code."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Placement
from foundation.errors import SourceError
from foundation.placement.spread import loading, placed
from foundation.quantised import quantising
from foundation.spec import Delta

if TYPE_CHECKING:
    import torch


def read_model(
    folder: Path,
    kind: str,
    dtype: "torch.dtype",
    deltas: Sequence[Delta] = (),
    placement: Placement | None = None,
    bits: int | None = None,
) -> Any:
    """The model of a folder in evaluation mode; `kind` is its Auto class, e.g. AutoModel.

    deltas: LoRA folders that are merged into it, for which it must be in one place. placement:
    where it is put; None: it stays in the host's memory. bits: see foundation.quantised.
    SourceError where the folder holds no such model, or lacks weights of it. A pooler may lack: it
    is not used, and models are published without one.
    """
    import transformers
    from safetensors import SafetensorError

    more = {} if placement is None or deltas else loading(placement)
    device = "cpu" if placement is None else placement.device
    more = {**quantising(folder, dtype, device, bits), **more}
    try:
        with quiet():
            model, report = getattr(transformers, kind).from_pretrained(
                folder,
                dtype=dtype,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **more,
            )
    except (
        ImportError, OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError,
    ) as error:  # fmt: skip
        raise SourceError(f"{folder} cannot be read as {kind}: {_first_line(error)}") from error
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise SourceError(f"{folder} lacks weights of its model: {missing[0]} and maybe others")
    if deltas:
        from foundation.tuning.lora import merged

        model = merged(model, deltas)
    return (model if placement is None else placed(model, placement)).eval()


def fresh_model(folder: Path, kind: str, shape: Mapping[str, Any]) -> Any:
    """A model with the configuration of a folder, changed by `shape`, and fresh weights."""
    import transformers

    try:
        with quiet():
            config = transformers.AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, **shape
            )
            return getattr(transformers, kind).from_config(config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SourceError(f"{folder} cannot be begun as {kind}: {_first_line(error)}") from error


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder; SourceError where there is none."""
    from transformers import AutoTokenizer

    try:
        with quiet():
            return AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:  # a reader of foreign files fails with what it likes
        raise SourceError(f"{folder} holds no tokenizer: {_first_line(error)}") from error


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bar of transformers, and no report of weights that a task does not need."""
    from transformers.utils import logging as their

    level, bar = their.get_verbosity(), their.is_progress_bar_enabled()
    their.set_verbosity_error()
    their.disable_progress_bar()
    try:
        yield
    finally:
        their.set_verbosity(level)
        if bar:
            their.enable_progress_bar()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

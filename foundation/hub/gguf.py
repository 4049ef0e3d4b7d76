"""GGUF, read as data: dequantised once into a verified folder of safetensors.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, read by transformers' own code.
"""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing, sync_folder
from foundation.errors import MissingExtra, SourceError
from foundation.hub.cache import cache_folder
from foundation.hub.digests import digests
from foundation.pretrained import quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

MANIFEST = "digests.json"
"""Written last: relative path -> sha256 of every file of the folder."""


def dequantised(path: Path) -> Path:
    """The folder that holds a GGUF file's config, tokenizer and float32 weights as safetensors.

    Made at the first call for a file of this content, and again where a file of it has changed. Two
    processes make it once: the second waits. MissingExtra without the package `gguf`; SourceError
    for a file that transformers cannot read.
    """
    from filelock import FileLock

    digest = digests(path.parent, [path.name])[path.name]
    folder = cache_folder() / "gguf" / digest[:32]
    if _whole(folder):
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not _whole(folder):
            _make(path, folder)
    return folder


def plain(path: Path) -> Path:
    """A folder that transformers reads: that of a GGUF file, or the folder itself."""
    return dequantised(path) if path.suffix == ".gguf" else path


def _whole(folder: Path) -> bool:
    try:
        wanted: Mapping[str, str] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        return bool(wanted) and digests(folder, wanted) == wanted
    except (OSError, ValueError, TypeError):
        return False


def _make(path: Path, folder: Path) -> None:
    # What a process that was killed has left; the lock says that no other is at work here.
    part = folder.with_name(f"{folder.name}.part")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    try:
        _convert(path, part)
        names = sorted(found.name for found in part.iterdir() if found.is_file())
        with replacing(part / MANIFEST) as manifest:
            manifest.write_text(json.dumps(digests(part, names), indent=2), encoding="utf-8")
        _sync(part)
        part.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise SourceError(
            f"cannot write {folder}: {error.strerror or error}; "
            "free space, or set FOUNDATION_CACHE to a folder that can be written"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _convert(path: Path, folder: Path) -> None:
    import importlib.util

    if importlib.util.find_spec("gguf") is None:
        raise MissingExtra("gguf", "gguf")
    with quiet():
        model, tokenizer = _read(path)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def _read(path: Path) -> tuple[Any, Any]:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Later versions keep the weights packed unless told; earlier ones have no such class.
    kind = getattr(transformers, "GgufConfig", None)
    dense = {} if kind is None else {"quantization_config": kind(dequantize=True)}
    try:
        model = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32, local_files_only=True, **dense
        )
        tokenizer = AutoTokenizer.from_pretrained(
            path.parent, gguf_file=path.name, local_files_only=True
        )
    except Exception as error:  # a reader of foreign bytes fails with what it likes
        reason = str(error).strip().partition("\n")[0]
        raise SourceError(f"{path} cannot be read as a GGUF model: {reason}") from error
    quantizer = getattr(model, "hf_quantizer", None)
    if quantizer is not None:
        quantizer.remove_quantization_config(model)
    return model, tokenizer


def _sync(folder: Path) -> None:
    """Put every file of a folder on disk before it gets its name."""
    import os

    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_folder(folder)

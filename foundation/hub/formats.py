"""What a file is: whole safetensors, a pickle under any name, a config that asks for code."""

import itertools
import json
import pickletools
import struct
import zipfile
from pathlib import Path
from typing import Any

from foundation.errors import SourceError
from foundation.hub.source import Damaged, Local

WEIGHTS = (".safetensors", ".gguf")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib")
LONGEST_HEADER = 100_000_000
"""Bytes; the limit of the safetensors library itself."""


def refuse_pickle(path: Path) -> None:
    """Raise SourceError for a pickle, by its name or by its content under another name.

    Found by content: a zip archive with a *.pkl inside (torch.save) and a pickle of protocol 2 or
    later. Protocols 0 and 1 are plain text and are not told from it; nothing here unpickles them.
    """
    if is_named_pickle(path.name):
        raise pickle_error(str(path))
    if _holds_pickle(path):
        raise pickle_error(f"{path}, whatever its name,")


def is_named_pickle(name: str) -> bool:
    """Whether a name is that of a pickle, packed or not: model.bin, x.pkl.gz."""
    return name.lower().removesuffix(".gz").endswith(PICKLES)


def pickle_error(subject: str) -> SourceError:
    """The one line that refuses a pickle."""
    return SourceError(
        f"{subject} is a pickle, which can run code when it is read: "
        "convert it with safetensors.torch.save_file and give the .safetensors file instead"
    )


def check_format(path: Path, mend: str) -> None:
    """Refuse a safetensors, shard index or GGUF file that is not whole; `mend` ends the message."""
    if path.suffix == ".safetensors":
        _check_safetensors(path, mend)
    elif path.name.endswith(".safetensors.index.json"):
        _check_shards(path, mend)
    elif path.suffix == ".gguf":
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise Damaged(path, f"{path} is not a GGUF file; {mend}")


def refuse_remote_code(local: Local, allowed_revision: str | None = None) -> None:
    """Raise SourceError where a config wants Python code of its repository to run (`auto_map`).

    It may only where `allowed_revision` is the very commit the files are from. Code is never
    fetched by default; who allows it adds "*.py" to the source's `allow`.
    """
    folder = local.path if local.path.is_dir() else local.path.parent
    for name in sorted(local.files):
        if not name.endswith("config.json") or "auto_map" not in _json(folder / name):
            continue
        if local.revision is None or allowed_revision != local.revision:
            revision = local.revision or "a commit on the Hub; this source has none"
            raise SourceError(
                f"{folder / name} asks to run code of its own (auto_map): "
                f"read that code, then allow exactly the revision {revision}"
            )


def _check_safetensors(path: Path, mend: str) -> None:
    """Compare the header's offsets with the file's size.

    Format: https://github.com/huggingface/safetensors#format
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if len(start) == 8 and length > LONGEST_HEADER:
            raise Damaged(path, f"{path} is not a safetensors file: its header is too long; {mend}")
        text = file.read(length)
    if len(start) < 8 or len(text) < length:
        raise _truncated(path, size, 8 + length, mend)
    try:
        header = json.loads(text)
        tensors = [entry for name, entry in header.items() if name != "__metadata__"]
        end = 8 + length + max((int(tensor["data_offsets"][1]) for tensor in tensors), default=0)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
        raise Damaged(path, f"{path} has a damaged safetensors header; {mend}") from None
    if size < end:
        raise _truncated(path, size, end, mend)
    if size > end:
        raise Damaged(path, f"{path} has {size - end} bytes too many after its last tensor; {mend}")


def _truncated(path: Path, size: int, whole: int, mend: str) -> Damaged:
    return Damaged(path, f"{path} is truncated: {size:,} bytes of {whole:,}; {mend}")


def _check_shards(path: Path, mend: str) -> None:
    shards = _json(path).get("weight_map")
    for shard in sorted(set(shards.values())) if isinstance(shards, dict) else []:
        missing = path.parent / str(shard)
        if not missing.is_file():
            raise Damaged(path, f"{missing}, named by {path.name}, is missing; {mend}")


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (ValueError, RecursionError):
        raise Damaged(path, f"{path} is not JSON: it is damaged or half-written") from None
    return value if isinstance(value, dict) else {}


def _holds_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        start = file.read(4096)
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= LONGEST_HEADER:
        # A safetensors header of 640 bytes, say, has the first bytes of a pickle.
        return False
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        try:
            # Four opcodes in a row: other data that begins like a pickle does not go on like one.
            return len(list(itertools.islice(pickletools.genops(start), 4))) > 1
        except ValueError as error:
            # Otherwise an argument runs on beyond what was read here.
            return "unknown" not in str(error)
    if start[:2] == b"PK" and zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith(".pkl") for name in archive.namelist())
        except (zipfile.BadZipFile, NotImplementedError, ValueError):
            return True  # what it holds cannot be told
    return False

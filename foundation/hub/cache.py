"""The folder in which fetched files and their digests are kept."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`FOUNDATION_CACHE`, or ~/.cache/foundation."""
    return Path(os.environ.get("FOUNDATION_CACHE") or "~/.cache/foundation").expanduser()


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes, in the words the Hub's own variables take."""
    return os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}


def offline() -> bool:
    """Whether no source at all may use the network."""
    return is_set("FOUNDATION_OFFLINE")


def move_durably(temporary: Path, path: Path) -> None:
    """Give a finished temporary file on the same disk its name: a crash leaves all or nothing."""
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

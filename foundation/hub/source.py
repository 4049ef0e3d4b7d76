"""What is asked for, and what was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from foundation.errors import SourceError
from foundation.spec import EMPTY

ALLOW = (
    "*.safetensors",
    "*.json",
    "*.jsonl",
    "*.txt",
    "*.model",
    "*.jinja",
    "*.tiktoken",
    "*.yaml",
    "*.csv",
    "*.parquet",
)
"""Files of a model by default: no pickles, no code, and no *.gguf, which come by the dozen."""


@dataclass(frozen=True)
class Source:
    """Weights or data as a config names them.

    address: `embedded:<package>/<path>`, `path:<path>` or a plain path, `hub:<org>/<name>`, or
        `wheel:<name>==<version>/<path>`.
    revision: a commit or tag, for the Hub only.
    sha256: what files must have, by path relative to the source (a single file: its name). Files
        named here are brought even where `allow` does not match them. A wheel's must be named.
    allow: patterns (fnmatch, `*` crosses folders) of the files that are brought and verified.
    weights_only: the caller reads a PyTorch file with torch.load(weights_only=True), so one whose
        sha256 is given is let through. Never set for a model's own weights.
    """

    address: str
    revision: str | None = None
    sha256: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    allow: tuple[str, ...] = ALLOW
    weights_only: bool = False


@dataclass(frozen=True)
class Local:
    """Verified files on this machine.

    path: the folder, or the file where the source is one file.
    digest: the sha256 of what `sha256sum` prints for the files in the order of their names.
    files: relative path -> sha256 of every file that was verified.
    revision: the commit, where the source is on the Hub.
    """

    path: Path
    digest: str
    files: Mapping[str, str]
    revision: str | None = None


class Damaged(SourceError):
    """A file that is not whole, or not what it should be; a fetched one may be fetched again."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path

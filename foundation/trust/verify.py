"""Whether files are what a run wrote: by the seal within them, and by the record of their run."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from foundation import registry
from foundation.durable import sha256
from foundation.errors import InputError
from foundation.trust import provenance
from foundation.trust.seal import intact, intact_file

RECORD = "record.json"
UP = 3
"""Folders above a file in which its run's record is looked for."""
LARGEST = 2**28
"""Bytes of a file that is checked record by record."""
State = Literal["unaltered", "altered", "missing", "added", "unsealed"]


@dataclass(frozen=True)
class Finding:
    """What became of one file. why: by what this is known, or what is wrong."""

    name: str
    state: State
    why: str


def verify(path: Path, record: Path | None = None) -> list[Finding]:
    """Findings of a file, a run folder, or a folder of runs.

    record: a run folder or its record.json, by whose digests a file of any name is looked up.
    Raises InputError for what is not there and for a folder that no run wrote.
    """
    for name, given in (("input", path), ("record", record)):
        if given is not None and not given.exists():
            raise InputError(f"task.{name}: there is no {given}")
    try:
        return _findings(path, record)
    except OSError as error:
        raise InputError(f"cannot read {error.filename or path}: {error.strerror}") from error


def _findings(path: Path, record: Path | None) -> list[Finding]:
    if path.is_file():
        return [_file(path, record)]
    if (path / RECORD).is_file():
        return list(_run(path))
    runs = sorted(found.parent for found in path.glob(f"*/{RECORD}"))
    if not runs:
        raise InputError(f"task.input: {path} is no run folder that finished: it has no {RECORD}")
    return [finding for run in runs for finding in _run(run, f"{run.name}/")]


def _file(path: Path, record: Path | None) -> Finding:
    if path.name == RECORD:
        return _record(path)
    states = [_by_seal(path), *_by_record(path, record)]
    known = [finding for finding in states if finding.state != "unsealed"]
    return next((f for f in known if f.state == "altered"), (known or states)[-1])


def _record(path: Path, prefix: str = "") -> Finding:
    """A record is sealed as a whole."""
    name = f"{prefix}{path.name}"
    state = intact_file(path)
    if state is None:
        return Finding(name, "unsealed", "it has no seal: an earlier version wrote it")
    return Finding(name, "unaltered", "its seal") if state else Finding(name, "altered", "its seal")


def _run(folder: Path, prefix: str = "") -> Iterator[Finding]:
    """Every file of a run folder by the record, which is sealed itself."""
    yield (told := _record(folder / RECORD, prefix))
    if told.state != "unaltered":
        return
    wanted = _digests(folder / RECORD)
    for name, digest in wanted.items():
        path = folder / name
        if not path.is_file():
            yield Finding(prefix + name, "missing", f"{RECORD} names it")
        elif sha256(path) != digest:
            yield Finding(prefix + name, "altered", f"its sha256 is not that of {RECORD}")
        else:
            yield Finding(prefix + name, "unaltered", RECORD)
    from foundation.runs import outputs

    for name in sorted(set(outputs(folder)) - set(wanted)):
        yield Finding(prefix + name, "added", f"{RECORD} does not name it")


def _digests(path: Path) -> Mapping[str, str]:
    """Relative path -> sha256 of a record; a path that climbs out is none of a run's."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        names = {str(name): str(digest) for name, digest in found.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is no record of a run that names its files") from error
    for name in names:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise InputError(f"{path} names '{name}', which lies outside the run folder")
    return names


def _by_seal(path: Path) -> Finding:
    records = _records(path)
    if records is None:
        state = intact_file(path)
        if state is None:
            return Finding(path.name, "unsealed", "it says nothing of where it came from")
        told = "; ".join(filter(None, ["its seal", _told(path)]))
        return Finding(path.name, "unaltered" if state else "altered", told)
    states = [intact(record) for record in records]
    if not any(state is not None for state in states):
        return Finding(path.name, "unsealed", "it says nothing of where it came from")
    wrong = [number for number, state in enumerate(states) if not state]
    if wrong:
        shown = ", ".join(map(str, wrong[:10])) + (" and more" if len(wrong) > 10 else "")
        one = len(wrong) == 1
        why = f"record{'' if one else 's'} {shown} (from 0) of {len(states):,}"
        return Finding(path.name, "altered", why)
    told = "; ".join(filter(None, [f"the seals of its {len(states):,} records", _told(path)]))
    return Finding(path.name, "unaltered", told)


def _records(path: Path) -> list[bytes] | None:
    """What is sealed one by one in a file of this kind; None where it is sealed as a whole."""
    split = {".jsonl": f"{__name__}:lines"}
    for name in registry.domains():
        split |= registry.domain(name).records
    if path.suffix not in split:
        return None
    if path.stat().st_size > LARGEST:
        raise InputError(f"task.input: {path} has more than {LARGEST:,} bytes: give its run folder")
    found: list[bytes] = registry.resolve(split[path.suffix])(path.read_bytes())
    return found


def lines(data: bytes) -> list[bytes]:
    """The lines of JSONL."""
    return data.removesuffix(b"\n").split(b"\n") if data else []


def _by_record(path: Path, record: Path | None) -> Iterator[Finding]:
    """By the digests of the record given, or of one in a folder above that names the file."""
    digest = sha256(path)
    if record is not None:
        given = record / RECORD if record.is_dir() else record
        if not given.is_file() or _record(given).state != "unaltered":
            raise InputError(f"task.record: {given} is altered, has no seal or is not there")
        same = [name for name, other in _digests(given).items() if other == digest]
        why = f"{given} names {same[0]}" if same else f"no file of {given} has its sha256"
        yield Finding(path.name, "unaltered" if same else "altered", why)
        return
    folder = run_of(path)
    if folder is not None:
        named = _digests(folder / RECORD)[path.absolute().relative_to(folder).as_posix()]
        state: State = "unaltered" if named == digest else "altered"
        yield Finding(path.name, state, f"{RECORD} of its run")


def run_of(path: Path) -> Path | None:
    """The folder above a file whose unaltered record names the file."""
    for folder in list(path.absolute().parents)[:UP]:
        if not (folder / RECORD).is_file() or _record(folder / RECORD).state != "unaltered":
            continue
        if path.absolute().relative_to(folder).as_posix() in _digests(folder / RECORD):
            return folder
    return None


def _told(path: Path) -> str:
    """In words, by what a sealed file says it was made."""
    found = provenance.of_file(path)
    if "model" not in found:
        return str(found.get("made_by", ""))
    row = f", row {found['id']}" if "id" in found else ""
    weights = str(found.get("weights"))[:16]
    told = f"{found['model']} at {str(found.get('revision'))[:16]}, weights {weights}"
    return f"{told}, seed {found.get('seed')}{row}"

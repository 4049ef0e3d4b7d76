"""sha256 of files, remembered for as long as a file is untouched.

A digest is kept in the cache with the file's size, modification and change times and inode, and
believed only while all four are the same. The change time cannot be set back by a user, so an
edit that restores size and modification time is still seen. A file touched in the last seconds
is not remembered: a clock too coarse to tell two writes apart must not hide the second one.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from foundation.durable import sha256
from foundation.hub.cache import cache_folder, move_durably
from foundation.hub.source import Damaged

SETTLED = 2.0
"""Seconds after which a file's times are told apart on any file system (FAT counts in twos)."""


def digests(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Relative path -> sha256 for `names` under `root`; Damaged for a file still being written."""
    ledger = _ledger(root)
    known = _read(ledger)
    entries = {name: _entry(root / name, known.get(name)) for name in names}
    settled = {name: entry for name, entry in entries.items() if _is_settled(entry)}
    if any(known.get(name) != entry for name, entry in settled.items()):
        # Without a record the files are only hashed again next time.
        with contextlib.suppress(OSError):
            _write(ledger, known | settled)
    return {name: entry["sha256"] for name, entry in entries.items()}


def combined(files: Mapping[str, str]) -> str:
    """One sha256 for all files: that of `sha256sum` over them in the order of their names."""
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def _entry(path: Path, known: Any) -> dict[str, Any]:
    stamp = _stamp(path)
    if isinstance(known, dict) and known.get("stamp") == stamp:
        return known
    digest = sha256(path)
    if _stamp(path) != stamp:
        raise Damaged(path, f"{path} changed while it was read: wait until it is written")
    return {"stamp": stamp, "sha256": digest}


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _is_settled(entry: dict[str, Any]) -> bool:
    _, modified, changed, _ = entry["stamp"]
    return bool(time.time_ns() - max(modified, changed) > SETTLED * 1e9)


def _ledger(root: Path) -> Path:
    key = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:32]
    return cache_folder() / "digests" / f"{key}.json"


def _read(ledger: Path) -> dict[str, Any]:
    try:
        entries = json.loads(ledger.read_text())["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return entries if isinstance(entries, dict) else {}


def _write(ledger: Path, entries: dict[str, Any]) -> None:
    import tempfile

    ledger.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=ledger.parent, suffix=".part", delete=False) as file:
        json.dump({"files": entries}, file)
    move_durably(Path(file.name), ledger)

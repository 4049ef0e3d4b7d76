"""The run folder: parts written durably as results come, joined into one table at the end."""

import fcntl
import json
import os
import platform
import secrets
import shutil
import time
import weakref
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing, sha256, write_json, write_text
from foundation.errors import RunFolderError
from foundation.join import SCRATCH
from foundation.results import Result, Summary
from foundation.table import schema, storing, to_table

if TYPE_CHECKING:
    import pyarrow as pa

    from foundation.mirror import Mirror

LOCK = ".lock"
LOCK_TRIES, LOCK_SECONDS = 4, 0.05
MANIFEST = "parts/manifest.json"
STATUS = "status.json"
LOG = "run.log"
PART_ROWS = 2048
PART_SECONDS = 5.0


def new_folder(root: Path, domain: str, model: str, task: str) -> Path:
    """`root/<date>/<time>-<domain>-<model>-<task>-<random>`, not yet made."""
    now = datetime.now()
    name = f"{now:%H-%M-%S}-{domain}-{model}-{task}-{secrets.token_hex(2)}"
    return root / f"{now:%Y-%m-%d}" / name


def finished(folder: Path) -> Summary | None:
    """How the run in a folder ended; None where it has not."""
    path = folder / "record.json"
    if not path.is_file():
        return None
    record = read_mapping(path)
    try:
        counts = {"rows": 0, "valid": 0, **record.get("counts", {})}
        rows, valid = int(counts["rows"]), int(counts["valid"])
        files = tuple(folder / str(name) for name in record.get("files", ()))
    except (ValueError, TypeError, OverflowError) as error:
        raise _damaged(path) from error
    line = f"finished already: {rows:,} rows, {valid:,} of them valid: {folder}"
    return Summary(rows, valid, folder, files, line)


def read_mapping(path: Path) -> dict[str, Any]:
    """A JSON object that a run wrote; RunFolderError for what is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(path) from error
    if not isinstance(found, dict):
        raise _damaged(path)
    return found


def _damaged(path: Path) -> RunFolderError:
    return RunFolderError(f"{path} is damaged: no run writes such a file; choose another folder")


def outputs(folder: Path) -> list[str]:
    """What a run has written that outlives it: relative paths, without its own bookkeeping."""
    whole = folder / MANIFEST
    found = []
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        own = path.name in (LOCK, STATUS, LOG) or inside.as_posix() == "record.json"
        passing = inside.parts[0] == "parts" and not whole.is_file()
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.is_file() and not own and not passing and not hidden:
            found.append(inside.as_posix())
    return found


class Done:
    """The ids that are written: from `first` all below a mark but the few that were overtaken."""

    def __init__(self, first: int = 0) -> None:
        self._first = self._below = first
        self._overtaken: set[int] = set()

    def add(self, number: int) -> None:
        self._overtaken.discard(number)
        if number >= self._below:
            self._overtaken.update(range(self._below, number))
            self._below = number + 1

    def __contains__(self, number: int) -> bool:
        return self._first <= number < self._below and number not in self._overtaken

    def __len__(self) -> int:
        return self._below - self._first - len(self._overtaken)


class Run:
    """One run folder, held by this process alone.

    columns: the task's own columns and their types. config: what must not differ on resume. first:
    the lowest id. total and events: for who looks at how far it is, where they are known. mirror:
    where a copy of the folder is kept; what the folder lacks of it is brought first.
    RunFolderError: the folder is held by another run, cannot be written, or has other settings.
    """

    def __init__(
        self,
        folder: Path,
        columns: Mapping[str, str],
        config: Mapping[str, Any],
        first: int = 0,
        total: int | None = None,
        mirror: "Mirror | None" = None,
    ) -> None:
        self.folder, self.columns, self.config = folder, columns, config
        self.total, self.mirror = total, mirror
        self.events: list[str] = []
        self.done = Done(first)
        self.valid = self.refused = 0
        self.refusal: str | None = None
        self._waiting: list[Result] = []
        self._flushed = time.monotonic()
        try:
            (folder / "parts").mkdir(parents=True, exist_ok=True)
            self._release = weakref.finalize(self, _hold(folder).close)
            self._begin()
        except OSError as error:
            raise RunFolderError(f"cannot write to {folder}: {error.strerror}") from error
        self._began, self._before = time.time(), len(self.done)

    @property
    def finished(self) -> bool:
        """Whether record.json, written last, is there."""
        return (self.folder / "record.json").exists()

    def append(self, result: Result) -> None:
        """Take a result; it is on the disk after at most PART_ROWS others or PART_SECONDS."""
        self._waiting.append(result)
        full = len(self._waiting) >= PART_ROWS
        if full or time.monotonic() - self._flushed > PART_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the waiting results as one part: written, synced, renamed."""
        import pyarrow.parquet as pq

        if self._waiting:
            refused = [result for result in self._waiting if result.refused]
            rows = to_table(self._waiting, self.columns)
            if refused:
                why = {"refused": str(len(refused)), "refusal": refused[0].reason or ""}
                rows = rows.replace_schema_metadata(why)
            ids = [result.id for result in self._waiting]
            name = f"{min(ids):012d}-{max(ids):012d}-{secrets.token_hex(4)}.parquet"
            with replacing(self.folder / "parts" / name) as part:
                pq.write_table(rows, part, **storing(rows.schema))
            for result in self._waiting:
                self.done.add(result.id)
                self.valid += result.valid
            if refused:
                self.refused += len(refused)
                self.refusal = self.refusal or refused[0].reason
            self._waiting.clear()
            if self.mirror is not None:
                self.mirror.push(self.folder, f"parts/{name}")
            self._tell()
        self._flushed = time.monotonic()

    def _tell(self) -> None:
        """Write status.json for `task=status`; it need not outlive a power cut."""
        status = {
            "done": len(self.done), "before": self._before, "total": self.total,
            "valid": self.valid, "refused": self.refused, "began": self._began,
            "updated": time.time(), "events": len(self.events), "last_event": self.events[-1:],
        }  # fmt: skip
        part = self.folder / f".{STATUS}.{os.getpid()}.part"
        part.write_text(json.dumps(status), encoding="utf-8")
        part.replace(self.folder / STATUS)

    @property
    def usable(self) -> bool:
        """Whether any input could be used."""
        return self.refused < len(self.done)

    def rows(self) -> "Iterator[pa.RecordBatch]":
        """What the parts hold in the order of ids, a batch at a time and each id once."""
        from foundation.join import ordered

        return ordered(sorted((self.folder / "parts").glob("*.parquet")), schema(self.columns))

    def record(self, values: Mapping[str, Any]) -> None:
        """Write record.json, which makes the run finished: with the sha256 of every file, sealed.

        Pictures that say nothing of where they came from are made to before.
        """
        from foundation.trust import provenance, seal

        told = provenance.of_run(self.folder)
        for name in outputs(self.folder):
            if name.endswith(".png"):
                provenance.add_to_png(self.folder / name, told)
        digests = {name: sha256(self.folder / name) for name in outputs(self.folder)}
        whole = {**values, "sha256": digests, "seal": seal.BLANK}
        text = json.dumps(whole, indent=2, default=str) + "\n"
        write_text(self.folder / "record.json", seal.sealed(text))
        if self.mirror is not None:
            self.mirror.settle(self.folder, digests, last="record.json")

    def seal(self, values: Mapping[str, Any]) -> None:
        """Write the manifest of the parts, read back, with what `values` says of them."""
        import pyarrow.parquet as pq

        parts = [
            {"name": part.name, "rows": pq.read_metadata(part).num_rows, "sha256": sha256(part)}
            for part in sorted((self.folder / "parts").glob("*.parquet"))
        ]
        write_json(self.folder / MANIFEST, {**values, "parts": parts})

    def discard_parts(self) -> None:
        """Remove the parts, once the table and record.json hold all they held."""
        (self.folder / STATUS).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "parts", ignore_errors=True)
        if self.mirror is not None:
            self.mirror.drop("parts")

    def close(self) -> None:
        """Let another run hold the folder, as the end of this object does too."""
        self._release()

    def _begin(self) -> None:
        """Write config.json, or compare with the one there and read what is done."""
        path = self.folder / "config.json"
        if self.mirror is not None:
            self.mirror.fetch(self.folder)
        if path.exists():
            _same(read_mapping(path), json.loads(json.dumps(self.config, default=str)))
        else:
            write_json(path, self.config)
            if self.mirror is not None:
                self.mirror.push(self.folder, "config.json")
        for leftover in [*self.folder.glob(".*.part"), *self.folder.glob("parts/.*.part")]:
            leftover.unlink()
        for leftover in self.folder.glob(f"{SCRATCH}*"):
            shutil.rmtree(leftover)
        for part in sorted((self.folder / "parts").glob("*.parquet")):
            self._count(part)
        if self.mirror is not None:
            self._bring_what_is_missing(self.mirror)

    def _bring_what_is_missing(self, mirror: "Mirror") -> None:
        """The address may be new to the run, or the run have been killed before it was told."""
        there = mirror.names()
        if self.finished:
            if "record.json" not in there:
                record = read_mapping(self.folder / "record.json")
                mirror.settle(self.folder, record.get("sha256", {}), last="record.json")
            return
        for part in sorted((self.folder / "parts").glob("*.parquet")):
            if f"parts/{part.name}" not in there:
                mirror.push(self.folder, f"parts/{part.name}")

    def _count(self, part: Path) -> None:
        import pyarrow.parquet as pq

        rows = pq.read_table(part, columns=["id", "valid"])
        for number, valid in zip(*(c.to_pylist() for c in rows.columns), strict=True):
            self.valid += valid and number not in self.done
            self.done.add(number)
        why = rows.schema.metadata or {}
        self.refused += int(why.get(b"refused", 0))
        self.refusal = self.refusal or why.get(b"refusal", b"").decode() or None


def _hold(folder: Path) -> Any:
    """Lock the folder; the kernel frees it however the process ends."""
    handle = (folder / LOCK).open("a+")
    if not _locked(handle):
        handle.seek(0)
        who = handle.read().strip() or "another process"
        handle.close()
        raise RunFolderError(f"{folder} is held by {who}: wait for it or choose another folder")
    handle.truncate(0)
    since = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
    handle.write(f"process {os.getpid()} on {platform.node()} since {since}")
    handle.flush()
    return handle


def _locked(handle: Any) -> bool:
    """Take the lock; `holder` may have it for a moment, which is no reason to refuse."""
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(LOCK_SECONDS)
        else:
            return True
    return False


def holder(folder: Path) -> str | None:
    """Who holds a run folder: process, machine and since when; None where no one does."""
    path = folder / LOCK
    if not path.is_file():
        return None
    with path.open() as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return handle.read().strip() or "another process"
    return None


def _same(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    changed = sorted(key for key in {*before, *now} if before.get(key) != now.get(key))
    if changed:
        what = "; ".join(f"{key}: {before.get(key)} there, {now.get(key)} here" for key in changed)
        raise RunFolderError(
            f"resume with the settings the run began with, or choose a new folder ({what})"
        )

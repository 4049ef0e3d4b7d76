"""Tickets of those who want or hold a device: a file and a kernel lock each, and no daemon.

A contender's file in the lease folder is its ticket. It holds an exclusive flock on it for as long
as it lives, so a ticket whose lock can be had is a dead one's, however its owner ended; a stopped
owner keeps it. A ticket is written by its owner alone. The folder itself is locked while a ticket
is numbered or a device taken: nobody can delete it or hold more than its lock.

The folder is `FOUNDATION_LEASES`, else /dev/shm or /tmp, which are the system's and have the sticky
bit: a user can delete no other's ticket there. No decision depends on a clock.
"""

import contextlib
import fcntl
import json
import os
import pwd
import secrets
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from foundation.errors import PlacementError
from foundation.placement.host import boot
from foundation.placement.queue import Ticket

PREFIX = "foundation-lease-"


def folder() -> Path:
    """Where the tickets are."""
    given = os.environ.get("FOUNDATION_LEASES")
    if given:
        return Path(given).expanduser()
    shared = Path("/dev/shm")
    there = shared.is_dir() and os.access(shared, os.W_OK | os.X_OK)
    return shared if there else Path(tempfile.gettempdir())


def tickets(where: Path | None = None) -> list[Ticket]:
    """The living tickets of this machine, by number."""
    return sorted(living(where or folder()), key=lambda ticket: ticket.number)


class File:
    """This process's ticket."""

    def __init__(self, where: Path, ticket: Ticket) -> None:
        self.folder, self.ticket = where, ticket
        self._descriptor = -1
        self._path: Path | None = None
        self._end: Callable[[], object] = lambda: None
        self._kept_out = 0.0
        _make(where)

    def enter(self, timeout: float | None) -> None:
        """Draw a number and stand in the line."""
        while self._path is None:
            with self.turn() as ours:
                if ours:
                    self._draw()
            if timeout is not None and self._kept_out > timeout:
                raise PlacementError(f"no device after {timeout:g} s{self.stuck()}")

    def _draw(self) -> None:
        number = 1 + max((int(n) for n in _names(self.folder).values()), default=0)
        name = f"{PREFIX}{number:09d}-{secrets.token_hex(4)}"
        hidden = self.folder / f".{name}"
        self._descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.fchmod(self._descriptor, 0o644)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.write(replace(self.ticket, number=number, pid=os.getpid()))
            hidden.rename(self.folder / name)
        except BaseException:
            hidden.unlink(missing_ok=True)
            raise
        self._path = self.folder / name
        self._end = weakref.finalize(self, _drop, self._path, self._descriptor, os.getpid())
        _sweep(self.folder)

    def write(self, ticket: Ticket) -> None:
        """Say what this ticket is now; under the folder's lock."""
        self.ticket = ticket
        values = {
            "boot": boot(),
            "pid": ticket.pid,
            "job": ticket.job,
            "memory": ticket.memory,
            "keys": ticket.keys,
            "device": ticket.device,
            "settled": ticket.settled,
            "since": ticket.since,
        }
        data = json.dumps(values).encode()
        os.pwrite(self._descriptor, data.ljust(512), 0)
        os.ftruncate(self._descriptor, max(len(data), 512))

    def change(self, **values: Any) -> None:
        """Change this ticket once the folder's lock is had."""
        changed = False
        while not changed and self._path is not None:
            with self.turn() as ours:
                if ours:
                    self.write(replace(self.ticket, **values))
                    changed = True

    def release(self) -> None:
        self._end()
        self._path = None

    @contextlib.contextmanager
    def turn(self) -> Iterator[bool]:
        """Hold the folder's lock; False where it was not to be had for a moment."""
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for _ in range(50):
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    time.sleep(0.002 + 0.004 * secrets.randbelow(100) / 100)
                    continue
                self._kept_out = 0.0
                yield True
                return
            self._kept_out += 0.2
            yield False
        finally:
            os.close(descriptor)

    def stuck(self) -> str:
        """Who keeps everybody from the folder, where somebody does: it was stopped just there."""
        if self._kept_out < 1:
            return ""
        inode = self.folder.stat().st_ino
        with contextlib.suppress(OSError, ValueError):
            for entry in Path("/proc/locks").read_text().splitlines():
                words = entry.split()
                if words[1:2] == ["FLOCK"] and words[5].endswith(f":{inode}"):
                    return f"; process {words[4]} keeps the lease folder"
        return "; a process keeps the lease folder"


def _drop(path: Path, descriptor: int, owner: int) -> None:
    """Give a ticket up; a process forked from its owner has no right to."""
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(descriptor)


def _make(where: Path) -> None:
    """Make the lease folder if need be, for all users; refuse one that others could tamper with."""
    try:
        try:
            where.mkdir(parents=True)
            where.chmod(0o1777)
        except FileExistsError:
            pass
        about = where.lstat()
    except OSError as error:
        raise PlacementError(f"cannot make the lease folder {where}: {error.strerror}") from error
    open_to_all = about.st_mode & stat.S_IWOTH
    if not stat.S_ISDIR(about.st_mode) or (open_to_all and not about.st_mode & stat.S_ISVTX):
        raise PlacementError(
            f"the lease folder {where} must be a folder with the sticky bit: chmod 1777 {where}"
        )


def _names(where: Path) -> dict[str, str]:
    """Names of tickets, dead ones too -> their numbers."""
    found = {}
    for name in os.listdir(where):
        number = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and number.isdigit():
            found[name] = number
    return found


def living(where: Path) -> Iterator[Ticket]:
    """Tickets whose owner lives, in no order."""
    here = boot()
    try:
        names = _names(where)
    except FileNotFoundError:
        return
    for name, number in names.items():
        with _opened(where / name) as descriptor:
            if descriptor is not None and not _dead(descriptor):
                ticket = _read(descriptor, int(number), here)
                if ticket is not None:
                    yield ticket


def _read(descriptor: int, number: int, here: str) -> Ticket | None:
    """A ticket from its file; None for one of another machine or boot, or no ticket at all."""
    try:
        about = os.fstat(descriptor)
        values = json.loads(os.pread(descriptor, 65536, 0))
        if values["boot"] != here:
            return None
        device = values["device"]
        return Ticket(
            number=number,
            memory=max(0, int(values["memory"])),
            keys=tuple(map(str, values["keys"])),
            device=None if device is None else str(device),
            settled=bool(values["settled"]),
            user=_user(about.st_uid),
            pid=int(values["pid"]),
            job=str(values["job"]),
            since=float(values["since"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None  # being written, or not ours


def _sweep(where: Path) -> None:
    """Remove dead tickets, as far as they are ours to remove; under the folder's lock."""
    for name in os.listdir(where):
        if name.removeprefix(".").startswith(PREFIX):
            with _opened(where / name) as descriptor:
                if descriptor is not None and _dead(descriptor):
                    with contextlib.suppress(OSError):
                        (where / name).unlink()


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[int | None]:
    """A regular file's descriptor; None where there is none to be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        yield None
        return
    try:
        yield descriptor if stat.S_ISREG(os.fstat(descriptor).st_mode) else None
    finally:
        os.close(descriptor)


def _dead(descriptor: int) -> bool:
    """Whether nobody holds a ticket: its lock can be had; closing the file gives it back."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@cache
def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"

"""Leases of devices on a machine that people share: a file and a kernel lock each, and no daemon.

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from foundation.errors import PlacementError
from foundation.placement.amounts import shown
from foundation.placement.device import Device, Machine
from foundation.placement.host import boot
from foundation.placement.queue import Room, Ticket, choice, line

PREFIX = "foundation-lease-"
EVERYTHING = 1 << 60
LOOK = (0.02, 0.5)
"""Seconds between two looks at the queue: at first, and after half a minute."""
PATIENCE = 2.0
"""Seconds after which who does not take what it could have holds up nobody any more."""
SAY = 10.0


@dataclass(frozen=True)
class Lease:
    """A device with `memory` bytes of it, held until `release` or the end of the process."""

    device: Device
    memory: int
    number: int
    _file: "_File"

    def settle(self) -> None:
        """Tell others that the memory is taken: what is free of the device is free for them."""
        self._file.change(settled=True)

    def release(self) -> None:
        """Give the device back."""
        self._file.release()


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
    return sorted(_living(where or folder()), key=lambda ticket: ticket.number)


def take(
    memory: int,
    job: str,
    machine: Machine,
    *,
    timeout: float | None = None,
    where: Path | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Lease:
    """Wait for a device with `memory` bytes to spare and take it.

    Accelerators are leased where there are any, else the host's memory. timeout: seconds; None:
    for ever. say: told the place in the line and who holds the devices, when that changes.
    PlacementError: no device is large enough, or the time is over.
    """
    devices = {device.key: device for device in leasable(machine)}
    fitting = tuple(key for key, device in devices.items() if device.total >= memory)
    if not fitting:
        most = max((device.total for device in devices.values()), default=0)
        raise PlacementError(
            f"{job} needs {shown(memory)}, and no device here has more than {shown(most)}"
        )
    file = _File(where or folder(), Ticket(0, memory, fitting, job=job, since=time.time()))
    try:
        file.enter(timeout)
        key = _Waiting(file, machine, devices, timeout, say).device()
        now = {device.key: device for device in leasable(machine)}
        return Lease(now.get(key, devices[key]), memory, file.ticket.number, file)
    except BaseException:
        file.release()
        raise


def leasable(machine: Machine) -> list[Device]:
    """Accelerators that compute and can be chosen; without any, the host."""
    there = machine.devices()
    found = [d for d in there if d.kind != "cpu" and d.usable and (d.name or d.slice)]
    return found or [device for device in there if device.kind == "cpu"]


def told(ticket: Ticket) -> str:
    """A ticket's owner, for people."""
    began = time.strftime("%H:%M", time.localtime(ticket.since))
    job = "".join(c for c in ticket.job if c.isprintable())[:80]
    return f"{ticket.user}'s process {ticket.pid} ({job}, {shown(ticket.memory)} since {began})"


class _Waiting:
    """The time between entering the line and having a device."""

    def __init__(
        self,
        file: "_File",
        machine: Machine,
        devices: Mapping[str, Device],
        timeout: float | None,
        say: Callable[[str], None],
    ) -> None:
        self.file, self.machine, self.devices = file, machine, devices
        self.timeout, self.say = timeout, say
        self.waited = self.silent = 0.0
        self.said = ""
        self.passed: set[int] = set()
        self._empty = {k: Room(d.total, EVERYTHING, d.shared) for k, d in devices.items()}
        self.first: tuple[int, float] = (0, 0.0)  # who could go first, seconds it has not

    def device(self) -> str:
        """The key of the device, when it is had."""
        while True:
            seen = list(_living(self.file.folder))
            key = self._try() if self._may(seen) else None
            if key is not None:
                return key
            if self.timeout is not None and self.waited >= self.timeout:
                raise PlacementError(f"no device after {self.timeout:g} s: {self._words(seen)}")
            self._tell(seen)
            self._sleep(seen)

    def _may(self, seen: Sequence[Ticket]) -> bool:
        """Whether the queue alone would let this one go on: a look without the folder's lock."""
        return choice(self.file.ticket, seen, self._empty, self.passed) is not None

    def _try(self) -> str | None:
        """Take a device if it is still to be had and its memory is free, before and after."""
        with self.file.turn() as ours:
            if not ours:
                return None
            seen = list(_living(self.file.folder))
            key = choice(self.file.ticket, seen, self._rooms(), self.passed)
            if key is None:
                return None
            self.file.write(replace(self.file.ticket, device=key, since=time.time()))
            others = [ticket for ticket in seen if ticket.number != self.file.ticket.number]
            waiting = replace(self.file.ticket, device=None)
            only = replace(waiting, keys=(key,))
            if choice(only, [t for t in others if t.device], self._rooms()) is None:
                self.file.write(waiting)  # somebody who knows nothing of us was faster
                return None
            return key

    def _rooms(self) -> dict[str, Room]:
        found = leasable(self.machine)
        return {device.key: Room(device.total, device.free, device.shared) for device in found}

    def _sleep(self, seen: Sequence[Ticket]) -> None:
        """Wait a little. A clock that jumps neither ends nor prolongs the wait by much."""
        pause = min(LOOK[1], LOOK[0] + self.waited / 60)
        began = time.monotonic()
        time.sleep(pause)
        took = min(max(time.monotonic() - began, 0.0), 4 * pause)
        self.waited += took
        self.silent += took
        self._lose_patience(seen, took)

    def _lose_patience(self, seen: Sequence[Ticket], took: float) -> None:
        """Pass who is first in the line and does not go, being stopped for instance."""
        before = [ticket for ticket in line(seen) if ticket.number not in self.passed]
        first = before[0] if before else None
        if first is None or first.number >= self.file.ticket.number:
            return
        may = choice(first, seen, self._empty, self.passed)
        if may is None or choice(first, seen, self._rooms(), self.passed) is None:
            self.first = (first.number, 0.0)
            return
        number, since = self.first
        self.first = (first.number, since + took if number == first.number else took)
        if self.first[1] > PATIENCE:
            self.passed.add(first.number)

    def _tell(self, seen: Sequence[Ticket]) -> None:
        words = self._words(seen)
        if (words != self.said and self.silent > 1) or (not self.said and self.waited > 0.2):
            self.said, self.silent = words, 0.0
            self.say(f"waiting for {words}")

    def _words(self, seen: Sequence[Ticket]) -> str:
        """What is waited for, the place in the line, and who holds it."""
        mine = self.file.ticket
        place = 1 + sum(ticket.number < mine.number for ticket in line(seen))
        names = " or ".join(self.devices[key].name or key for key in mine.keys)
        holders = [told(ticket) for ticket in seen if ticket.device in mine.keys]
        held = f"held by {'; '.join(holders)}" if holders else "nobody holds it by a lease"
        stuck = self.file.stuck()
        return f"{shown(mine.memory)} on {names}, number {place} in line, {held}{stuck}"


class _File:
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


def _living(where: Path) -> Iterator[Ticket]:
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

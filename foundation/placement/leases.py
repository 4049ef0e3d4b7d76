"""Leases of devices on a machine that people share: waiting for one, and having it."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from foundation.errors import PlacementError
from foundation.placement.amounts import shown
from foundation.placement.device import Device, Machine
from foundation.placement.queue import Room, Ticket, choice, line
from foundation.placement.tickets import File, folder, living

EVERYTHING = 1 << 60
LOOK = (0.02, 0.5)
"""Seconds between two looks at the queue: at first, and after half a minute."""
PATIENCE = 2.0
"""Seconds after which who does not take what it could have holds up nobody any more."""


@dataclass(frozen=True)
class Lease:
    """A device with `memory` bytes of it, held until `release` or the end of the process."""

    device: Device
    memory: int
    number: int
    _file: File

    def settle(self) -> None:
        """Tell others that the memory is taken: what is free of the device is free for them."""
        self._file.change(settled=True)

    def release(self) -> None:
        """Give the device back."""
        self._file.release()


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
    file = File(where or folder(), Ticket(0, memory, fitting, job=job, since=time.time()))
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
        file: File,
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
            seen = list(living(self.file.folder))
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
            seen = list(living(self.file.folder))
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

"""Who may have a device now: first come first served, and smaller jobs in gaps they do not widen.

Pure functions of what the lease folder says; every contender comes to the same answer.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

SUMS = 4096
"""Sums of memory that are looked at before a job is taken to delay another."""


@dataclass(frozen=True)
class Ticket:
    """A place in the queue, or a lease where `device` is set.

    number: its turn. memory: bytes. keys: the devices that would do. settled: the holder has taken
    the memory it will need. user, pid, job and since (seconds since 1970) are for people.
    """

    number: int
    memory: int
    keys: tuple[str, ...]
    device: str | None = None
    settled: bool = False
    user: str = ""
    pid: int = 0
    job: str = ""
    since: float = 0.0


@dataclass(frozen=True)
class Room:
    """A device's memory: all that leases may take of it, and what is free now, in bytes."""

    total: int
    free: int
    shared: bool = True


def choice(
    mine: Ticket,
    tickets: Iterable[Ticket],
    rooms: Mapping[str, Room],
    passed: Collection[int] = (),
) -> str | None:
    """The device that `mine` may take now, the one with the fewest holders; None: it waits.

    passed: the numbers of waiting tickets that do not take what they could have, and hold nobody
    up.
    """
    others = [ticket for ticket in tickets if ticket.number != mine.number]
    before = [
        ticket
        for ticket in sorted(others, key=lambda ticket: ticket.number)
        if ticket.device is None and ticket.number < mine.number and ticket.number not in passed
    ]
    found: list[tuple[int, str]] = []
    for key in mine.keys:
        holders = [ticket for ticket in others if ticket.device == key]
        if key in rooms and _fits(mine, holders, rooms[key]):
            memories = [holder.memory for holder in holders]
            if not _delays(mine, key, before, memories, rooms[key]):
                found.append((len(holders), key))
    return min(found, key=lambda pair: pair[0])[1] if found else None


def line(tickets: Iterable[Ticket]) -> list[Ticket]:
    """Those who wait, in their order."""
    return sorted((t for t in tickets if t.device is None), key=lambda ticket: ticket.number)


def _fits(mine: Ticket, holders: Sequence[Ticket], room: Room) -> bool:
    """Whether the device has room beside its leases, and the memory is there.

    What a lease has not yet taken is not free, though it looks so; what others took is not either.
    """
    if holders and not room.shared:
        return False
    leased = sum(holder.memory for holder in holders)
    promised = sum(holder.memory for holder in holders if not holder.settled)
    return mine.memory <= room.total - leased and mine.memory <= room.free - promised


def _delays(
    mine: Ticket, key: str, before: Sequence[Ticket], holders: Sequence[int], room: Room
) -> bool:
    """Whether anyone before would have to wait longer were `mine` on the device.

    It would if there is a set of jobs beside which it fits without `mine` and not with it; the jobs
    are the holders, who end in any order, and whoever is before it in the line.
    """
    beside = list(holders)
    for ticket in before:
        if key in ticket.keys and ticket.memory <= room.total:
            if not room.shared:
                return True
            most = room.total - ticket.memory
            if _sum_within(beside, most - mine.memory, most):
                return True
            beside.append(ticket.memory)
    return False


def _sum_within(amounts: Sequence[int], above: int, most: int) -> bool:
    """Whether some of the amounts add up to more than `above` and to no more than `most`."""
    if above < 0 <= most:  # none of them
        return True
    sums = {0}
    for amount in amounts:
        sums |= {sum_ + amount for sum_ in sums if sum_ + amount <= most}
        if len(sums) > SUMS:
            return True
    return any(above < sum_ for sum_ in sums)

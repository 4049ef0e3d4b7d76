"""Leases: never more than there is, in turn, and back however a process ends."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import PlacementError
from foundation.placement import leases, tickets
from foundation.placement.device import Device
from foundation.placement.queue import Room, Ticket, choice, line

GB = 10**9
ROOT = Path(leases.__file__).parents[2]


class Machine:
    """Pretended devices, of each (size, free) in GB."""

    def __init__(self, *sizes: tuple[float, float], shared: bool = True) -> None:
        self.sizes, self.shared = sizes, shared

    def devices(self) -> list[Device]:
        return [
            Device(f"cuda:{n}", f"GPU-{n}", "cuda", "", int(total * GB), int(free * GB),
                   self.shared)
            for n, (total, free) in enumerate(self.sizes)
        ]  # fmt: skip


HOLD = """
import os, sys, time
from pathlib import Path
folder, memory, sizes, uid = sys.argv[1], float(sys.argv[2]), eval(sys.argv[3]), int(sys.argv[4])
from foundation.placement import leases
from foundation.placement.device import Device
if uid:  # after all imports: another user may not read this Python's folders
    os.setgroups([])
    os.setgid(uid)
    os.setuid(uid)
class Machine:
    def devices(self):
        return [Device(f"cuda:{n}", f"GPU-{n}", "cuda", "", int(t * 1e9), int(t * 1e9))
                for n, t in enumerate(sizes)]
lease = leases.take(int(memory * 1e9), "held", Machine(), where=Path(folder))
print(lease.device.key, flush=True)
sys.stdin.read()
lease.release()
print("released", flush=True)
"""


@pytest.fixture
def where(tmp_path: Path) -> Path:
    folder = tmp_path / "leases"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.fixture
def hold(where: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`hold(3, (10,))`: a process that wants 3 GB on devices of these sizes, and holds them."""
    started = []

    def start(memory: float, sizes: tuple[float, ...], uid: int = 0) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(where), str(memory), str(sizes), str(uid)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        with process:  # which closes its pipes
            pass


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def until(what: Callable[[], Any]) -> None:
    for _ in range(1200):
        if what():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come")


def test_a_killed_holder_gives_its_device_back_and_leaves_no_ticket(where, hold) -> None:
    first = hold(8, (10,))
    assert said(first) == "GPU-0"
    second = hold(8, (10,))
    until(lambda: len(tickets.tickets(where)) == 2)
    assert [t.device for t in tickets.tickets(where)] == ["GPU-0", None]
    first.kill()
    assert said(second) == "GPU-0"
    lease = leases.take(2 * GB, "third", Machine((10, 10)), where=where)
    assert len(list(where.iterdir())) == 2  # the dead one's is swept away
    lease.release()
    assert [t.job for t in tickets.tickets(where)] == ["held"]


def test_a_stopped_holder_keeps_its_lease_and_waiters_name_it(where, hold) -> None:
    holder = hold(8, (10,))
    said(holder)
    holder.send_signal(signal.SIGSTOP)
    words: list[str] = []
    with pytest.raises(PlacementError, match="no device after 1 s") as caught:
        leases.take(8 * GB, "late", Machine((10, 10)), where=where, timeout=1, say=words.append)
    assert f"process {holder.pid} (held, 8.0 GB since" in str(caught.value)
    assert "number 1 in line" in words[0]
    assert len(list(where.iterdir())) == 1  # who gave up stands in nobody's way
    holder.send_signal(signal.SIGCONT)
    assert holder.stdin
    holder.stdin.close()
    assert said(holder) == "released"
    leases.take(8 * GB, "late", Machine((10, 10)), where=where, timeout=1).release()


def test_a_stopped_waiter_holds_up_nobody_for_long(where, hold) -> None:
    holder = hold(8, (10,))
    said(holder)
    first = hold(9, (10,))
    until(lambda: len(tickets.tickets(where)) == 2)
    first.send_signal(signal.SIGSTOP)
    third = hold(9, (10,))
    until(lambda: len(tickets.tickets(where)) == 3)
    holder.kill()
    assert said(third) == "GPU-0"
    first.send_signal(signal.SIGCONT)
    third.kill()
    assert said(first) == "GPU-0"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become two other users")
def test_users_share_the_folder_and_cannot_break_each_others_leases(where, hold) -> None:
    for folder in [where, *where.parents]:  # pytest's folders are its user's alone
        if folder.stat().st_uid == 0 and folder != Path("/") and folder.name != "tmp":
            folder.chmod(folder.stat().st_mode | 0o005)
    one, other = hold(6, (10,), uid=1001), hold(3, (10,), uid=1002)
    assert said(one) == said(other) == "GPU-0"
    owners = {path.stat().st_uid: path for path in where.iterdir()}
    assert sorted(owners) == [1001, 1002]
    waiter = hold(8, (10,), uid=1002)
    until(lambda: len(tickets.tickets(where)) == 3)
    attack = f"""
import fcntl, os, pathlib
os.setgroups([]); os.setgid(1002); os.setuid(1002)
path = pathlib.Path({str(owners[1001])!r})
broken = []
for name, harm in {{
    "delete": path.unlink,
    "rename": lambda: path.rename(path.with_name("gone")),
    "replace": lambda: pathlib.Path({str(owners[1002])!r}).rename(path),
    "write": lambda: path.write_text("x"),
    "mode": lambda: path.chmod(0o666),
    "lock": lambda: fcntl.flock(path.open(), fcntl.LOCK_EX | fcntl.LOCK_NB),
    "folder": lambda: path.parent.rename(path.parent.with_name("gone")),
}}.items():
    try:
        harm()
    except (PermissionError, BlockingIOError):
        continue
    broken.append(name)
print(broken)
"""
    tried = subprocess.run([sys.executable, "-c", attack], capture_output=True, text=True)
    assert tried.stdout.strip() == "[]", tried.stderr
    held = {t.user: t.device for t in tickets.tickets(where) if t.device}
    assert held == {"user 1001": "GPU-0", "user 1002": "GPU-0"}
    for process in (one, other):
        process.kill()
    assert said(waiter) == "GPU-0"


def test_what_is_left_of_another_boot_counts_for_nothing(where) -> None:
    old = where / f"{tickets.PREFIX}000000001-abcd"
    values = {"boot": "another", "pid": 1, "job": "old", "memory": 9 * GB, "keys": ["GPU-0"],
              "device": "GPU-0", "settled": True, "since": 0.0}  # fmt: skip
    old.write_text(json.dumps(values))
    (where / f".{tickets.PREFIX}000000001-efgh").write_text("")
    (where / "somebody's").write_text("")
    lease = leases.take(9 * GB, "new", Machine((10, 10)), where=where, timeout=1)
    assert sorted(path.name for path in where.iterdir())[1:] == ["somebody's"]
    lease.release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"memory": -5}', "x" * 9999])
def test_a_ticket_that_is_none_is_passed_over(where, text) -> None:
    import fcntl

    path = where / f"{tickets.PREFIX}000000001-abcd"
    path.write_text(text)
    with path.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        leases.take(9 * GB, "new", Machine((10, 10)), where=where, timeout=1).release()


def test_memory_that_others_took_is_not_leased(where) -> None:
    with pytest.raises(PlacementError, match="nobody holds it by a lease"):
        leases.take(5 * GB, "job", Machine((10, 4)), where=where, timeout=0.3)
    first = leases.take(5 * GB, "job", Machine((20, 9)), where=where, timeout=1)
    with pytest.raises(PlacementError):  # 9 are free, of which 5 are promised
        leases.take(5 * GB, "job", Machine((20, 9)), where=where, timeout=0.3)
    first.settle()
    leases.take(5 * GB, "job", Machine((20, 9)), where=where, timeout=1).release()
    first.release()


def test_what_fits_on_no_device_is_refused_at_once(where) -> None:
    with pytest.raises(PlacementError, match=r"needs 90\.0 GB, and no device here has more than"):
        leases.take(90 * GB, "image/flux", Machine((80, 80), (40, 40)), where=where)


def test_a_folder_that_others_could_tamper_with_is_refused(where) -> None:
    where.chmod(0o777)
    with pytest.raises(PlacementError, match="chmod 1777"):
        leases.take(GB, "job", Machine((10, 10)), where=where)


def test_a_device_of_one_process_is_leased_to_one(where) -> None:
    machine = Machine((10, 10), (10, 10), shared=False)
    some = [leases.take(GB, "job", machine, where=where, timeout=1) for _ in range(2)]
    assert {lease.device.key for lease in some} == {"GPU-0", "GPU-1"}
    with pytest.raises(PlacementError):
        leases.take(GB, "job", machine, where=where, timeout=0.3)


# The queue itself, over all that can be.

NEEDS = st.integers(1, 10)
TICKETS = st.lists(st.tuples(NEEDS, st.sampled_from([None, "a", "b"])), max_size=7)
ROOMS = {"a": Room(10, 99), "b": Room(7, 99)}


def queue(rows: list[tuple[int, str | None]]) -> list[Ticket]:
    """Tickets whose leases can be: what holders add up to is there."""
    made: list[Ticket] = []
    for number, (memory, device) in enumerate(rows, 1):
        used = sum(t.memory for t in made if t.device == device)
        if device is not None and used + memory > ROOMS[device].total:
            device = None
        made.append(Ticket(number, memory, ("a", "b"), device, settled=True))
    return made


@given(TICKETS, NEEDS)
def test_no_device_is_ever_given_beyond_its_memory(rows, need) -> None:
    there = queue(rows)
    mine = Ticket(99, need, ("a", "b"))
    key = choice(mine, there, ROOMS)
    if key is not None:
        assert need + sum(t.memory for t in there if t.device == key) <= ROOMS[key].total


@given(TICKETS, NEEDS, st.randoms(use_true_random=False))
def test_who_slips_in_delays_nobody_whatever_the_order_in_which_holders_end(
    rows, need, chance
) -> None:
    """With and without the late one, those before it start after as many holders have ended."""
    there = queue(rows)
    mine = Ticket(99, need, ("a", "b"))
    key = choice(mine, there, ROOMS)
    waiting = line(there)
    if key is None or not waiting:
        return
    holders = [t for t in there if t.device]
    chance.shuffle(holders)
    late = Ticket(99, need, ("a", "b"), key, settled=True)
    for ended in range(len(holders) + 1):
        left = holders[ended:]
        without = choice(waiting[0], left, ROOMS)
        if without is not None:
            assert choice(waiting[0], [*left, late], ROOMS) is not None
            return


@given(TICKETS)
def test_the_first_in_line_goes_as_soon_as_it_fits(rows) -> None:
    there = queue(rows)
    first = line(there)[:1]
    for ticket in first:
        room = max(r.total - sum(t.memory for t in there if t.device == k)
                   for k, r in ROOMS.items())  # fmt: skip
        assert (choice(ticket, there, ROOMS) is not None) == (ticket.memory <= room)


def test_small_jobs_use_the_gap_beside_one_that_waits_for_a_whole_device() -> None:
    rooms = {"a": Room(10, 99)}
    holder, big = Ticket(1, 6, ("a",), "a"), Ticket(2, 5, ("a",))
    assert choice(Ticket(3, 4, ("a",)), [holder, big], rooms) == "a"  # 5 + 4 fit together
    assert choice(Ticket(3, 4, ("a",)), [holder, Ticket(2, 8, ("a",))], rooms) is None
    assert choice(Ticket(3, 4, ("a",)), [holder, Ticket(2, 8, ("a",))], rooms, {2}) == "a"

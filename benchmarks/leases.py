"""Trials of the leases: contenders that are killed and stopped, and clocks that jump.

    python -m benchmarks.leases --trials 1000 --save

Each trial has 12 processes, 2 to 4 pretended devices of random size, and random needs. A referee
that knows nothing of leases watches: each unit of a device's memory is a byte of a file, and who
holds a lease locks as many of its bytes as it leased (POSIX locks, which the kernel frees on
death). A byte that cannot be had is an over-commitment. Contenders run under libfaketime, whose
clock, the monotonic one too, jumps by days, both ways.
"""

import argparse
import fcntl
import json
import os
import random
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.placement import leases, tickets
from foundation.placement.device import Device

UNIT = 10**9
CONTENDERS = 12
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Pretended:
    """Devices of these sizes in units, all their memory free but for leases."""

    sizes: Sequence[int]

    def devices(self) -> list[Device]:
        return [
            Device(f"cuda:{n}", f"GPU-{n}", "cuda", "pretended", size * UNIT, size * UNIT)
            for n, size in enumerate(self.sizes)
        ]


def contend(number: int, trial: dict[str, Any]) -> None:
    """Take a lease, hold it under the referee's eyes, give it back; tell of each on stdout."""
    referee = [os.open(f"{trial['audit']}-{n}", os.O_RDWR) for n in range(len(trial["sizes"]))]
    need, hold = trial["needs"][number], trial["holds"][number]
    tell(number, "wants")
    lease = leases.take(
        need * UNIT, f"contender {number}", Pretended(trial["sizes"]), where=Path(trial["folder"])
    )
    device = int(lease.device.key.removeprefix("GPU-"))
    file, units = referee[device], []
    for unit in range(trial["sizes"][device]):
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, unit)
        except OSError:
            continue
        units.append(unit)
        if len(units) == need:
            break
    tell(number, "has" if len(units) == need else "OVERCOMMITTED")
    if number % 2:
        lease.settle()
    time.sleep(hold)
    mine = [t for t in tickets.tickets(Path(trial["folder"])) if t.number == lease.number]
    if [t.device for t in mine] != [lease.device.key]:
        tell(number, "LOST")
    for unit in units:
        fcntl.lockf(file, fcntl.LOCK_UN, 1, unit)
    lease.release()
    tell(number, "done")


def tell(number: int, what: str) -> None:
    os.write(1, f"{number} {what} {os.getpid()}\n".encode())


def factory() -> None:
    """Fork the contenders of each trial that standard input names; tell when all have ended."""
    for line in sys.stdin:
        trial = json.loads(line)
        children = []
        for number in range(CONTENDERS):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    contend(number, trial)
                    code = 0
                finally:
                    os._exit(code)
            children.append((number, pid))
            tell_of(number, "born", pid)
        for number, pid in children:
            status = os.waitpid(pid, 0)[1]
            tell_of(number, "FAILED" if os.WIFEXITED(status) and status else "ended", pid)
        tell_of(-1, "over", 0)


def tell_of(number: int, what: str, pid: int) -> None:
    os.write(1, f"{number} {what} {pid}\n".encode())


class Supervisor:
    """Starts the factory under libfaketime, and does harm to its children."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.clock = folder / "clock"
        self._set_clock()
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "LD_PRELOAD": FAKETIME,
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.leases", "--factory"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        self.buffer = b""
        self.waits: list[float] = []
        self.counts = {
            "leases": 0, "killed": 0, "killed_holding": 0, "stopped": 0, "clock_jumps": 0,
            "overcommitted": 0, "lost": 0, "failed": 0, "left_behind": 0, "stuck": 0,
        }  # fmt: skip

    def _set_clock(self) -> None:
        part = self.folder / "clock.part"
        part.write_text(f"{self.chance.choice(['+', '-'])}{self.chance.randrange(3 * 86400)}\n")
        part.replace(self.clock)

    def trial(self, number: int) -> None:
        sizes = [self.chance.randint(4, 12) for _ in range(self.chance.randint(2, 4))]
        folder, audit = self.folder / f"leases-{number}", self.folder / f"audit-{number}"
        folder.mkdir(mode=0o1777)
        folder.chmod(0o1777)
        for n in range(len(sizes)):
            Path(f"{audit}-{n}").touch()
        needs = [self.chance.randint(1, max(sizes)) for _ in range(CONTENDERS)]
        holds = [self.chance.uniform(0.001, 0.03) for _ in range(CONTENDERS)]
        order = {"folder": str(folder), "audit": str(audit), "sizes": sizes}
        self._send({**order, "needs": needs, "holds": holds})
        self._watch()
        left = tickets.tickets(folder)
        self.counts["left_behind"] += len(left)
        for path in [*folder.iterdir(), *self.folder.glob("audit-*")]:
            path.unlink()
        folder.rmdir()

    def _send(self, trial: dict[str, Any]) -> None:
        assert self.process.stdin
        self.process.stdin.write((json.dumps(trial) + "\n").encode())
        self.process.stdin.flush()

    def _watch(self) -> None:
        """Follow a trial to its end, with a misdeed now and then."""
        living: dict[int, int] = {}
        since: dict[int, float] = {}
        holding: set[int] = set()
        stopped: list[tuple[float, int]] = []
        began = time.monotonic()
        misdeed = began + self.chance.uniform(0.005, 0.05)
        while True:
            for number, what, pid in self._events(0.005):
                now = time.monotonic()
                if what == "over":
                    return
                if what == "born":
                    living[number] = pid
                elif what == "wants":
                    since[number] = now
                elif what in ("has", "OVERCOMMITTED"):
                    self.waits.append(now - since[number])
                    self.counts["leases"] += 1
                    holding.add(number)
                elif what in ("done", "ended", "FAILED"):
                    holding.discard(number)
                    if what != "done":
                        living.pop(number, None)
                for bad in ("OVERCOMMITTED", "LOST", "FAILED"):
                    self.counts[bad.lower()] += what == bad
            now = time.monotonic()
            for until, pid in list(stopped):
                if now > until:
                    stopped.remove((until, pid))
                    signalled(pid, signal.SIGCONT)
            if now > misdeed and living:
                misdeed = now + self.chance.uniform(0.005, 0.08)
                number = self.chance.choice(list(living))
                kind = self.chance.choice(["kill", "stop", "clock"])
                if kind == "clock":
                    self._set_clock()
                    self.counts["clock_jumps"] += 1
                elif kind == "stop":
                    self.counts["stopped"] += signalled(living[number], signal.SIGSTOP)
                    stopped.append((now + self.chance.uniform(0.02, 0.2), living[number]))
                elif len(living) > CONTENDERS // 2 and signalled(living[number], signal.SIGKILL):
                    self.counts["killed"] += 1
                    self.counts["killed_holding"] += number in holding
            if now - began > 120:
                self.counts["stuck"] += 1
                for pid in living.values():
                    signalled(pid, signal.SIGKILL)
                began = now

    def _events(self, timeout: float) -> list[tuple[int, str, int]]:
        assert self.process.stdout
        if select.select([self.process.stdout], [], [], timeout)[0]:
            self.buffer += os.read(self.process.stdout.fileno(), 65536)
        *lines, self.buffer = self.buffer.split(b"\n")
        return [(int(a), b, int(c)) for a, b, c in (line.decode().split() for line in lines)]

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def signalled(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def twelve_on_two(folder: Path, hold: float = 0.3) -> float:
    """Seconds that 12 jobs of `hold` seconds take on 2 devices of one job each; ideal 6 * hold."""
    lines = folder / "lines"
    lines.mkdir(mode=0o1777)
    lines.chmod(0o1777)
    began = time.monotonic()
    children = []
    for number in range(CONTENDERS):
        pid = os.fork()
        if pid == 0:
            try:
                lease = leases.take(8 * UNIT, f"job {number}", Pretended((10, 10)), where=lines)
                time.sleep(hold)
                lease.release()
            finally:
                os._exit(0)
        children.append(pid)
    for pid in children:
        os.waitpid(pid, 0)
    took = time.monotonic() - began
    for path in lines.iterdir():
        path.unlink()
    lines.rmdir()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--factory", action="store_true")
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/leases.json")
    given = parser.parse_args()
    if given.factory:
        factory()
        return
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spans = [twelve_on_two(folder) for _ in range(3)]
        supervisor = Supervisor(folder, random.Random(given.seed))
        for number in range(given.trials):
            supervisor.trial(number)
        supervisor.close()
    waits = sorted(supervisor.waits) or [0.0]
    figures = {
        "trials": given.trials,
        **supervisor.counts,
        "longest_wait_seconds": round(waits[-1], 3),
        "median_wait_seconds": round(statistics.median(waits), 4),
        "twelve_on_two_seconds": [round(span, 3) for span in spans],
        "twelve_on_two_over_ideal": round(statistics.median(spans) / 1.8, 3),
        "seconds": round(time.monotonic() - began, 1),
    }
    print(json.dumps(figures, indent=2))
    if given.save:
        from benchmarks.record import save

        save(
            "leases",
            {"command": " ".join(["python -m benchmarks.leases", *sys.argv[1:]]), **figures},
        )


if __name__ == "__main__":
    main()

"""Sides that stay and take turns: many short pairs in place of few long ones.

A side of this kind prints a line once it has loaded, then answers each line that it reads with one
piece of its work, and prints a JSON object about it (`answering` is the loop that does so). A pair
is a turn of each, in random order. Where a pair is shorter than what disturbs it, both of its turns
are slowed alike, and there are many more of them in the same time than of whole processes. Memory
is what the side holds after its turn.
"""

import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import psutil

from benchmarks.energy import Meter
from benchmarks.process import CommandFailed, Usage, end, resident, tree, variables_of


def answering(piece: Callable[[], Mapping[str, Any]]) -> None:
    """The side's part: do a piece for each line of standard input until that ends."""
    print("{}", flush=True)
    for _ in sys.stdin:
        print(json.dumps(piece()), flush=True)


class Taker:
    """A side's process. timeout: seconds for its start and for a turn."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str | None], timeout: float
    ) -> None:
        self._command, self._timeout = " ".join(command), timeout
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=variables_of(environment),
        )  # fmt: skip
        try:
            self._answer()
        except BaseException:
            self.close()
            raise

    def turn(self) -> Usage:
        """One piece. CommandFailed: the process has ended, or takes too long."""
        assert self._process.stdin
        meter, busy, began = Meter(), self._busy(), time.perf_counter()
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        report = self._answer()
        wall, energy = time.perf_counter() - began, meter.used()
        seen = tree(psutil.Process(self._process.pid))
        return Usage(wall, self._busy() - busy, sum(map(resident, seen)), report, 0, energy)

    def close(self) -> None:
        end(self._process.pid)
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout
        if not select.select([self._process.stdout], [], [], self._timeout)[0]:
            raise CommandFailed(f"{self._command}: longer than {self._timeout:g} s")
        line = self._process.stdout.readline()
        if not line:
            raise CommandFailed(f"{self._command}: ended with code {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        return found

    def _busy(self) -> float:
        """Processor seconds of all its threads so far, to the kernel's tick."""
        times = psutil.Process(self._process.pid).cpu_times()
        return float(times.user + times.system)


@contextmanager
def staying(
    sides: Mapping[str, tuple[Sequence[str], Mapping[str, str | None]]], timeout: float
) -> Iterator[Mapping[str, Taker]]:
    """The processes of all sides, by name; ended with the context."""
    with ExitStack() as stack:
        found = {}
        for name, (command, environment) in sides.items():
            found[name] = Taker(command, environment, timeout)
            stack.callback(found[name].close)
        yield found

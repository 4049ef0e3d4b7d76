"""One command as a process of its own: how long, how much processor, how much memory."""

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.energy import Meter
from foundation.signals import ending

EVERY = 0.1
BLOCK = 512
"""Bytes of getrusage's blocks on Linux."""


class CommandFailed(RuntimeError):
    """A measured command ended with another code than 0, or ran too long."""


@dataclass(frozen=True)
class Usage:
    """What one run of a command took.

    wall: seconds. cpu: processor seconds of the process and the descendants it waited for.
    memory: the most bytes resident in the whole process tree, pages that processes share counted in
    each; seen every EVERY seconds, so a shorter peak can be missed. report: the last line of
    standard output where that is a JSON object, else empty. read: bytes that came from the disk,
    what the system had in memory already left out. energy: joules that the machine's parts took
    meanwhile (benchmarks.energy), empty where no counter can be read.
    """

    wall: float
    cpu: float
    memory: int
    report: Mapping[str, Any] = field(default_factory=dict)
    read: int = 0
    energy: Mapping[str, float] = field(default_factory=dict)


def measure(
    command: Sequence[str],
    environment: Mapping[str, str | None] | None = None,
    folder: Path | None = None,
    timeout: float = 600.0,
    every: float = EVERY,
) -> Usage:
    """Run a command to its end.

    environment: variables set, or removed where None. CommandFailed: with the last lines of what it
    said on standard error. Ctrl-C and SIGTERM end the command, too.
    """
    variables = variables_of(environment or {})
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        meter, began = Meter(), time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=variables, cwd=folder)
        watch = Watch(process.pid, timeout, every)
        try:
            # Unlike process.wait(), wait4 tells the processor time of this one process tree.
            with ending():
                _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            end(process.pid)
            raise
        wall, energy = time.perf_counter() - began, meter.used()
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.close()
        out.seek(0), err.seek(0)
        if process.returncode or watch.late:
            why = f"longer than {timeout:g} s" if watch.late else f"code {process.returncode}"
            said = err.read().decode(errors="replace").strip()[-2000:]
            raise CommandFailed(f"{' '.join(command)}: {why}\n{said}")
        report = _report(out.read().decode(errors="replace"))
    cpu, read = used.ru_utime + used.ru_stime, used.ru_inblock * BLOCK
    return Usage(wall, cpu, watch.peak, report, read, energy)


def variables_of(changed: Mapping[str, str | None]) -> dict[str, str]:
    """Our own with these set, or removed where None."""
    found = {**os.environ, **changed}
    return {name: value for name, value in found.items() if value is not None}


class Watch:
    """Looks at a process tree now and then; ends it when it runs too long."""

    def __init__(self, pid: int, timeout: float, every: float) -> None:
        self.peak, self.late = 0, False
        self._deadline, self._every = time.monotonic() + timeout, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(pid,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _look(self, pid: int) -> None:
        with suppress(psutil.NoSuchProcess):
            root = psutil.Process(pid)
            while True:
                self.peak = max(self.peak, sum(map(resident, tree(root))))
                if self._over.wait(self._every):
                    return
                if time.monotonic() > self._deadline:
                    self.late = True
                    end(pid)
                    return


def thread_settings(count: int | None) -> dict[str, str | None]:
    """Variables for a side that computes in so many threads; None: as many as it likes."""
    value = None if count is None else str(count)
    return {"OMP_NUM_THREADS": value, "MKL_NUM_THREADS": value}


def end(pid: int) -> None:
    """Kill a process and its descendants."""
    with suppress(psutil.NoSuchProcess):
        for process in tree(psutil.Process(pid)):
            with suppress(psutil.NoSuchProcess):
                process.kill()


def tree(root: psutil.Process) -> list[psutil.Process]:
    """A process and its descendants."""
    return [root, *root.children(recursive=True)]


def resident(process: psutil.Process) -> int:
    """Bytes of a process in memory; 0 when it has ended."""
    try:
        size: int = process.memory_info().rss
        return size
    except psutil.Error:
        return 0


def _report(output: str) -> dict[str, Any]:
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except json.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}

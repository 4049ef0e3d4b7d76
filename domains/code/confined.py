"""One confined Python process, and the loop that watches some of them from outside."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from foundation.domains.code import bubblewrap, seccomp
from foundation.errors import RequestError, UnknownName

MODES = ("bubblewrap", "process")
_TICK = 0.05
_CHUNK = 1 << 16
_PAGE = os.sysconf("SC_PAGE_SIZE")
_DESCRIPTORS = 64


@dataclass(frozen=True)
class Limits:
    """What one program may take; every value is positive.

    `seconds`: wall time from its start, for those that sleep. `cpu_seconds`: whole seconds of CPU
    time of each process; lower than the wall time, so that a busy machine changes no verdict.
    `memory_bytes`: address space of each process, and resident memory of all of them together.
    `processes`: processes and threads at once. `file_bytes`: one file, and all of /tmp.
    `output_bytes`: standard output and standard error, each.
    """

    seconds: float = 15.0
    cpu_seconds: int = 5
    memory_bytes: int = 512 << 20
    processes: int = 16
    file_bytes: int = 16 << 20
    output_bytes: int = 1 << 20

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            whole = field.name == "seconds" or isinstance(value, int)
            if isinstance(value, bool) or not whole or not 0 < value < 1 << 62:
                raise RequestError(f"the limit {field.name}={value} is not a positive number")


DEFAULT = Limits()


class Confined:
    """A process that runs inside.py; leaving the `with` block kills it and all it started.

    `order` is what inside.py is told; `pipes` are the descriptors it keeps, by their name in the
    order. `output` grows while `watch` runs: "stdout", "stderr" and "report".
    """

    def __init__(self, order: dict[str, Any], pipes: dict[str, int], limits: Limits, mode: str):
        if mode not in MODES:
            raise UnknownName("sandbox mode", mode, MODES)
        self._clean = contextlib.ExitStack()
        self.output = {name: bytearray() for name in ("stdout", "stderr", "report")}
        confined = mode == "bubblewrap"
        report, answer = os.pipe()
        self._clean.callback(os.close, report)
        try:
            with contextlib.ExitStack() as closing:
                closing.callback(os.close, answer)
                passed = [answer, *pipes.values()]
                if confined:
                    passed.append(_filter(closing))
                    line, folder = bubblewrap.command(limits.file_bytes, passed[-1]), None
                else:
                    line = [bubblewrap.interpreter(), *bubblewrap.PYTHON_FLAGS]
                    line += [str(bubblewrap.INSIDE)]
                    folder = self._clean.enter_context(tempfile.TemporaryDirectory())
                self.process = subprocess.Popen(
                    line,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    pass_fds=passed,
                    env=bubblewrap.ENVIRONMENT,
                    cwd=folder,
                    start_new_session=True,
                )
        except BaseException:
            self._clean.close()
            raise
        self._clean.callback(self._end)
        self._order = {**order, **pipes, "report": answer, "limits": _resources(limits, confined)}
        self._order["uid"] = bubblewrap.own_uid() if confined else None
        assert self.process.stdout
        assert self.process.stderr
        self.streams = {
            self.process.stdout.fileno(): "stdout",
            self.process.stderr.fileno(): "stderr",
            report: "report",
        }

    def __enter__(self) -> "Confined":
        return self

    def __exit__(self, *_: object) -> None:
        self._clean.close()

    def start(self) -> None:
        """Hand over the order; returns at once when the process has died already."""
        assert self.process.stdin
        with contextlib.suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.write(json.dumps(self._order).encode())

    def text(self, name: str) -> str:
        """What came through "stdout" or "stderr", as text."""
        return self.output[name].decode("utf-8", "replace")

    def ended(self, patience: float | None = None) -> str | None:
        """How it ended, or None for exit status 0 and for one that outlasts `patience` seconds.

        Raises InputError when it never began.
        """
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return None
        if not self.output["report"].startswith(b"+"):
            raise bubblewrap.trouble(self.text("stderr"))
        # bubblewrap passes a signal on as 128 + its number
        number = -code if code < 0 else code - 128
        if number == signal.SIGXCPU:
            return "over its CPU time"
        if 0 < number < signal.NSIG:
            return f"ended by {signal.Signals(number).name}"
        last = self.text("stderr").strip().splitlines()[-1:] or [""]
        return f"exit status {code}: {last[0][:500]}".rstrip(": ") if code else None

    def _end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def watch(cells: Sequence[Confined], limits: Limits) -> str | None:
    """Read what `cells` write until the last of them has ended; the limit broken, if any.

    Keeps at most `limits.output_bytes` bytes of each stream. Nothing is killed here.
    """
    deadline = time.monotonic() + limits.seconds
    last = cells[-1]
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as closing:
        for cell in cells:
            for pipe in cell.streams:
                os.set_blocking(pipe, False)
                selector.register(pipe, selectors.EVENT_READ, cell)
        ending = os.pidfd_open(last.process.pid)
        closing.callback(os.close, ending)
        selector.register(ending, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select(_TICK):
                if key.fd == ending:
                    return _drain(cells, limits)
                if not _read(key.data, key.fd, limits):
                    selector.unregister(key.fd)
            broken = _broken(cells, limits, deadline)
            if broken:
                return broken


def _drain(cells: Sequence[Confined], limits: Limits) -> str | None:
    for cell in cells:
        for pipe in cell.streams:
            while _read(cell, pipe, limits):
                if len(cell.output[cell.streams[pipe]]) > limits.output_bytes:
                    break
    return _broken(cells, limits, float("inf"))


def _read(cell: Confined, pipe: int, limits: Limits) -> bool:
    """Take one piece; False when there is none, or none will come."""
    kept = cell.output[cell.streams[pipe]]
    try:
        piece = os.read(pipe, _CHUNK)
    except BlockingIOError:
        return False
    kept += piece[: limits.output_bytes + 1 - len(kept)]
    return bool(piece)


def _broken(cells: Sequence[Confined], limits: Limits, deadline: float) -> str | None:
    """The limit that is broken now; cuts an output that is too long."""
    for cell in cells:
        for name, kept in cell.output.items():
            if len(kept) > limits.output_bytes:
                del kept[limits.output_bytes :]
                return f"wrote over {limits.output_bytes} bytes to {name}"
        if _resident(cell.process.pid) > limits.memory_bytes:
            return f"over {limits.memory_bytes} bytes of memory"
    return f"over {limits.seconds:g} seconds" if time.monotonic() > deadline else None


def _resident(pid: int) -> int:
    """Bytes resident in the process and all it started; shared pages count in each of them."""
    total, todo = 0, [pid]
    while todo:
        pid = todo.pop()
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/statm") as sizes:
                total += int(sizes.read().split()[1]) * _PAGE
            for thread in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{thread}/children") as children:
                    todo += map(int, children.read().split())
    return total


def _resources(limits: Limits, confined: bool) -> dict[str, int]:
    """The names and values for setrlimit."""
    return {
        "AS": limits.memory_bytes,
        # not 0: with 1 the kernel neither writes a core nor hands it to the machine's collector
        "CORE": 1,
        "CPU": limits.cpu_seconds,
        "FSIZE": limits.file_bytes,
        "MEMLOCK": 0,
        "NOFILE": _DESCRIPTORS,
        # without a user id of its own every process of the user counts, so it is left alone
        **({"NPROC": limits.processes + 2} if confined else {}),
    }


def _filter(closing: contextlib.ExitStack) -> int:
    """A pipe that holds the seccomp filter."""
    reading, writing = os.pipe()
    closing.callback(os.close, reading)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(seccomp.rules())
    return reading

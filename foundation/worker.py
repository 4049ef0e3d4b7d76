"""A function run in other processes, chunk by chunk, beside the model.

Each worker is a plain Python process fed over its standard input. It therefore needs nothing of
the caller's main module (a notebook has none), and it ends when its input ends, however the caller
died.
"""

import contextlib
import os
import pickle
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, Any

from foundation.errors import FoundationError


class Workers:
    """`function` is `module:function(values, *arguments) -> list`, one answer a value.

    A worker that dies is replaced and its chunk tried again, halved until the value that kills it
    stands alone; that value's answer is `died(reason)`.
    """

    def __init__(self, function: str, arguments: tuple[Any, ...], count: int, died: Any) -> None:
        self._command = [sys.executable, "-m", "foundation.worker", function]
        self._arguments, self._died = arguments, died
        self._own = threading.local()
        self._lock = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._pool = ThreadPoolExecutor(count)
        for _ in range(count):
            self._pool.submit(self._process)

    def submit(self, values: Sequence[Any]) -> "Future[list[Any]]":
        """Have a chunk answered; the future's list is as long as `values`."""
        return self._pool.submit(self._answer, list(values))

    def close(self) -> None:
        """End the workers; what is under way is lost."""
        with self._lock:
            self._closed = True
            running = list(self._running)
        for process in running:
            process.kill()
        self._pool.shutdown(wait=True, cancel_futures=True)
        for process in running:
            reap(process)

    def _answer(self, values: list[Any]) -> list[Any]:
        try:
            return self._ask(values)
        except (EOFError, OSError):
            self._forget()
        if len(values) == 1:
            return [self._died("the check of this value ended its process")]
        half = len(values) // 2
        return self._answer(values[:half]) + self._answer(values[half:])

    def _ask(self, values: list[Any]) -> list[Any]:
        process = self._process()
        assert process.stdin
        assert process.stdout
        send(process.stdin, (values, self._arguments))
        kind, answer = receive(process.stdout)
        if kind == "error":
            raise FoundationError(answer)
        if len(answer) != len(values):
            raise FoundationError(
                f"{len(answer)} answers to {len(values)} values: {self._command[-1]}"
            )
        return list(answer)

    def _forget(self) -> None:
        """A process that died has its place taken by a new one, unless all are to end."""
        with self._lock:
            if self._closed:
                raise FoundationError("the workers are closed")
            self._running.discard(self._own.process)
        reap(self._own.process)
        self._own.process = None

    def _process(self) -> "subprocess.Popen[bytes]":
        process: subprocess.Popen[bytes] | None = getattr(self._own, "process", None)
        if process is None:
            with self._lock:
                if self._closed:
                    raise FoundationError("the workers are closed")
                process = self._own.process = self._start()
                self._running.add(process)
        return process

    def _start(self) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,  # Ctrl-C is the caller's to handle
        )


def reap(process: "subprocess.Popen[bytes]") -> None:
    """Kill what may still run, take its exit code and close its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe:
                pipe.close()


def send(stream: IO[bytes], value: Any) -> None:
    """Write one value, as `receive` reads it at the pipe's other end."""
    data = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(struct.pack("<Q", len(data)) + data)
    stream.flush()


def receive(stream: IO[bytes]) -> Any:
    """Read one value; EOFError where the other end is gone."""
    head = stream.read(8)
    if len(head) < 8:
        raise EOFError
    size = struct.unpack("<Q", head)[0]
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return pickle.loads(data)


def _serve(reference: str) -> None:
    """Answer chunks from standard input on the true standard output until there are no more."""
    from foundation.registry import resolve

    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library's print must not corrupt the answers
    function = resolve(reference)
    with contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            values, arguments = receive(sys.stdin.buffer)
            try:
                answer = ("answer", function(values, *arguments))
            except Exception as error:
                answer = ("error", f"{reference} failed: {type(error).__name__}: {error}")
            send(answers, answer)


if __name__ == "__main__":
    _serve(sys.argv[1])

"""Workers that are processes of this machine: plain Python fed over a pipe, whoever the caller."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from foundation.engines.pool import Died
from foundation.engines.serving import Message, serve
from foundation.worker import reap, receive, send

if TYPE_CHECKING:
    from foundation.adapter import Placement
    from foundation.engines import Work
    from foundation.requests import Packet
    from foundation.spec import ModelSpec

CAPPED = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class Process:
    """One worker process; it ends when its standard input does, however the driver died."""

    def __init__(self, spec: "ModelSpec", placement: "Placement", work: "Work") -> None:
        threads = dict.fromkeys(CAPPED, str(placement.threads)) if placement.threads else {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "foundation.engines.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join(sys.path)},
            start_new_session=True,  # Ctrl-C is the driver's to handle
        )
        try:
            self._write((spec, placement, replace(work, folder=work.folder.absolute())))
        except Died:
            self.close()
            raise

    def give(self, items: "Packet") -> None:
        self._write(items)

    def take(self) -> Message:
        assert self._process.stdout
        try:
            message: Message = receive(self._process.stdout)
            return message
        except (EOFError, OSError, ValueError):
            raise Died(self._how()) from None

    def close(self) -> None:
        reap(self._process)

    def _write(self, value: Any) -> None:
        assert self._process.stdin
        try:
            send(self._process.stdin, value)
        except (OSError, ValueError):
            raise Died(self._how()) from None

    def _how(self) -> str:
        try:
            code = self._process.wait(5)
        except subprocess.TimeoutExpired:
            return "it closed its pipe"
        if code >= 0:
            return f"it ended with code {code}"
        name = signal.Signals(-code).name
        memory = ", as for want of memory" if -code == signal.SIGKILL else ""
        return f"it was ended by {name}{memory}"


def main() -> None:
    """The worker's side of the pipe."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a library's print must not corrupt the answers
    orders = os.fdopen(os.dup(0), "rb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    inbox = _Inbox(orders)
    with contextlib.suppress(EOFError, BrokenPipeError):
        spec, placement, work = inbox.get()
        serve(spec, placement, work, inbox.get, lambda message: send(answers, message))


class _Inbox:
    """Reads ahead in a thread, which ends the process when the driver is gone."""

    def __init__(self, orders: Any) -> None:
        import queue

        self._orders = orders
        self._received: queue.Queue[Any] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def get(self) -> Any:
        return self._received.get()

    def _read(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                self._received.put(receive(self._orders))
        os._exit(0)


if __name__ == "__main__":
    main()

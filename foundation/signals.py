"""Ctrl-C and SIGTERM: while work runs the first asks it to end well, the second ends it at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Self

WATCHED = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h\n"


class Stop:
    """Watches for SIGINT and SIGTERM while the block runs; call it for the first one's number.

    Outside the main thread, where Python receives no signals, it is always None.
    """

    def __init__(self) -> None:
        self._first: int | None = None
        self._before: dict[int, Any] = {}

    def __call__(self) -> int | None:
        return self._first

    def __enter__(self) -> Self:
        self._before = _install(self._receive)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _receive(self, number: int, _frame: FrameType | None) -> None:
        if self._first is not None:
            _end_now(number)
        self._first = number


@contextmanager
def ending() -> Iterator[None]:
    """Where nothing watches, a signal ends the process by SystemExit with its exit code."""
    before = _install(lambda number, _: sys.exit(128 + number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _install(handler: Callable[[int, FrameType | None], Any]) -> dict[int, Any]:
    """Set the handler of each watched signal; the handlers there were."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.signal(number, handler) for number in WATCHED}


def _end_now(number: int) -> None:
    """Leave without unwinding: what is written is durable, and workers must not outlive us."""
    if "multiprocessing" in sys.modules:
        import multiprocessing

        for child in multiprocessing.active_children():
            child.kill()
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), SHOW_CURSOR)  # which a progress bar hides
    os._exit(128 + number)

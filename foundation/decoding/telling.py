"""Texts told while they are written: never a part that may be taken back."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO

from foundation.decoding.script import cut


def certain(text: str, stop: Sequence[str]) -> str:
    """What of an unfinished text will stay: no cut character, no beginning of a stop text."""
    text = text.rstrip("\ufffd")
    found = cut(text, stop)
    if found != text:  # it ends here: nothing may begin behind it
        return found
    held = (n for word in stop for n in range(1, len(word)) if text.endswith(word[:n]))
    return text[: len(text) - max(held, default=0)]


class Screen:
    """Texts on `out` (standard output): the first unfinished one as it grows, then the next."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out
        self._texts: dict[int, str] = {}
        self._ended: set[int] = set()
        self._shown = 0

    def tell(self, request: int, text: str) -> None:
        """A text so far; one that is told of first is shown first."""
        self._texts[request] = text
        self._show()

    def end(self, request: int, text: str) -> None:
        """The whole text."""
        self._texts[request] = text
        self._ended.add(request)
        self._show()

    def _show(self) -> None:
        while self._texts:
            request, text = next(iter(self._texts.items()))
            self._write(text[self._shown :])
            self._shown = max(self._shown, len(text))
            if request not in self._ended:
                return
            self._write("\n")
            self._ended.remove(request)
            del self._texts[request]
            self._shown = 0

    def _write(self, text: str) -> None:
        out = self._out or sys.stdout
        # Whoever read us may have gone: the work goes on.
        with suppress(BrokenPipeError):
            out.write(text)
            out.flush()

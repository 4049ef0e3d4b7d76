"""Code that stands word for word in a corpus: a run of words that both have."""

import re
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path

from foundation.errors import InputError
from foundation.results import Result

_WORD = re.compile(r"\w+|[^\w\s]")
LARGEST = 2**24
"""Bytes of a file of the corpus; larger ones are data."""


class Verbatim:
    """Runs of `words` words, a sign counting as one, that also stand in a file of `corpus`.

    corpus: a folder, or a file. What its lines are indented by and where they end does not matter.
    """

    def __init__(self, corpus: str, words: int = 13) -> None:
        import numpy as np

        if type(words) is not int or words < 2:
            raise InputError(f"words must be a whole number of at least 2, got '{words}'")
        root = Path(corpus).expanduser()
        if not root.exists():
            raise InputError(f"the screen verbatim: there is no {root}")
        files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.is_file())
        self._words, self._names = words, [path.name for path in files]
        found = [np.array([*_runs(_text(path), words)], np.uint64) for path in files]
        if not any(map(len, found)):
            raise InputError(f"the screen verbatim: {root} holds no text of {words} words")
        runs = np.concatenate(found)
        order = np.argsort(runs, kind="stable")
        places = np.repeat(np.arange(len(files)), [len(some) for some in found])
        self._runs, self._places = runs[order], places[order]

    def __call__(self, result: Result) -> str | None:
        import numpy as np

        asked = np.array([*_runs(str(result.output), self._words)], np.uint64)
        at = np.searchsorted(self._runs, asked).clip(max=len(self._runs) - 1)
        same = self._runs[at] == asked
        if not same.any():
            return None
        name = self._names[int(self._places[at[same.argmax()]])]
        return f"{int(same.sum()) + self._words - 1} words as in {name}"


def _text(path: Path) -> str:
    if path.stat().st_size > LARGEST:
        return ""
    data = path.read_bytes()
    return "" if b"\0" in data[:4096] else data.decode("utf-8", errors="replace")


def _runs(text: str, words: int) -> Iterator[int]:
    found = _WORD.findall(text)
    for start in range(len(found) - words + 1):
        run = "\x1f".join(found[start : start + words]).encode()
        yield int.from_bytes(blake2b(run, digest_size=8).digest())

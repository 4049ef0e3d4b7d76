"""Labelled examples of a task: read once, and the ones most like a text."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from foundation.domains.language.files import read_examples
from foundation.errors import RequestError
from foundation.tables import check_exists

Pairs = tuple[tuple[str, str], ...]


def labelled(path: str | None, labels: Sequence[str] | None) -> tuple[Pairs, tuple[str, ...]]:
    """The examples of a file and all labels: those given, or else the examples' own, sorted.

    RequestError where an example has a label that is not among those given, or a given label has
    no example.
    """
    if path is None:
        return (), tuple(labels or ())
    file = Path(path).expanduser()
    check_exists(file, "task.examples")
    pairs = _read(file, file.stat().st_mtime_ns)
    used = sorted({label for _, label in pairs})
    if labels is None:
        if len(used) < 2:
            raise RequestError(f"task.examples: {path} has only the label '{used[0]}': give two")
        return pairs, tuple(used)
    for label in used:
        if label not in labels:
            raise RequestError(f"task.examples: {path} has the label '{label}', not in task.labels")
    for label in labels:
        if label not in used:
            raise RequestError(f"task.examples: {path} has no example of the label '{label}'")
    return pairs, tuple(labels)


@lru_cache(maxsize=8)
def _read(path: Path, modified: int) -> Pairs:
    return tuple(read_examples(path))


class Nearest:
    """Finds the examples most like a text: cosine of words weighted by their rarity (tf-idf)."""

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs
        counts = [Counter(_words(text)) for text, _ in pairs]
        seen = Counter(word for words in counts for word in words)
        self._rarity = {word: math.log(1 + len(pairs) / count) for word, count in seen.items()}
        self._vectors = [self._vector(words) for words in counts]

    def to(self, text: str, count: int, without: int | None = None) -> Pairs:
        """Up to `count` examples, the most like the text last, of equals the earlier one.

        without: the number of an example that is left out.
        """
        vector = self._vector(Counter(_words(text)))
        likeness = [
            sum(weight * other.get(word, 0.0) for word, weight in vector.items())
            for other in self._vectors
        ]
        places = [place for place in range(len(self._pairs)) if place != without]
        order = sorted(places, key=lambda place: (-likeness[place], place))
        return tuple(self._pairs[place] for place in reversed(order[:count]))

    def _vector(self, words: Counter[str]) -> dict[str, float]:
        weights = {w: n * self._rarity[w] for w, n in words.items() if w in self._rarity}
        length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
        return {word: weight / length for word, weight in weights.items()}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())

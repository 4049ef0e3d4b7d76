"""Words and pairs of words as features, weighted by their rarity (tf-idf)."""

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any


def words(text: str) -> list[str]:
    """The words of a text, case aside."""
    return re.findall(r"\w+", text.casefold())


class WordFeatures:
    """1 + log of each count, times log((1 + texts) / (1 + texts with it)) + 1, of length 1."""

    def __init__(self, texts: Sequence[str]) -> None:
        seen = Counter(term for text in texts for term in set(_terms(text)))
        self._places = {term: place for place, term in enumerate(sorted(seen))}
        self._rarity = {t: math.log((1 + len(texts)) / (1 + n)) + 1 for t, n in seen.items()}

    def of(self, texts: Sequence[str]) -> Any:
        """A sparse matrix [texts, terms] of scipy."""
        from scipy.sparse import csr_array

        values: list[float] = []
        places: list[int] = []
        starts = [0]
        for text in texts:
            counts = Counter(term for term in _terms(text) if term in self._places)
            weights = {t: (1 + math.log(n)) * self._rarity[t] for t, n in counts.items()}
            length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
            values += [w / length for w in weights.values()]
            places += [self._places[term] for term in weights]
            starts.append(len(values))
        shape = (len(texts), max(len(self._places), 1))
        return csr_array((values, places, starts), shape=shape, dtype=float)


def _terms(text: str) -> list[str]:
    found = words(text)
    return found + [f"{one} {two}" for one, two in itertools.pairwise(found)]

"""What a unit looks like, and its neighbours: the usual features of taggers."""

import re
from collections.abc import Sequence


def shapes(words: Sequence[str]) -> list[list[str]]:
    """As many names of features for each word."""
    found = []
    for place, word in enumerate(words):
        low = word.casefold()
        names = [
            f"word={low}",
            f"last3={low[-3:]}",
            f"last2={low[-2:]}",
            f"first3={low[:3]}",
            f"first2={low[:2]}",
            f"shape={shape(word)}",
            f"title={word.istitle()}",
        ]
        for step in (-1, 1):
            there = 0 <= place + step < len(words)
            near = words[place + step] if there else "<edge>"
            names += [f"{step}:word={near.casefold()}", f"{step}:shape={shape(near)}"]
        found.append(names)
    return found


def shape(word: str) -> str:
    """Letters as x or X and digits as 9, runs of one kind as two."""
    kinds = re.sub(r"[^\W\d_]", lambda m: "X" if m[0].isupper() else "x", re.sub(r"\d", "9", word))
    return re.sub(r"(.)\1+", r"\1\1", kinds)

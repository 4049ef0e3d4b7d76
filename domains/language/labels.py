"""From the probabilities of labels to what is said of a text."""

import re
from collections.abc import Sequence

from foundation.adapter import Output


def labelled_output(
    labels: Sequence[str], probabilities: Sequence[float], threshold: float
) -> Output:
    """The most probable label, marked `unsure` below the threshold, and the one after it."""
    order = sorted(range(len(labels)), key=lambda place: (-probabilities[place], place))
    best = probabilities[order[0]]
    extra = {"probability": best, "unsure": best < threshold, "second": labels[order[1]]}
    return Output(labels[order[0]], extra=extra)


def spoken(labels: Sequence[str]) -> list[str]:
    """Labels as one would say them, "PlayMusic" as "play music"; none where one has no letter."""
    said = [re.sub(r"(?<=[a-z])(?=[A-Z])|[_\-]+", " ", label).strip() for label in labels]
    said = [text if text.isupper() else text.lower() for text in said]
    return said if all(any(map(str.isalpha, text)) for text in said) else []

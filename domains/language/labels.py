"""From the probabilities of labels to what is said of a text."""

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

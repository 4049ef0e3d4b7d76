"""What is measured about labels and spans, each with an interval over draws."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from foundation.domains.language.spans import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BINS = 15


def reliability(
    probabilities: "NDArray[np.float64]", targets: "NDArray[np.int64]", bins: int = BINS
) -> list[dict[str, float]]:
    """Bins of equal width over the probability of the label that was said, empty ones left out.

    Each: its lower edge, the count, the mean probability and the share that was right.
    """
    import numpy as np

    sure = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == targets
    place = np.minimum((sure * bins).astype(int), bins - 1)
    return [
        {
            "from": number / bins,
            "count": int((place == number).sum()),
            "probability": float(sure[place == number].mean()),
            "right": float(right[place == number].mean()),
        }
        for number in range(bins)
        if (place == number).any()
    ]


def calibration_error(bins: Sequence[dict[str, float]]) -> float:
    """ECE: how far probability and share lie apart, by count (Naeini et al. 2015)."""
    total = sum(each["count"] for each in bins)
    return sum(each["count"] * abs(each["probability"] - each["right"]) for each in bins) / total


def span_f1(wanted: Iterable[Sequence[Span]], found: Iterable[Sequence[Span]]) -> float:
    """F1 over all texts; a span is right when start, end and label are."""
    hits = total = 0
    for one, other in zip(wanted, found, strict=True):
        hits += len(set(one) & set(other))
        total += len(set(one)) + len(set(other))
    return 2 * hits / total if total else 1.0


def interval(values: Sequence[float]) -> dict[str, Any]:
    """The mean with its interval at 95 % by Student's t, of one value alone without; the values."""
    import numpy as np
    from scipy.stats import t

    mean = float(np.mean(values))
    if len(values) < 2:
        return {"mean": mean, "values": list(values)}
    half = float(t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / len(values) ** 0.5)
    return {"mean": mean, "low": mean - half, "high": mean + half, "values": list(values)}

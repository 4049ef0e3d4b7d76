"""How long single results took to come."""

from collections.abc import Sequence

SHARES = (50, 90, 99)


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """`latency_p50`, `latency_p90` and `latency_p99` of the seconds from a request to its result.

    Where many are asked for at once, all from that one moment. The nearest rank: a time that some
    result took. Empty without results.
    """
    ranked = sorted(seconds)
    count = len(ranked)
    return {f"latency_p{share}": ranked[-(-share * count // 100) - 1] for share in SHARES if count}

"""Where windows lie on a raster, and which of their patches are kept."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """One window along one axis, in patches: it starts at `start`; `first` to `last` are kept."""

    start: int
    first: int
    last: int


def spans(count: int, window: int, halo: int) -> Iterator[Span]:
    """Windows of `window` patches over `count` patches, each patch kept from exactly one.

    Windows overlap by 2 * halo, and `halo` patches at a side that has a neighbour are cut off. The
    last window ends with the raster, or reaches over its end where the raster is smaller.
    """
    if not 0 <= 2 * halo < window:
        raise ValueError(f"a halo of {halo} leaves nothing of a window of {window}")
    start, first = 0, 0
    while start + window < count:
        last = start + window - halo
        yield Span(start, first, last)
        start, first = min(start + window - 2 * halo, count - window), last
    yield Span(start, first, count)

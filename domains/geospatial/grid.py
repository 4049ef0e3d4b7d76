"""Where windows lie on a raster, which of their patches are theirs, and how overlaps blend."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Span:
    """One window along one axis, in patches: it starts at `start`; `first` to `last` are kept."""

    start: int
    first: int
    last: int


def spans(count: int, window: int, halo: int) -> Iterator[Span]:
    """Windows of `window` patches over `count` patches; each patch is kept by exactly one.

    Windows overlap by 2 * halo, and `halo` patches at a side that has a neighbour are not its own.
    The last window ends with the raster, or reaches over its end where the raster is smaller.
    """
    if not 0 <= 2 * halo < window:
        raise ValueError(f"a halo of {halo} leaves nothing of a window of {window}")
    start, first = 0, 0
    while start + window < count:
        last = start + window - halo
        yield Span(start, first, last)
        start, first = min(start + window - 2 * halo, count - window), last
    yield Span(start, first, count)


def weights(start: int, window: int, count: int) -> NDArray[np.float32]:
    """How much each patch of a window counts where others overlap it [window].

    It falls in steps to a side that has a neighbour, so that no step in the vectors shows there.
    """
    place = np.arange(window, dtype=np.float32)
    left = place + 1 if start > 0 else np.full(window, window, np.float32)
    right = window - place if start + window < count else np.full(window, window, np.float32)
    found: NDArray[np.float32] = np.minimum(left, right).astype(np.float32)
    return found

"""Pictures that look the same: a difference hash (Krawetz 2013), 64 bits of 8 x 9 grey cells."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

NEAR = 1 - 4 / 64
"""The share of equal bits from which two pictures are taken to be the same."""


def signature(cells: "NDArray[Any]") -> int:
    """Which of the grey cells [8, 9] is brighter than the one before."""
    import numpy as np

    return int.from_bytes(np.packbits(cells[:, 1:] > cells[:, :-1]).tobytes(), "big")


def keys(bits: int) -> Iterable[tuple[int, int]]:
    """Two hashes that differ in fewer than 8 bits share one of their bytes."""
    return enumerate(bits.to_bytes(8, "big"))


def likeness(one: int, other: int) -> float:
    """The share of equal bits."""
    return 1 - (one ^ other).bit_count() / 64

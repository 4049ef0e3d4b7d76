"""Near duplicates of texts by MinHash (Broder 1997), for any domain whose rows are text."""

import re
import zlib
from collections.abc import Hashable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HASHES, BANDS = 96, 24
SHINGLE = 5
"""Characters, blanks put together and case aside."""
NEAR = 0.8
"""Estimated share of shingles in common from which two texts are near duplicates.

24 bands of 4 find a pair at .8 with a chance of .9999, at .5 of .79 (which `NEAR` then sorts out).
"""


def signature(text: str) -> "NDArray[np.uint64] | None":
    """The least hashes of a text's shingles [HASHES]; None for a blank text."""
    import numpy as np

    plain = " ".join(re.findall(r"\w+|[^\w\s]", text.casefold())).encode()
    if not plain:
        return None
    pieces = {plain[at : at + SHINGLE] for at in range(max(1, len(plain) - SHINGLE + 1))}
    hashes = np.fromiter(map(zlib.crc32, pieces), np.uint64, len(pieces))
    factors, shifts = _mixing()
    # Universal hashing modulo the prime 2**61 - 1 would need 128 bits; multiply-shift does not.
    mixed = (hashes[None] * factors[:, None] + shifts[:, None]) >> np.uint64(32)
    found: NDArray[np.uint64] = mixed.min(1)
    return found


def bands(value: "NDArray[np.uint64]") -> Iterator[Hashable]:
    """Keys of which near duplicates share one."""
    for number, part in enumerate(value.reshape(BANDS, -1)):
        yield number, part.tobytes()


def likeness(one: "NDArray[np.uint64]", other: "NDArray[np.uint64]") -> float:
    """The estimated share of shingles in common (Jaccard's index)."""
    return float((one == other).mean())


@cache
def _mixing() -> "tuple[NDArray[np.uint64], NDArray[np.uint64]]":
    import numpy as np

    random = np.random.Generator(np.random.Philox(0))
    factors = random.integers(0, 2**63, HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return factors, random.integers(0, 2**63, HASHES, dtype=np.uint64)

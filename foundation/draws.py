"""Random numbers keyed by (seed, request, step): no stream is shared, so no order matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MULTIPLY = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(counter: "NDArray[np.uint32]", key: "NDArray[np.uint32]") -> "NDArray[np.uint32]":
    """Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011).

    counter: [..., 4] and key: [..., 2], broadcast together -> [..., 4], 32 random bits each.
    """
    import numpy as np

    half, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    multiply, by = (np.uint64(m) for m in _MULTIPLY)
    turns = np.arange(_ROUNDS, dtype=np.uint64)[:, None] * np.array(_WEYL, np.uint64)
    keys = np.moveaxis(key[..., None, :] + turns & low, (-2, -1), (0, 1))  # [rounds, 2, ...]
    a, b, c, d = (counter[..., i].astype(np.uint64) for i in range(4))
    for left, right in keys:
        first, second = a * multiply, c * by
        a, b, c, d = second >> half ^ b ^ left, second & low, first >> half ^ d ^ right, first & low
    return np.stack(np.broadcast_arrays(a, b, c, d), axis=-1).astype(np.uint32)


@dataclass(frozen=True)
class Draws:
    """The random numbers of the requests `ids` under `seed`, both at least 0 and below 2**64.

    A request's numbers are its own, whatever else is drawn beside it:

    >>> beside = Draws(seed=1, ids=[7, 8]).uniform(0, (3,))
    >>> bool((Draws(seed=1, ids=[8]).uniform(0, (3,))[0] == beside[1]).all())
    True
    """

    seed: int
    ids: Sequence[int]

    def select(self, rows: Sequence[int]) -> "Draws":
        """The draws of some rows of the batch."""
        return Draws(self.seed, [self.ids[row] for row in rows])

    def uniform(self, step: int | Sequence[int], shape: tuple[int, ...] = ()) -> "NDArray[Any]":
        """Float32 in [0, 1), [len(ids), *shape]; `step` is one number, or one for each id."""
        import numpy as np

        bits = self._bits(step, prod(shape))
        return ((bits >> np.uint32(8)) * np.float32(2**-24)).reshape(len(self.ids), *shape)

    def normal(self, step: int | Sequence[int], shape: tuple[int, ...] = ()) -> "NDArray[Any]":
        """Float32 of the standard normal distribution, [len(ids), *shape], by Box and Muller."""
        import numpy as np

        size = prod(shape)
        half = -(-size // 2)
        bits = self._bits(step, 2 * half).astype(np.float64)
        radius = np.sqrt(-2.0 * np.log((bits[:, :half] + 1.0) * 2**-32))
        angle = 2.0 * np.pi * 2**-32 * bits[:, half:]
        pairs = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return pairs[:, :size].astype(np.float32).reshape(len(self.ids), *shape)

    def _bits(self, step: int | Sequence[int], size: int) -> "NDArray[np.uint32]":
        import numpy as np

        blocks = max(1, -(-size // 4))
        ids = np.asarray(self.ids, dtype=np.uint64)[:, None]
        steps = np.asarray(step, dtype=np.uint64).reshape(-1, 1)
        block = np.arange(blocks, dtype=np.uint64)[None, :]
        words = np.broadcast_arrays(ids & 0xFFFFFFFF, ids >> 32, steps, block)
        key = np.array([self.seed & 0xFFFFFFFF, self.seed >> 32], dtype=np.uint32)
        bits = philox(np.stack(words, axis=-1).astype(np.uint32), key)
        return bits.reshape(len(ids), blocks * 4)[:, :size]

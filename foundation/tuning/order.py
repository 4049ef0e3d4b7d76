"""Which rows make up batch n: a function of seed and sizes alone, so that a restart goes on."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

POOL = 64


class Order:
    """Batches of like length, each row once an epoch.

    sizes: a length for each row. The epoch's permutation is cut into pools of `POOL` batches; rows
    are sorted by size inside a pool, and the pool's batches shuffled, so that padding is small and
    the order stays random. Rows that do not fill the last batch wait for another epoch's shuffle.
    """

    def __init__(
        self, sizes: "Sequence[int] | NDArray[np.integer[Any]]", batch: int, seed: int
    ) -> None:
        import numpy as np

        self.sizes = np.asarray(sizes)
        self.batch = min(batch, len(self.sizes))
        self.seed = seed
        self.per_epoch = len(self.sizes) // self.batch

    def batches(self, start: int = 0) -> "Iterator[NDArray[np.int64]]":
        """Row numbers of batch `start`, `start` + 1 and on, without end."""
        epoch, skip = divmod(start, self.per_epoch)
        while True:
            yield from self._epoch(epoch)[skip:]
            epoch, skip = epoch + 1, 0

    def _epoch(self, epoch: int) -> "NDArray[np.int64]":
        import numpy as np

        key = np.array([self.seed, epoch], dtype=np.uint64)
        random = np.random.Generator(np.random.Philox(key=key))
        rows = random.permutation(len(self.sizes))[: self.per_epoch * self.batch]
        pools = []
        for first in range(0, len(rows), POOL * self.batch):
            pool = rows[first : first + POOL * self.batch]
            pool = pool[np.argsort(self.sizes[pool], kind="stable")].reshape(-1, self.batch)
            pools.append(pool[random.permutation(len(pool))])
        return np.concatenate(pools)

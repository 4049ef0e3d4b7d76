"""Rows of windows: gathered as vectors come, kept on the disk, blended where they overlap."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.domains.geospatial.grid import Span, weights
from foundation.durable import replacing


@dataclass(frozen=True)
class Strip:
    """One row of windows. vectors: float16 [patches down, patches across, units], NaN for none.

    windows: a row each, top, bottom, left and right of what is theirs, in pixels; pooled: their
    vectors; valid: the share of their pixels that are.
    """

    vectors: NDArray[np.float16]
    windows: NDArray[np.int32]
    pooled: NDArray[np.float32]
    valid: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write it whole or not at all; patches without a vector take no room."""
        there, seen = np.isfinite(self.vectors[..., 0]), np.isfinite(self.pooled[:, 0])
        with replacing(path) as part, part.open("wb") as file:
            np.savez(
                file,
                there=np.packbits(there),
                vectors=self.vectors[there],
                seen=seen,
                pooled=self.pooled[seen],
                windows=self.windows,
                valid=self.valid,
                shape=self.vectors.shape,
            )

    @classmethod
    def read(cls, path: Path) -> "Strip":
        """What `save` wrote."""
        with np.load(path) as file:
            down, across, units = file["shape"].tolist()
            bits = np.unpackbits(file["there"], count=down * across)
            vectors = np.full((down, across, units), np.nan, np.float16)
            vectors[bits.reshape(down, across) > 0] = file["vectors"]
            seen = file["seen"]
            pooled = np.full((len(seen), file["pooled"].shape[1]), np.nan, np.float32)
            pooled[seen] = file["pooled"]
            return cls(vectors, file["windows"], pooled, file["valid"])


@dataclass
class OpenStrip:
    """A row of windows whose vectors are still coming; each reaches over all patches it sees.

    sums and counts: of the weighted vectors of each patch, and of the weights.
    """

    sums: NDArray[np.float32]
    counts: NDArray[np.float32]
    windows: NDArray[np.int32]
    pooled: NDArray[np.float32]
    valid: NDArray[np.float32]
    asked: int = 0
    complete: bool = False
    masks: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def add(self, start: int, patches: NDArray[np.float32], share: NDArray[np.float32]) -> None:
        """Take patches [down, across, units] from column `start` on, as much as `share` says."""
        down, columns = self.counts.shape
        inside = slice(start, min(start + patches.shape[1], columns))
        width = inside.stop - inside.start
        share = share[:down, :width]
        self.counts[:, inside] += share
        self.sums[:, inside] += patches[:down, :width] * share[..., None]

    def closed(self) -> Strip:
        """The weighted means of what came."""
        vectors = _means(self.sums, self.counts)
        return Strip(vectors, self.windows, self.pooled, self.valid)


def blended(
    rows: Sequence[Span], window: int, count: int, strip: Callable[[int], Strip]
) -> Iterator[Strip]:
    """Each row of windows with the patches that are its own, of `count` in all, from the top.

    strip: the row of windows by number, with all the patches that it sees. Where rows overlap,
    their vectors are weighted means.
    """
    waiting: deque[tuple[Span, Strip]] = deque()
    ahead = 0
    for number, row in enumerate(rows):
        while ahead < len(rows) and rows[ahead].start < row.last:
            waiting.append((rows[ahead], strip(ahead)))
            ahead += 1
        while waiting[0][0].start + window <= row.first:
            waiting.popleft()
        own = next(one for span, one in waiting if span is rows[number])
        yield replace(own, vectors=_mean(row, waiting, window, count))


def _mean(
    row: Span, waiting: Sequence[tuple[Span, Strip]], window: int, count: int
) -> NDArray[np.float16]:
    """The patches from `row.first` to `row.last` of all rows of windows that see them."""
    _, across, units = waiting[0][1].vectors.shape
    sums = np.zeros((row.last - row.first, across, units), np.float32)
    counts = np.zeros((row.last - row.first, across), np.float32)
    for span, strip in waiting:
        low, high = max(row.first, span.start), min(row.last, span.start + len(strip.vectors))
        if low >= high:
            continue
        seen = strip.vectors[low - span.start : high - span.start].astype(np.float32)
        share = weights(span.start, window, count)[low - span.start : high - span.start, None]
        share = share * np.isfinite(seen[..., 0])
        counts[low - row.first : high - row.first] += share
        sums[low - row.first : high - row.first] += np.nan_to_num(seen) * share[..., None]
    return _means(sums, counts)


def _means(sums: NDArray[np.float32], counts: NDArray[np.float32]) -> NDArray[np.float16]:
    """NaN where nothing was counted; in torch, as numpy takes ten times as long to half floats."""
    import torch

    found = torch.from_numpy(sums) / torch.from_numpy(counts)[..., None]
    halves: NDArray[np.float16] = found.half().numpy()
    return halves

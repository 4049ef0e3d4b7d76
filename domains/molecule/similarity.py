"""Tanimoto similarities between many fingerprints at once, exact.

A fingerprint is 1024 bits packed in 128 bytes. The bits two molecules share are counted by a
matrix product of zeros and ones.
"""

import functools
import time

import numpy as np
import torch
from numpy.typing import NDArray

BITS = 1024
_ROWS = 2048
# bfloat16 has 8 significant bits: it holds every count up to 256 and not 257.
_LARGEST_IN_BFLOAT16 = 256


def nearest(found: NDArray[np.uint8], reference: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The largest similarity of each found molecule to any reference, [found] in 0..1.

    found: [found, 128]; reference: [reference, 128], at least one. Two empty fingerprints have
    similarity 1. Among references of one size the nearest is the one with the most shared bits,
    so that only these are kept.
    """
    sizes, reference_sizes = _sizes(found), _sizes(reference)
    kind = _kind(int(reference_sizes.max()))
    bits = _unpacked(found, kind)
    best = np.zeros(len(found))
    for size in np.unique(reference_sizes):
        group = _unpacked(reference[reference_sizes == size], kind).T
        shared = torch.cat([(rows @ group).amax(1) for rows in torch.split(bits, _ROWS)])
        best = np.maximum(best, _tanimoto(shared.double().numpy(), sizes, size))
    return best


def internal_diversity(found: NDArray[np.uint8]) -> tuple[float, float]:
    """IntDiv and IntDiv2 of [found, 128], in 0..1: 1 - (mean of similarity**p)**(1/p).

    As in molsets, each molecule is paired with every one, itself among them, and for p = 2 the
    root is taken of each molecule's own mean.
    """
    sizes = _sizes(found)
    kind = _kind(int(sizes.max()))
    bits = _unpacked(found, kind)
    all_sizes = torch.from_numpy(sizes).float()
    means, roots = [], []
    for rows, own in zip(
        *(torch.split(each, _ROWS // 4) for each in (bits, all_sizes)), strict=True
    ):
        shared = (rows @ bits.T).float()
        similarity = shared.div_(own[:, None] + all_sizes - shared).nan_to_num_(1.0)
        means.append(similarity.mean(1).double())
        roots.append(similarity.square_().mean(1).double().sqrt())
    return 1 - float(torch.cat(means).mean()), 1 - float(torch.cat(roots).mean())


def _sizes(packed: NDArray[np.uint8]) -> NDArray[np.int64]:
    sizes: NDArray[np.int64] = np.bitwise_count(packed).sum(axis=1, dtype=np.int64)
    return sizes


def _unpacked(packed: NDArray[np.uint8], kind: torch.dtype) -> torch.Tensor:
    return torch.from_numpy(np.unpackbits(packed, axis=1)).to(kind)


def _tanimoto(
    shared: NDArray[np.float64], sizes: NDArray[np.int64], other: np.int64
) -> NDArray[np.float64]:
    union = sizes + other - shared
    return np.divide(shared, union, out=np.ones_like(shared), where=union > 0)


def _kind(largest: int) -> torch.dtype:
    """The faster type in which counts up to `largest` are exact."""
    if largest <= _LARGEST_IN_BFLOAT16 and _bfloat16_is_faster():
        return torch.bfloat16
    return torch.float32


@functools.cache
def _bfloat16_is_faster() -> bool:
    def seconds(kind: torch.dtype) -> float:
        rows = torch.ones(1024, BITS, dtype=kind)
        times = []
        for _ in range(3):
            started = time.perf_counter()
            rows @ rows.T
            times.append(time.perf_counter() - started)
        return min(times)

    return seconds(torch.bfloat16) < seconds(torch.float32)

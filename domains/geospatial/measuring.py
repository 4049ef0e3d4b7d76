"""Figures with intervals: bootstrap over places or chips, paired against the baselines."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLED = 1000


def interval(values: NDArray[Any], seed: int) -> dict[str, float]:
    """Mean of values and its 95 % interval, by resampling them (Efron 1979)."""
    random = np.random.default_rng(seed)
    values = np.asarray(values, np.float64)
    picks = random.integers(0, len(values), (RESAMPLED, len(values)))
    low, high = np.percentile(values[picks].mean(1), [2.5, 97.5])
    return {"mean": float(values.mean()), "low": float(low), "high": float(high)}


def clustered(values: NDArray[Any], groups: NDArray[Any], seed: int) -> dict[str, float]:
    """Mean of values and its 95 % interval, by resampling whole groups of them."""
    names, where = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(where, np.asarray(values, np.float64)), np.bincount(where)
    random = np.random.default_rng(seed)
    picks = random.integers(0, len(names), (RESAMPLED, len(names)))
    low, high = np.percentile(sums[picks].sum(1) / counts[picks].sum(1), [2.5, 97.5])
    return {"mean": float(np.mean(values)), "low": float(low), "high": float(high)}


def compared(measure: str, scores: Mapping[str, NDArray[Any]], seed: int) -> dict[str, Any]:
    """A score a place or chip for each method -> its figures, and what the model gains on each.

    scores: "model" and the baselines, each in the same order of places. The differences are paired,
    so that an interval above zero says that the model is better on these places.
    """
    found: dict[str, Any] = {}
    for name, values in scores.items():
        found[measure if name == "model" else f"{measure}.{name}"] = interval(values, seed)
        if name != "model":
            gain = np.asarray(scores["model"], np.float64) - values
            found[f"{measure}.gain_on_{name}"] = interval(gain, seed)
    return found


def ranks(queries: NDArray[Any], gallery: NDArray[Any]) -> NDArray[np.int64]:
    """For each query the place, from 1, of the gallery row of its own number, by cosine.

    Both are centred first: what all windows of a date share tells none from another. Ties count
    against the query.
    """
    queries, gallery = (_unit(x - x.mean(0)) for x in (queries, gallery))
    alike = queries @ gallery.T
    own = np.diag(alike)[:, None]
    placed: NDArray[np.int64] = (alike >= own).sum(1)
    return placed


def distances(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    """1 - cosine of rows, each set centred."""
    one, other = (_unit(x - x.mean(0)) for x in (one, other))
    apart: NDArray[np.float64] = 1 - (one * other).sum(-1)
    return apart


def better_than(scores: NDArray[Any], changed: NDArray[np.bool_]) -> NDArray[np.float64]:
    """For each changed row the share of unchanged ones that score lower; their mean is the AUC."""
    same = scores[~changed]
    higher = scores[changed][:, None]
    share: NDArray[np.float64] = (same < higher).mean(1) + 0.5 * (same == higher).mean(1)
    return share


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    rows = np.asarray(rows, np.float64)
    unit: NDArray[np.float64] = rows / np.maximum(
        np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12
    )
    return unit

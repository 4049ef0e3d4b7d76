"""`task=probe`: a classifier from a few labelled places of a scene, judged in spatial blocks."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.adapter import Output
from foundation.domains.geospatial import classmap, features, points
from foundation.domains.geospatial.facts import Facts
from foundation.domains.geospatial.head import FILE, Head
from foundation.domains.geospatial.inputs import Probe
from foundation.domains.geospatial.measuring import clustered
from foundation.domains.geospatial.outputs import named
from foundation.domains.geospatial.parts import OfScene, RasterParts
from foundation.domains.geospatial.probing import fitted, linear, neighbours
from foundation.errors import RequestError

COLUMNS = ("class", "label", "name")
WINDOWS = 4  # a block's side, unless the user says


@dataclass(frozen=True)
class Samples:
    """Labelled patches: rows, columns, and classes by number."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


class Probing(OfScene):
    """One scene, and the places on it whose classes are known."""

    def __init__(self, request: Probe, parts: RasterParts) -> None:
        super().__init__(parts)
        self.request = request

    def join(self) -> Output:
        """The cross-validated accuracy, the map, and the head that task=segment takes."""
        found, parts = self.parts.summary(), self.parts
        if found.reason is not None:
            return found
        try:
            samples = labelled(parts.facts, self.request, parts.name)
            vectors, samples = self._vectors(samples)
            blocks = _blocks(samples, parts.facts, self.request, parts.side)
            folds = _folds(blocks, self.request.folds)
        except RequestError as error:
            return Output(None, str(error), found.extra, refused=True)
        extra = {**found.extra, **_judged(vectors, samples, folds, blocks, self.request.method)}
        if parts.sink is None:
            return replace(found, extra=extra)
        rows = (self._likely(strip.vectors, vectors, samples) for strip in parts.strips())
        if self.request.method == "linear":
            head = Head(samples.classes, fitted(_t(vectors), _t(samples.labels)))
            head.save(parts.sink / FILE)
            rows = (head.probabilities(strip.vectors) for strip in parts.strips())
        classmap.write(parts.sink, parts.facts, rows, samples.classes)
        return replace(found, value=named("classes.tif", int(parts.sink.name)), extra=extra)

    def _vectors(self, samples: Samples) -> tuple[NDArray[np.float32], Samples]:
        """The vectors of the labelled patches that have one."""
        found = np.full((len(samples.labels), self.parts.units.patch), np.nan, np.float32)
        top = 0
        for strip in self.parts.strips():
            inside = (samples.rows >= top) & (samples.rows < top + len(strip.vectors))
            found[inside] = strip.vectors[samples.rows[inside] - top, samples.columns[inside]]
            top += len(strip.vectors)
        there = np.isfinite(found[:, 0])
        kept = replace(
            samples,
            rows=samples.rows[there],
            columns=samples.columns[there],
            labels=samples.labels[there],
        )
        if len(np.unique(kept.labels)) < 2:
            raise RequestError(
                f"{Path(self.request.labels).name}: {len(kept.labels)} labelled patches of fewer "
                "than 2 classes lie on valid ground of the scene"
            )
        return found[there], kept

    def _likely(
        self, patches: NDArray[Any], vectors: NDArray[np.float32], samples: Samples
    ) -> NDArray[np.float32]:
        """Votes of the nearest labelled patches as 0 or 1, NaN for none."""
        flat = patches.reshape(-1, patches.shape[-1]).astype(np.float32)
        there = np.isfinite(flat[:, 0])
        found = np.full((len(flat), len(samples.classes)), np.nan, np.float32)
        if there.any():
            told = neighbours(_t(vectors), _t(samples.labels), _t(flat[there])).numpy()
            found[there] = np.eye(len(samples.classes), dtype=np.float32)[told]
        return found.reshape(*patches.shape[:2], -1)


def labelled(facts: Facts, request: Probe, scene: str) -> Samples:
    """The patches that points lie in, and whose middles lie in polygons."""
    from rasterio.features import rasterize

    points.check(facts, scene)
    wanted = COLUMNS if request.label is None else (request.label,)
    found = features.read(Path(request.labels).expanduser(), facts.crs, wanted)
    names = [None if value is None else str(value) for value in found.values]
    classes = tuple(sorted({name for name in names if name is not None}))
    if len(classes) > classmap.NONE - 1:
        raise RequestError(f"{Path(request.labels).name} has {len(classes)} classes; 254 at most")
    burnt = np.full((facts.rows, facts.columns), -1, np.int16)
    for shape, name in zip(found.shapes, names, strict=True):
        if shape is None or name is None:
            continue
        number = classes.index(name)
        place = points.patch(facts, shape)
        if shape.geom_type in ("Polygon", "MultiPolygon"):
            rasterize([(shape, number)], out=burnt, transform=facts.transform)
        if place is not None and burnt[place] < 0:
            burnt[place] = number
    rows, columns = np.nonzero(burnt >= 0)
    return Samples(rows, columns, burnt[rows, columns].astype(np.int64), classes)


def _blocks(samples: Samples, facts: Facts, request: Probe, side: int) -> NDArray[np.int64]:
    """Of each patch the square of ground it lies in, by number."""
    patch = facts.distance * facts.height / facts.rows
    metres = request.block or WINDOWS * side * facts.distance
    size = max(1, round(metres / patch))
    return samples.rows // size * (facts.columns // size + 1) + samples.columns // size


def _folds(blocks: NDArray[np.int64], folds: int) -> NDArray[np.int64]:
    """Of each patch its fold: whole blocks, the largest first to the emptiest fold."""
    names, where, counts = np.unique(blocks, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise RequestError(
            "all labels lie in one block, so nothing can be held out: give a smaller task.block"
        )
    filled = np.zeros(min(folds, len(names)), np.int64)
    fold = np.zeros(len(names), np.int64)
    for name in np.argsort(-counts, kind="stable"):
        fold[name] = filled.argmin()
        filled[fold[name]] += counts[name]
    found: NDArray[np.int64] = fold[where]
    return found


def _judged(
    vectors: NDArray[np.float32],
    samples: Samples,
    folds: NDArray[np.int64],
    blocks: NDArray[np.int64],
    method: str,
) -> dict[str, Any]:
    """Accuracy on blocks that were held out, its 95 % interval over blocks, and the commonest
    class's, told in the same folds."""
    told, plain = (np.full(len(folds), -1) for _ in range(2))
    for fold in np.unique(folds):
        out = folds == fold
        shown, labels = _t(vectors[~out]), _t(samples.labels[~out])
        tell = linear if method == "linear" else neighbours
        told[out] = tell(shown, labels, _t(vectors[out])).numpy()
        plain[out] = np.bincount(samples.labels[~out]).argmax()
    right = told == samples.labels
    spread = clustered(right, blocks, 0)
    return {
        "classes": list(samples.classes),
        "labelled": len(folds),
        "blocks": len(np.unique(blocks)),
        "accuracy": spread["mean"],
        "accuracy_low": spread["low"],
        "accuracy_high": spread["high"],
        "accuracy_commonest": float((plain == samples.labels).mean()),
    }


def _t(values: NDArray[Any]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values))

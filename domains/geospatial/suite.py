"""`suite=geo`: what embeddings are worth, every measure beside three baselines in the same folds.

    land_cover          EuroSAT, trained on its training chips, judged on those that lie elsewhere
    place_recognition   windows of one year found again in another
    change              windows swapped in from another place, told by how far two dates lie apart
    land_use            the land cover of patches, each place judged by the others
    land_use_blocks     the land use of patches of one place, in squares that are held out whole

The data lie below FOUNDATION_DATA/rasters; none of the places was pretrained on. The pixel series
of presto_ts are not among the measures: a model of windows without dates has nothing to see in one
pixel, and the models here that take dates (Prithvi) take windows of 224 pixels.
"""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from foundation.domains.geospatial import sensors
from foundation.domains.geospatial.adapter import SIDE
from foundation.domains.geospatial.baselines import Embedder, all_of, embedded, wholes
from foundation.domains.geospatial.collection import data_folder
from foundation.domains.geospatial.intake import STARTER
from foundation.domains.geospatial.measuring import better_than, compared, distances, ranks
from foundation.domains.geospatial.parts import Part
from foundation.domains.geospatial.probing import linear, neighbours
from foundation.domains.geospatial.reading import Question, opened
from foundation.errors import InputError
from foundation.model import Model

LEAST = 0.9  # share of valid pixels of a window that is compared


@dataclass(frozen=True)
class Window:
    """A window, and whether nearly all of it is valid."""

    part: Part
    there: bool


Scores = dict[str, NDArray[Any]]
FEW, DRAWS = 10, 5  # labels a class, and how often they are drawn


def run(
    model: Model,
    suite: Mapping[str, Any],
    folder: Path,
    seed: int,
    report: Callable[..., None],
) -> dict[str, Any]:
    """The measures named in the suite; see the module."""
    root = data_folder() / "rasters"
    if not root.is_dir():
        raise InputError(f"{root} is not there: set FOUNDATION_DATA to the folder of the data")
    if model.adapter.encoder.intake != STARTER:  # type: ignore[attr-defined]
        raise InputError("suite=geo measures models of any bands on windows of 64 pixels")
    embedders = all_of(model.adapter, seed)  # type: ignore[arg-type]
    found: dict[str, Any] = {}
    for done, name in enumerate(suite["measures"]):
        if name not in MEASURES:
            raise InputError(f"suite.measures: unknown measure '{name}', known: {list(MEASURES)}")
        found |= MEASURES[name](root, embedders, suite.get("limit"), seed)
        report(done + 1)
    return found


def land_cover(
    root: Path, embedders: Mapping[str, Embedder], limit: int | None, seed: int
) -> dict[str, Any]:
    """Share of EuroSAT's validation chips told right, with all labels and with FEW a class."""
    (train, classes), (test, truths) = (
        _chips(root / "eurosat_rgb" / name, limit) for name in ("train.zip", "val.zip")
    )
    known = sorted(set(classes))
    labels, truth = (torch.tensor([known.index(c) for c in names]) for names in (classes, truths))
    few = [_few(labels, seed + draw) for draw in range(DRAWS)]
    scores: dict[str, Scores] = {}
    for name, embedder in embedders.items():
        here, there = (torch.from_numpy(wholes(embedder, parts)) for parts in (train, test))
        told = {
            "knn5": [neighbours(here, labels, there)],
            "linear": [linear(here, labels, there)],
            f"knn5_{FEW}_labels": [neighbours(here[p], labels[p], there) for p in few],
            f"linear_{FEW}_labels": [linear(here[p], labels[p], there, [1e-2]) for p in few],
        }
        for kind, answers in told.items():
            right = torch.stack([answer == truth for answer in answers]).float().mean(0)
            scores.setdefault(f"land_cover.{kind}", {})[name] = right.numpy()
    return _all_compared(scores, seed)


def place_recognition(
    root: Path, embedders: Mapping[str, Embedder], limit: int | None, seed: int
) -> dict[str, Any]:
    """Recall at 1 and reciprocal rank of windows among those of another year, or product."""
    scores: dict[str, Scores] = {}
    for pair, (one, other) in _pairs(root, limit).items():
        methods = {**embedders, "pixel_correlation": _pixels}
        for name, embedder in methods.items():
            placed = ranks(wholes(embedder, one), wholes(embedder, other))
            measure = f"place_recognition.{pair}"
            scores.setdefault(f"{measure}.recall_1", {})[name] = (placed == 1).astype(float)
            scores.setdefault(f"{measure}.reciprocal_rank", {})[name] = 1 / placed
        chance = np.full(len(one), 1 / len(one))
        scores[f"place_recognition.{pair}.recall_1"]["chance"] = chance
    return _all_compared(scores, seed)


def change(
    root: Path, embedders: Mapping[str, Embedder], limit: int | None, seed: int
) -> dict[str, Any]:
    """Area under the ROC curve of telling windows swapped in from elsewhere, half of them."""
    scores: dict[str, Scores] = {}
    for pair, (one, other) in _pairs(root, limit).items():
        order = np.random.default_rng(seed).permutation(len(one))
        swapped = order[: len(order) // 2]
        later = list(other)
        for place, source in zip(swapped, np.roll(swapped, 1), strict=True):
            later[place] = other[source]
        changed = np.isin(np.arange(len(one)), swapped)
        for name, embedder in {**embedders, "band_difference": _pixels}.items():
            before, after = wholes(embedder, one), wholes(embedder, later)
            apart = distances(before, after)
            if name == "band_difference":
                apart = np.abs(before - after).mean(1)
            scores.setdefault(f"change.{pair}.auc", {})[name] = better_than(apart, changed)
    return _all_compared(scores, seed)


def land_use(
    root: Path, embedders: Mapping[str, Embedder], limit: int | None, seed: int
) -> dict[str, Any]:
    """Share of patches whose commonest land cover is told right, each of 5 places by the others.

    The interval is over windows of the places; the labels are machine-made.
    """
    folder = root / "s1s2_terramind"
    places = sorted((folder / "S2L2A").glob("*.tif"))
    windows = [_windows(path, names=L2A, offset=_offset(path)) for path in places]
    labels = [_labels(folder / "LULC" / path.name) for path in places]
    scores: Scores = {}
    for name, embedder in embedders.items():
        patches = [embedded(embedder, [w.part for w in place])[1] for place in windows]
        right = []
        for number in range(len(places)):
            rest = [n for n in range(len(places)) if n != number]
            train = np.concatenate([patches[n].reshape(-1, patches[n].shape[-1]) for n in rest])
            known = np.concatenate([labels[n].reshape(-1) for n in rest])
            test = patches[number].reshape(-1, train.shape[1])
            shown, answers, asked = (torch.from_numpy(x) for x in (train, known, test))
            told = linear(shown, answers, asked, [1e-2]).numpy()
            hit = (told == labels[number].reshape(-1)).reshape(len(windows[number]), -1)
            right.append(hit.mean(1))
        scores[name] = np.concatenate(right)
    return _all_compared({"land_use.accuracy": scores}, seed)


def land_use_blocks(
    root: Path, embedders: Mapping[str, Embedder], limit: int | None, seed: int
) -> dict[str, Any]:
    """Balanced accuracy of a place's patches, told from those of other squares of 240 m.

    The vectors of 5 dates are joined. A class counts as much as another; the interval is over
    squares.
    """
    folder = root / "s2_eolearn"
    scenes = np.load(folder / "REFERENCE_SCENES.npy").transpose(0, 3, 1, 2)
    classes = np.load(folder / "LULC.npy")[..., 0].astype(np.int64)
    bands = sensors.named("sentinel-2").bands
    waves, (rows, columns) = tuple(band.wavelength for band in bands), (12, 12)
    cells = classes[: 8 * rows, : 8 * columns].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    labels = np.array([np.bincount(cell).argmax() for cell in cells.reshape(-1, 64)])
    square = np.arange(rows)[:, None] // 3 * 4 + np.arange(columns) // 3
    square, fold = square.ravel(), (square // 4 + square % 4).ravel() % 4
    weight = len(labels) / (len(np.unique(labels)) * np.bincount(labels)[labels])
    scores: Scores = {}
    for name, embedder in embedders.items():
        dates = []
        for scene in scenes:
            values = sensors.standardised(scene, bands)
            parts = [Part(np.ascontiguousarray(values[:, top : top + SIDE, left : left + SIDE]),
                          waves, 10.0) for top in (0, 32) for left in (0, 32)]  # fmt: skip
            each = embedded(embedder, parts)[1]
            upper, lower = (np.concatenate([each[n][:, :6], each[n + 1][:, 2:]], 1) for n in (0, 2))
            dates.append(np.concatenate([upper[:6], lower[2:]]).reshape(rows * columns, -1))
        vectors, told = torch.from_numpy(np.concatenate(dates, 1)), np.zeros(len(labels), np.int64)
        for number in range(4):
            out = torch.from_numpy(fold == number)
            shown, answers = vectors[~out], torch.from_numpy(labels)[~out]
            told[out.numpy()] = linear(shown, answers, vectors[out], [1e-2]).numpy()
        right = weight * (told == labels)
        scores[name] = np.array([right[square == one].mean() for one in np.unique(square)])
    return _all_compared({"land_use_blocks.balanced_accuracy": scores}, seed)


MEASURES = {
    "land_cover": land_cover,
    "place_recognition": place_recognition,
    "change": change,
    "land_use": land_use,
    "land_use_blocks": land_use_blocks,
}
L2A = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12")
L1C = (*L2A[:10], None, *L2A[10:])  # the cirrus band is not in L2A
WITH_OFFSET = {
    "S2L1C": ("282D_485L_3_3", "433D_629L_3_1", "609U_541L_3_0"),
    "S2L2A": ("433D_629L_3_1",),
}
"""Products of s1s2_terramind that carry the +1000 of baseline 04.00, by their smallest values."""


def _offset(path: Path) -> float:
    return -1000.0 if path.stem in WITH_OFFSET[path.parent.name] else 0.0


def _pairs(root: Path, limit: int | None) -> dict[str, tuple[list[Part], list[Part]]]:
    """Windows of the same ground twice, in the same order."""
    naip = root / "naip_opengeos"
    bands = {"landsat": ("swir16", "nir", "red", "green"), "naip": ("red", "green", "blue", "nir")}
    found = {
        "naip_2009_2020": [
            _windows(naip / f"m_4709963_se_14_1_{day}.tif", "naip", bands["naip"])
            for day in ("20090818", "20200831")
        ],
        "landsat_1985_2020": [
            _windows(naip / f"{year}.tif", "landsat-7-dn", bands["landsat"])
            for year in (1985, 2020)
        ],
        "l1c_l2a": [
            [
                part
                for path in sorted((root / "s1s2_terramind" / product).glob("*.tif"))
                for part in _windows(path, names=names, offset=_offset(path))
            ]
            for product, names in (("S2L1C", L1C), ("S2L2A", L2A))
        ],
    }
    return {name: _both_there(one, other, limit) for name, (one, other) in found.items()}


def _both_there(
    one: Sequence[Window], other: Sequence[Window], limit: int | None
) -> tuple[list[Part], list[Part]]:
    pairs = [(a, b) for a, b in zip(one, other, strict=False) if a.there and b.there]
    pairs = pairs[:: max(1, len(pairs) // limit)][:limit] if limit else pairs
    return [a.part for a, _ in pairs], [b.part for _, b in pairs]


def _windows(
    path: Path,
    sensor: str = "sentinel-2",
    names: Sequence[str | None] | None = None,
    offset: float | None = None,
) -> list[Window]:
    """The windows of a raster that lie side by side and whole inside it."""
    found = []
    with opened(Question(str(path), sensor, names, None, offset)) as raster:
        for top in range(0, raster.height - SIDE + 1, SIDE):
            for left in range(0, raster.width - SIDE + 1, SIDE):
                pixels, valid = raster.read(top, top + SIDE, left, left + SIDE)
                part = Part(np.ascontiguousarray(pixels), raster.wavelengths, raster.distance)
                found.append(Window(part, bool(valid.mean() >= LEAST)))
    return found


def _labels(path: Path, patch: int = 8) -> NDArray[np.int64]:
    """The commonest class of each patch of the same windows [windows, patches]."""
    import rasterio

    with rasterio.open(path) as file:
        classes = file.read(1).astype(np.int64)
    found = []
    for top in range(0, classes.shape[0] - SIDE + 1, SIDE):
        for left in range(0, classes.shape[1] - SIDE + 1, SIDE):
            cut = classes[top : top + SIDE, left : left + SIDE]
            cells = cut.reshape(SIDE // patch, patch, SIDE // patch, patch).transpose(0, 2, 1, 3)
            found.append([np.bincount(cell).argmax() for cell in cells.reshape(-1, patch**2)])
    return np.array(found)


def _chips(path: Path, limit: int | None) -> tuple[list[Part], list[str]]:
    """The pictures of a zip and the folders they lie in, which are their classes."""
    with zipfile.ZipFile(path) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
    if limit:
        names = names[:: max(1, len(names) // limit)][:limit]
    parts = []
    for name in names:
        question = Question(f"/vsizip/{path.absolute()}/{name}", "picture", resolution=10.0)
        with opened(question) as raster:
            pixels, _ = raster.read(0, SIDE, 0, SIDE)
        parts.append(Part(pixels, raster.wavelengths, raster.distance))
    return parts, [name.split("/")[-2] for name in names]


def _few(labels: torch.Tensor, seed: int) -> torch.Tensor:
    """Places of FEW rows of each class, or of all it has."""
    dice = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=dice)
    return torch.cat([order[labels[order] == label][:FEW] for label in labels.unique()])


def _pixels(parts: Sequence[Part]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The pixels themselves, each band without its mean."""
    pixels = np.stack([part.pixels for part in parts])
    pixels = pixels - pixels.mean((2, 3), keepdims=True)
    return pixels.reshape(len(parts), -1), np.zeros((len(parts), 1, 1, 1), np.float32)


def _all_compared(scores: Mapping[str, Scores], seed: int) -> dict[str, Any]:
    return {k: v for name, each in scores.items() for k, v in compared(name, each, seed).items()}

"""Labelled chips as the trainer sees them: a head on the mean of a window's patches."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.tuning import difference_hash, lora
from foundation.tuning.leakage import Likeness
from foundation.tuning.told import Row, Told

if TYPE_CHECKING:
    import torch

    from foundation.model import Model

SIDE = 64
PICTURES = (".png", ".jpg", ".jpeg")
PICTURE = {"sensor": "picture", "bands": ["red", "green", "blue"], "resolution": 10.0}
"""How a picture without georeference is read, unless recipe.options says otherwise."""
CELL = 1000.0
"""Metres (or a hundredth of a degree) of the ground squares that are never parted."""


UNLABELLED = "no label: chips lie in folders named by class, or a table has the column label"


def read(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a folder or zip of chips in folders named by class, or of a table.

    A table has the columns `raster`, paths from the table's own folder, and `label`, which rows
    lack that are only told. `place` is where a chip lies on the ground, for a georeferenced one.
    """
    from foundation.domains.geospatial import files
    from foundation.tuning.data import records

    first: tuple[float, ...] | None = None
    labelled: bool | None = None

    def check(row: dict[str, Any]) -> str | None:
        nonlocal first, labelled
        labelled = row["label"] is not None if labelled is None else labelled
        if labelled and not (row["label"] or "").strip():
            return UNLABELLED
        try:
            waves, row["place"] = _looked_at(row["raster"])
        except InputError as error:
            return str(error)
        first = first or waves
        if waves != first:
            return f"{len(waves)} bands that are not those of the first chip, {len(first)}"
        return None

    if path.is_dir() or path.suffix.lower() == ".zip":
        if columns:
            raise InputError("task.columns is for tables: chips in folders have none")
        for number, found in enumerate(files.read(path), 1):
            name = str(found["raster"])
            row: dict[str, Any] = {"raster": name, "label": Path(name).parent.name, "place": None}
            error = check(row)
            yield {**row, "error": f"chip {number} ({Path(name).name}): {error}" if error else None}
        return
    fields = {"raster": ("raster", "file_name", "path"), "label": ("label", "class")}

    def inside(row: dict[str, Any]) -> str | None:
        row["raster"] = str(path.parent / row["raster"])
        return check(row)

    for row in records(path, fields, columns, "chips", None, inside):
        yield {"place": None, **row}


def _reading(raster: str, options: Mapping[str, Any]) -> dict[str, Any]:
    named = {name: options[name] for name in ("sensor", "bands", "resolution") if name in options}
    return named or (dict(PICTURE) if raster.lower().endswith(PICTURES) else {})


def _looked_at(raster: str) -> tuple[tuple[float, ...], str | None]:
    """A chip's wavelengths, and its bounds on the ground with their reference, as JSON."""
    from foundation.domains.geospatial.reading import Question, opened

    with opened(Question(raster, **_reading(raster, {}))) as found:
        waves = tuple(found.wavelengths)
        if found.transform is None or found.crs is None:
            return waves, None
        corners = [found.transform * at for at in ((0, 0), (found.width, found.height))]
        (left, right), (bottom, top) = (sorted(pair) for pair in zip(*corners, strict=True))
        return waves, json.dumps([str(found.crs), left, bottom, right, top])


def group(row: Row) -> str:
    """Chips of one square of the ground are never parted; others are their own.

    Those are told by folder and name: where the data lies does not change what is held out.
    """
    cells = list(_cells(row["place"])) if row.get("place") else []
    return str(cells[0]) if cells else "/".join(Path(str(row["raster"])).parts[-2:])


def placed(row: Row) -> bool:
    """Whether it is known where on the ground a chip lies."""
    return bool(row.get("place"))


def _cells(place: str) -> Iterable[tuple[str, int, int]]:
    """The ground squares that bounds lie in."""
    crs, left, bottom, right, top = json.loads(place)
    size = CELL if abs(left) > 360 or abs(top) > 360 else CELL / 100_000
    for across in range(int(left // size), int(right // size) + 1):
        for down in range(int(bottom // size), int(top // size) + 1):
            yield crs, across, down


def _overlap(one: str, other: str) -> float:
    """The share of the smaller one's ground that lies in the other; the same reference only."""
    (a, *first), (b, *second) = json.loads(one), json.loads(other)
    if a != b:
        return 0.0
    wide = min(first[2], second[2]) - max(first[0], second[0])
    high = min(first[3], second[3]) - max(first[1], second[1])
    if wide <= 0 or high <= 0:
        return 0.0
    areas = [(each[2] - each[0]) * (each[3] - each[1]) for each in (first, second)]
    return float(wide * high / min(areas))


def _seen(row: Row) -> int:
    """The difference hash of the middle of a chip."""
    import torch

    pixels, _, _ = window(str(row["raster"]), {})
    grey = torch.from_numpy(pixels.mean(0))[None, None]
    cells = torch.nn.functional.interpolate(grey, size=(8, 9), mode="area")[0, 0].numpy()
    return difference_hash.signature(cells)


LIKENESSES = (
    Likeness("overlap on the ground", lambda row: row["place"], _cells, _overlap, 0.05),
    Likeness(
        "the same picture (difference hash)", _seen, difference_hash.keys,
        difference_hash.likeness, difference_hash.NEAR,
    ),
)  # fmt: skip


def window(raster: str, options: Mapping[str, Any]) -> tuple[Any, tuple[float, ...], float]:
    """The middle of a chip: pixels [bands, SIDE, SIDE], wavelengths and metres a pixel."""
    from foundation.domains.geospatial.reading import Question, opened

    with opened(Question(raster, **_reading(raster, options))) as found:
        top, left = (max(0, length - SIDE) // 2 for length in (found.height, found.width))
        pixels, _ = found.read(top, top + SIDE, left, left + SIDE)
        return pixels.copy(), tuple(found.wavelengths), found.distance


def begin(start: Start) -> Tunable:
    """A head on the starter's vectors of chips, with LoRA or all weights where that is asked."""
    from foundation.domains.geospatial.training import read_network

    if not str(start.spec.options.get("encoder", "spectral:")).endswith(("SpectralEncoder", ":")):
        raise InputError(f"{start.spec.name} cannot be tuned yet: geospatial/starter can")
    if start.rows[0]["label"] is None:
        raise InputError(UNLABELLED)
    return ToldChips(start, read_network(start.folder))


class ToldChips(Told):
    """The starter's network, the mean of a window's patches, and a linear head."""

    together = 32

    def __init__(self, start: Start, network: "torch.nn.Module") -> None:
        super().__init__(start, network)
        self.lay(self.fresh("label", most=200))

    def item(self, row: Row) -> str:
        return str(row["raster"])

    def size(self, row: Row) -> int:
        return 1

    def batch(self, items: Sequence[str]) -> "dict[str, torch.Tensor]":
        """Windows [rows, bands, SIDE, SIDE], wavelengths and metres a pixel."""
        import torch

        found = [window(raster, self.start.options) for raster in items]
        return {
            "pixels": torch.stack([torch.from_numpy(pixels) for pixels, _, _ in found]),
            "bands": torch.tensor([waves for _, waves, _ in found]),
            "distance": torch.tensor([distance for _, _, distance in found]),
        }

    def encoded(self, batch: "dict[str, torch.Tensor]") -> "torch.Tensor":
        patches = self.network(batch["pixels"], batch["bands"], batch["distance"]).patches
        means: torch.Tensor = patches.float().mean((1, 2))
        return means

    def targets(self) -> Sequence[str]:
        return ("qkv", "out", "up", "down")

    def collate(
        self, rows: Sequence[Row], draws: Draws, augment: float
    ) -> "dict[str, torch.Tensor]":
        """A share `augment` of the windows is turned."""
        from foundation.domains.geospatial.views import sometimes, turned

        batch = super().collate(rows, draws, augment)
        if augment and "pixels" in batch:
            plain = batch["pixels"]
            batch["pixels"] = sometimes(turned(plain, draws), plain, draws, 1, augment)
        return batch

    def save(self, folder: Path) -> None:
        """Write the network, or peft's folder of LoRA, and the head that task=classify reads."""
        from foundation.domains.geospatial.head import FILE, Head
        from foundation.domains.geospatial.training import GeospatialTraining

        folder.mkdir(parents=True, exist_ok=True)
        if self.adapted is not None:
            lora.save(self.network, self.adapted, folder, self.start.spec.name)
        else:
            GeospatialTraining(self.network).save(folder)  # type: ignore[arg-type]
        weights = self.head.weights()
        Head.plain(self.labels, weights["weight"], weights["bias"]).save(folder / FILE)


def statistics(
    model: "Model", rows: Sequence[Row], asked: Sequence[Row], labels: Sequence[str]
) -> Any:
    """The sceptic's baseline: logistic regression on each band's mean, spread and percentiles."""
    import numpy as np

    from foundation.tuning.plain import told

    def described(some: Sequence[Row]) -> Any:
        found = []
        for row in some:
            pixels, _, _ = window(str(row["raster"]), {})
            bands = pixels.reshape(len(pixels), -1)
            low, high = np.percentile(bands, [10, 90], axis=1)
            found.append(np.concatenate([bands.mean(1), bands.std(1), low, high]))
        return np.stack(found).astype(np.float32)

    return told(described(rows), described(asked), rows, labels)

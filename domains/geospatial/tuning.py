"""Labelled chips as the trainer sees them: a head on the mean of a window's patches."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.tuning import lora
from foundation.tuning.heads import SAMPLE, Goal, Head
from foundation.tuning.leakage import Likeness

if TYPE_CHECKING:
    import torch

    from foundation.model import Model

SIDE = 64
PICTURES = (".png", ".jpg", ".jpeg")
PICTURE = {"sensor": "picture", "bands": ["red", "green", "blue"], "resolution": 10.0}
"""How a picture without georeference is read, unless recipe.options says otherwise."""
CELL = 1000.0
"""Metres (or a hundredth of a degree) of the ground squares that are never parted."""

Row = Mapping[str, Any]


def read(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a folder or zip of chips in folders named by class, or of a table.

    A table has the columns `raster`, paths from the table's own folder, and `label`. `place` is
    where a chip lies on the ground, for a georeferenced one.
    """
    from foundation.domains.geospatial import files
    from foundation.tuning.data import records

    first: tuple[float, ...] | None = None

    def check(row: dict[str, Any]) -> str | None:
        nonlocal first
        if not (row["label"] or "").strip():
            return "no label: chips lie in folders named by class, or a table has the column label"
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
    """Chips of one square of the ground are never parted; others are their own."""
    cells = list(_cells(row["place"])) if row.get("place") else []
    return str(cells[0]) if cells else str(row["raster"])


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
    """A difference hash (Krawetz 2013): which of 8 x 9 cells is brighter than the next."""
    import numpy as np
    import torch

    pixels, _, _ = window(str(row["raster"]), {})
    grey = torch.from_numpy(pixels.mean(0))[None, None]
    cells = torch.nn.functional.interpolate(grey, size=(8, 9), mode="area")[0, 0].numpy()
    bits = (cells[:, 1:] > cells[:, :-1]).ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def _bytes(bits: int) -> Iterable[tuple[int, int]]:
    """Two hashes that differ in fewer than 8 bits share one of their bytes."""
    return enumerate(bits.to_bytes(8, "big"))


LIKENESSES = (
    Likeness("overlap on the ground", lambda row: row["place"], _cells, _overlap, 0.05),
    Likeness(
        "the same picture (difference hash)", _seen, _bytes,
        lambda one, other: 1 - (one ^ other).bit_count() / 64, 1 - 4 / 64,
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
    return ToldChips(start, read_network(start.folder))


class ToldChips:
    """The starter's network, the mean of a window's patches, and a linear head."""

    def __init__(self, start: Start, network: "torch.nn.Module") -> None:
        import torch

        self.start, self.network, self.adapted = start, network, None
        self.goal = Goal.of(start.rows, "label")
        self.labels = self.goal.labels
        self._vectors: dict[str, torch.Tensor] = {}
        step = max(1, len(start.rows) // min(SAMPLE, 200))
        chosen = [row["raster"] for row in islice(start.rows, 0, None, step)]
        self.head = Head(self.goal, self._frozen(chosen))
        self.whole = torch.nn.ModuleDict({"base": self.network, "head": self.head.layer})

    def module(self) -> "torch.nn.Module":
        return self.head.layer if self.start.method == "head" else self.whole

    def base(self) -> "torch.nn.Module":
        return self.network

    def targets(self) -> Sequence[str]:
        return ("qkv", "out", "up", "down")

    def size(self, row: Row) -> int:
        return 1

    def wanted(self, row: Row) -> float:
        return self.goal.wanted(row)

    def collate(self, rows: Sequence[Row], draws: Draws, augment: float) -> Any:
        """Windows [rows, bands, SIDE, SIDE], a share of them turned; vectors where it is frozen."""
        import torch

        from foundation.domains.geospatial.head_training import _turned

        rasters = [str(row["raster"]) for row in rows]
        batch = {"targets": self.goal.tensor(rows)}
        if self.start.method == "head":
            return {**batch, "vectors": self._frozen(rasters)}
        found = self._windows(rasters)
        if augment:
            chosen = torch.from_numpy(draws.uniform(1) < augment)[:, None, None, None]
            turned = _turned(found["pixels"], draws)
            found["pixels"] = torch.where(chosen, turned, found["pixels"])
        return {**batch, **found}

    def loss(self, batch: Any) -> "tuple[torch.Tensor, int]":
        """Summed cross entropy, and the number of chips."""
        return self.goal.loss(self._given(batch), batch["targets"])

    def predict(self, batch: Any) -> "torch.Tensor":
        return self.goal.shown(self._given(batch))

    def save(self, folder: Path) -> None:
        """Write the network, or peft's folder of LoRA, and the head that task=classify reads."""
        import torch

        from foundation.domains.geospatial.head import FILE
        from foundation.domains.geospatial.head import Head as Classes
        from foundation.domains.geospatial.probing import Linear
        from foundation.domains.geospatial.training import GeospatialTraining

        folder.mkdir(parents=True, exist_ok=True)
        if self.adapted is not None:
            lora.save(self.network, self.adapted, folder, self.start.spec.name)
        else:
            GeospatialTraining(self.network).save(folder)  # type: ignore[arg-type]
        weights = self.head.weights()
        width = weights["weight"].shape[1]
        linear = Linear(
            torch.zeros(width), torch.ones(width), weights["weight"].T.contiguous(), weights["bias"]
        )
        Classes(self.labels, linear).save(folder / FILE)

    def _given(self, batch: Any) -> "torch.Tensor":
        return self.head(batch["vectors"] if "vectors" in batch else self._encoded(batch))

    def _encoded(self, batch: Any) -> "torch.Tensor":
        _, patches = self.network(batch["pixels"], batch["bands"], batch["distance"])
        means: torch.Tensor = patches.float().mean((1, 2))
        return means

    def _windows(self, rasters: Sequence[str]) -> "dict[str, torch.Tensor]":
        import torch

        found = [window(raster, self.start.options) for raster in rasters]
        return {
            "pixels": torch.stack([torch.from_numpy(pixels) for pixels, _, _ in found]),
            "bands": torch.tensor([waves for _, waves, _ in found]),
            "distance": torch.tensor([distance for _, _, distance in found]),
        }

    def _frozen(self, rasters: Sequence[str]) -> "torch.Tensor":
        """Vectors of the network as it is; each chip is read once."""
        import torch

        new = list(dict.fromkeys(name for name in rasters if name not in self._vectors))
        device = next(self.network.parameters()).device
        with torch.no_grad():
            for first in range(0, len(new), 32):
                some = new[first : first + 32]
                batch = {n: v.to(device) for n, v in self._windows(some).items()}
                self._vectors.update(zip(some, self._encoded(batch).cpu(), strict=True))
        return torch.stack([self._vectors[name] for name in rasters])


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

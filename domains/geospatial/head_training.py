"""A starter with a head of classes, as the trainer sees it: chips in folders named by class.

Rows are addresses of chips or scenes, of which a window is seen; a chip's class is its folder.
"""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from foundation.domains.geospatial.collection import SIDE
from foundation.domains.geospatial.head import FILE, Head
from foundation.domains.geospatial.network import SpectralTransformer
from foundation.domains.geospatial.reading import Question, opened
from foundation.domains.geospatial.training import GeospatialTraining, read_network
from foundation.domains.geospatial.views import lit
from foundation.draws import Draws
from foundation.errors import InputError, RequestError


class HeadTraining:
    """The mean of a window's patches' logits is its class's; so patches are classified as well."""

    def __init__(
        self, network: SpectralTransformer, classes: Sequence[str], reading: dict[str, Any]
    ) -> None:
        self.network, self.classes, self.reading = network, tuple(classes), reading
        self.head = nn.Linear(network.shape.width, len(self.classes))
        self.whole = nn.ModuleDict({"network": network, "head": self.head})

    @classmethod
    def begin(cls, rows: Sequence[str], shape: dict[str, Any], seed: int) -> "HeadTraining":
        """shape: model, the source of the weights to begin with; frozen, whether they stay; and
        how chips are read: sensor, bands, resolution."""
        from foundation import hub

        torch.manual_seed(seed)
        network = read_network(hub.resolve(str(shape.pop("model"))).path)
        network.requires_grad_(not shape.pop("frozen", False))
        classes = sorted({class_of(row) for row in rows})
        if len(classes) < 2:
            raise RequestError("task.data: chips must lie in folders named by at least 2 classes")
        return cls(network, classes, shape)

    def module(self) -> nn.Module:
        return self.whole

    def size(self, row: str) -> int:
        return 1

    def collate(self, rows: Sequence[str], draws: Draws, augment: float) -> dict[str, Tensor]:
        """A window of each row, a share `augment` of them turned, mirrored and in another light."""
        place = draws.uniform(0, (2,))
        found = [self._read(row, *place[n]) for n, row in enumerate(rows)]
        pixels = torch.stack([torch.from_numpy(values) for values, _, _ in found])
        bands = torch.tensor([waves for _, waves, _ in found])
        chosen = torch.from_numpy(draws.uniform(1) < augment)
        changed = lit(turned(pixels, draws), bands, draws, 3)
        for row in rows:
            if class_of(row) not in self.classes:
                raise InputError(f"{row}: no chip to train on is of class {class_of(row)}")
        return {
            "pixels": torch.where(chosen[:, None, None, None], changed, pixels),
            "bands": bands,
            "distance": torch.tensor([distance for _, _, distance in found]),
            "labels": torch.tensor([self.classes.index(class_of(row)) for row in rows]),
        }

    def _read(self, row: str, down: float, across: float) -> tuple[Any, tuple[float, ...], float]:
        """Pixels [bands, SIDE, SIDE], wavelengths and metres a pixel."""
        try:
            with opened(Question(row, **self.reading)) as raster:
                top = int(down * (max(0, raster.height - SIDE) + 1))
                left = int(across * (max(0, raster.width - SIDE) + 1))
                pixels, _ = raster.read(top, top + SIDE, left, left + SIDE)
                return pixels.copy(), raster.wavelengths, raster.distance
        except InputError as error:
            raise RequestError(f"{row} {error}") from error

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Summed cross entropy of the windows, and their number."""
        _, patches = self.network(batch["pixels"], batch["bands"], batch["distance"])
        logits = self.head(patches).mean((1, 2)).float()
        labels = batch["labels"]
        return functional.cross_entropy(logits, labels, reduction="sum"), len(labels)

    def targets(self) -> Sequence[str]:
        return ("qkv", "out", "up", "down")

    def save(self, folder: Path) -> None:
        """Write the network as `model.path=` loads it, and the head beside it."""
        GeospatialTraining(self.network).save(folder)
        weight, bias = self.head.weight.detach(), self.head.bias.detach()
        Head.plain(self.classes, weight, bias).save(folder / FILE)


def class_of(row: str) -> str:
    """The folder a chip lies in."""
    return PurePosixPath(row).parent.name


def turned(pixels: Tensor, draws: Draws) -> Tensor:
    """Each by a quarter turn of its own, half of them mirrored."""
    choice = draws.uniform(2, (2,))
    found = []
    for image, (quarter, flip) in zip(pixels, choice, strict=True):
        image = torch.rot90(image, int(4 * quarter), (1, 2))
        found.append(image.flip(2) if flip < 0.5 else image)
    return torch.stack(found)

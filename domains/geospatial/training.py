"""The starter as the trainer sees it.

Two views of one window agree as wholes: in their summaries where they differ as two days and angles
do, in their layouts where they lie on each other and differ as two years do. Their patches tell
what is in those not seen, and what they are in plain light. Patches are not compared: they would
all tell of their window.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from foundation.domains.geospatial import years
from foundation.domains.geospatial.collection import SIDE, Window
from foundation.domains.geospatial.network import (
    Block,
    Shape,
    SpectralTransformer,
    octaves,
    positions,
)
from foundation.domains.geospatial.views import SEEN, joined, view
from foundation.draws import Draws
from foundation.errors import SourceError

ARCHITECTURE = "spectral-transformer"
TEMPERATURE = 0.1
TOLD = 2.0  # weight of the patches that are told
LAID = 0.5  # weight of the layouts
YEARS = 4  # of as many windows one is also seen in two years


class Projector(nn.Sequential):
    """Pooled vectors -> where views are compared; thrown away afterwards (Chen et al. 2020)."""

    def __init__(self, width: int, hidden: int = 768, out: int = 128) -> None:
        super().__init__(
            nn.Linear(width, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, out),
        )


class Teller(nn.Module):
    """What was seen -> the pixels of the patches that were not, at any wavelengths.

    A shallow decoder of a masked autoencoder (He et al. 2022).
    """

    def __init__(self, shape: Shape, width: int = 128) -> None:
        super().__init__()
        self.shape = shape
        self.down = nn.Linear(shape.width, width)
        self.blank = nn.Parameter(torch.zeros(width))
        self.block = Block(Shape(width=width, heads=2, ratio=2))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, shape.spectra * shape.patch**2)
        self.own = nn.Linear(shape.width, shape.spectra * shape.patch**2)
        self.mix = nn.Sequential(nn.Linear(17, 64), nn.GELU(), nn.Linear(64, shape.spectra))

    def forward(self, seen: Tensor, bands: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Vectors of seen patches [rows, seen, width] and the places of all -> the seen ones
        themselves and the hidden ones [rows, seen + hidden, bands, pixels]."""
        known = self.down(seen)
        blank = self.blank.expand(len(seen), rows.shape[1] - seen.shape[1], -1)
        tokens = torch.cat([known, blank.to(known.dtype)], 1)
        tokens = self.block(tokens + positions(rows, columns, tokens.shape[2]))
        hidden = self.out(self.norm(tokens[:, seen.shape[1] :]))
        told = torch.cat([self.own(seen), hidden], 1)
        told = told.unflatten(2, (self.shape.spectra, -1))
        weights = self.mix(octaves(bands.clamp(min=300), 300, 3000)) / self.shape.spectra**0.5
        return torch.einsum("ntkp,nbk->ntbp", told, weights.to(told.dtype))


class GeospatialTraining:
    """Rows are windows of a collection; see `collection`."""

    def __init__(self, network: SpectralTransformer) -> None:
        self.network = network
        heads = {"project": Projector(network.shape.width), "tell": Teller(network.shape)}
        self.whole = nn.ModuleDict({"network": network, **heads})

    @classmethod
    def begin(
        cls, rows: Sequence[Window], shape: dict[str, Any], seed: int
    ) -> "GeospatialTraining":
        """A fresh network."""
        torch.manual_seed(seed)
        return cls(SpectralTransformer(Shape(**shape)))

    def module(self) -> nn.Module:
        return self.whole

    def size(self, row: Window) -> int:
        """Bands, so that a batch is of few sensors: those of another are told apart too easily."""
        return len(row.collection.scenes[row.collection.windows[row.number, 0]].wavelengths)

    def collate(self, rows: Sequence[Window], draws: Draws, augment: float) -> dict[str, Tensor]:
        """Two views of each row, the second ones after the first; see `views.view`. Of the first
        rows two more, in two years; see `years.pair`."""
        patch = self.network.shape.patch
        batch = joined([view(rows, draws, 16 * n, augment, patch) for n in range(2)])
        few = range(-(-len(rows) // YEARS))
        later = years.pair([rows[row] for row in few], draws.select(few), augment)
        places = [[id(row.collection) % 2**31, *row.collection.windows[row.number]] for row in rows]
        batch |= {f"years_{name}": value for name, value in later.items()}
        return {**batch, "places": torch.tensor(places)}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, int]:
        """Summed loss of the pairs, and their number."""
        rows, columns = batch["rows"], batch["columns"]
        whole, seen = self.network.tokens(
            batch["patches"][:, :SEEN],
            batch["bands"],
            batch["distance"],
            rows[:, :SEEN],
            columns[:, :SEEN],
        )
        agreed = _agreement(self.whole["project"](whole), batch["places"])
        found = self.network(*(batch[f"years_{name}"] for name in ("pixels", "bands", "distance")))
        laid = _agreement(found.layout, batch["places"][: len(found.layout) // 2])
        told = self.whole["tell"](seen, batch["bands"], rows, columns)
        known = torch.cat([batch["plain"], batch["patches"][:, SEEN:]], 1)
        there = (batch["bands"] > 0).float()[:, None]
        error = functional.smooth_l1_loss(told.float(), known.float(), reduction="none")
        missed = (error.mean(3) * there).sum(2) / there.sum(2)
        own, hidden = missed[:, :SEEN].mean(), missed[:, SEEN:].mean()
        pairs = len(batch["places"])
        return pairs * (agreed + LAID * laid + own + TOLD * hidden), pairs

    def targets(self) -> Sequence[str]:
        return ("qkv", "out", "up", "down")

    def save(self, folder: Path) -> None:
        """Write model.safetensors (bf16) and config.json."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        weights = {
            name: value.detach().to(torch.bfloat16).contiguous()
            for name, value in self.network.state_dict().items()
        }
        save_file(weights, str(folder / "model.safetensors"))
        config = {"architecture": ARCHITECTURE, **self.network.config()}
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def _agreement(vectors: Tensor, places: Tensor) -> Tensor:
    """Normalised temperature-scaled cross entropy (Chen et al. 2020), mean over views.

    vectors: first views, then second ones [2 pairs, units]. Windows that overlap are no negatives.
    """
    vectors = functional.normalize(vectors.float(), dim=1)
    logits = vectors @ vectors.T / TEMPERATURE
    pairs = len(places)
    apart = (places[:, None] - places[None]).abs()
    same = (apart[..., :2] == 0).all(-1) & (apart[..., 2:] < SIDE).all(-1)
    same = same.repeat(2, 2)
    place = torch.arange(2 * pairs, device=vectors.device)
    partner = (place + pairs) % (2 * pairs)
    same[place, partner] = False
    return functional.cross_entropy(logits.masked_fill(same, -1e4), partner)


def read_network(folder: Path) -> SpectralTransformer:
    """Read the network that `save` wrote; weights become float32."""
    from safetensors.torch import load_file

    config = json.loads((folder / "config.json").read_text())
    if config.pop("architecture", None) != ARCHITECTURE:
        raise SourceError(f"{folder}/config.json is not of a {ARCHITECTURE}")
    network = SpectralTransformer(Shape(**config))
    weights = load_file(str(folder / "model.safetensors"))
    network.load_state_dict({name: value.float() for name, value in weights.items()})
    return network


def read(folder: Path) -> GeospatialTraining:
    """Read what `save` wrote, to train on from there."""
    return GeospatialTraining(read_network(folder))

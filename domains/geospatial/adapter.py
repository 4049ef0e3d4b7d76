"""The starter behind the core's interface."""

from collections.abc import Hashable, Iterator, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Cost, Output, Parts, Placement
from foundation.draws import Draws
from foundation.errors import SourceError
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from foundation.domains.geospatial.network import SpectralTransformer
    from foundation.domains.geospatial.parts import Part

SIDE = 64
PASS = {"cpu": 16, "cuda": 256}
"""Windows of one pass; fewer are filled up, so that a window's vectors do not depend on others."""


class SpectralEmbedder:
    """A transformer over any bands: rasters of any size to a vector a patch, window and scene."""

    network: "SpectralTransformer"

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Four bytes a parameter, and a window's activations."""
        return Cost(weights=4 * (spec.parameters or 0), memory=2**20)

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        from foundation.domains.geospatial.training import read_network

        if placement.threads:
            torch.set_num_threads(placement.threads)
        try:
            network = read_network(folder)
        except SourceError:
            raise
        except Exception as error:  # a damaged config or other shapes
            reason = str(error).partition("\n")[0]
            raise SourceError(f"{folder} holds no model of this kind: {reason}") from error
        self.network = network.eval().to(placement.device)
        self._device, self._dtype = placement.device, getattr(torch, placement.dtype)
        self.width = network.shape.width

    def key(self, task: str, request: Any) -> Hashable:
        """Windows of as many bands may share a batch."""
        return len(getattr(request, "wavelengths", ()))

    def split(self, task: str, request: Any, sink: Path | None) -> Parts:
        from foundation.domains.geospatial.parts import RasterParts

        return RasterParts(request, sink, SIDE, self.network.shape.patch, self.width)

    def run(self, task: str, batch: "Sequence[Part]", draws: Draws) -> Iterator[tuple[int, Output]]:
        """Each window's vector, float32 [width], and its patches' [side / patch, side / patch,
        width]."""
        import torch

        size = PASS.get(torch.device(self._device).type, 16)
        for first in range(0, len(batch), size):
            some = batch[first : first + size]
            filled = [*some, *[some[0]] * (size - len(some))]
            wholes, patches = self._vectors(filled)
            for row in range(len(some)):
                yield first + row, Output((wholes[row], patches[row]))

    def _vectors(self, batch: "Sequence[Part]") -> "tuple[NDArray[Any], NDArray[Any]]":
        import numpy as np
        import torch

        pixels = torch.from_numpy(np.stack([part.pixels for part in batch]))
        bands = torch.tensor([part.wavelengths for part in batch])
        distance = torch.tensor([part.distance for part in batch])
        mixed = self._dtype != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(torch.device(self._device).type, self._dtype, enabled=mixed),
        ):
            found = self.network(*(x.to(self._device) for x in (pixels, bands, distance)))
            wholes, patches = (vectors.float().cpu().numpy() for vectors in found)
        return wholes, patches

    def with_network(self, network: "SpectralTransformer") -> "SpectralEmbedder":
        """The same place and precision with another network, to compare with."""
        other = copy(self)
        other.network = network.eval().to(self._device)
        return other

    def close(self) -> None:
        del self.network

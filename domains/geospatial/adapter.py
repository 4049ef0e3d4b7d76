"""Every geospatial model behind the core's interface: rasters of any size, windows to vectors."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from foundation.adapter import Cost, Output, Parts, Placement
from foundation.draws import Draws
from foundation.errors import RequestError, SourceError
from foundation.hub.facts import config
from foundation.registry import resolve
from foundation.spec import ModelSpec

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from foundation.domains.geospatial.head import Head
    from foundation.domains.geospatial.intake import Intake, Units
    from foundation.domains.geospatial.parts import Part

SIDE = 64
BANDS = 6
"""Of a raster, where a request does not tell."""
WIDTH = 192
"""Of the starter."""
WIDE = 20
"""Tensors of a block's states that are held at once, each as wide as the states, about."""
PASS = {"cpu": 16, "cuda": 256}
"""Windows of one pass; fewer are filled up, so that a window's vectors do not depend on others."""
STARTER = "foundation.domains.geospatial.spectral:SpectralEncoder"


class Encoder(Protocol):
    """An architecture: one file each, named by `options.encoder` of a model's YAML.

    module: what is moved to the device. intake: what it takes. units: how long its vectors are.
    """

    module: "torch.nn.Module"
    intake: "Intake"
    units: "Units"

    @classmethod
    def read(cls, folder: Path, options: Mapping[str, Any]) -> "Encoder":
        """From verified weights in a folder; SourceError where they are not of this kind."""
        ...

    def untrained(self, seed: int) -> "Encoder":
        """The same with fresh weights, to compare with."""
        ...

    def __call__(
        self, pixels: "torch.Tensor", batch: "Sequence[Part]"
    ) -> "tuple[torch.Tensor, torch.Tensor]":
        """Pixels of a batch of like windows [rows, bands, side, side] ([rows, dates, bands, ...])
        -> vectors [rows, units], and of patches [rows, side / patch, side / patch, units]."""
        ...


class RasterEmbedder:
    """Rasters of any size to a vector a patch, window and scene, and what is made of those."""

    encoder: Encoder

    @classmethod
    def cost(cls, spec: ModelSpec, request: Any = None) -> Cost:
        """Of one pass of windows, whose number is fixed, of windows that wait, and of writing."""
        from foundation.domains.geospatial.needs import writing
        from foundation.placement.geometry import mapped

        told = {"patch_size": 8, **spec.options, **config(spec)}
        side, dates = int(told.get("side", SIDE)), int(spec.options.get("dates", 1))
        width = int(told.get("width") or told.get("hidden_size") or WIDTH)
        patch = int(told.get("patch") or told["patch_size"])
        places = dates * (side // patch) ** 2
        parameters = spec.parameters or 0
        states = 4 * PASS["cpu"] * (places + 1) * width * WIDE
        mixed = 2 * parameters if spec.dtype == "bfloat16" else 0
        bands = len(spec.options.get("bands") or getattr(request, "bands", None) or ()) or BANDS
        waiting = 4 * dates * side**2 * bands + 4 * width * places
        work = 2.0 * parameters * places
        return Cost(
            weights=4 * parameters,
            mapped=mapped(spec),
            fixed=states + mixed + writing(request, patch, width),
            memory=waiting,
            work=work,
        )

    def load(self, spec: ModelSpec, folder: Path, placement: Placement) -> None:
        import torch

        if placement.threads:
            torch.set_num_threads(placement.threads)
        kind = resolve(str(spec.options.get("encoder", STARTER)))
        try:
            self.encoder = kind.read(folder, spec.options)
        except SourceError:
            raise
        except Exception as error:  # a damaged config or other shapes
            reason = str(error).partition("\n")[0]
            raise SourceError(f"{folder} holds no model of this kind: {reason}") from error
        self._name, self._folder = spec.name, folder
        if spec.deltas:
            from foundation.tuning.lora import local, merged

            self.encoder.module = merged(self.encoder.module, spec.deltas)
            self._folder = local(spec.deltas[-1])
        self._device, self._dtype = placement.device, getattr(torch, placement.dtype)
        self._place()

    @property
    def width(self) -> int:
        """Units of a window's and a scene's vector."""
        return self.encoder.units.window

    def key(self, task: str, request: Any) -> Hashable:
        """Windows of as many bands and dates, and alike in knowing their place, share batches."""
        if not hasattr(request, "wavelengths"):
            return None
        return len(request.wavelengths), len(request.days), request.place is None

    def split(self, task: str, request: Any, sink: Path | None) -> Parts:
        """The windows of a request's raster, and what is made of their vectors."""
        from foundation.domains.geospatial.change import Changing
        from foundation.domains.geospatial.embedding import Embedding
        from foundation.domains.geospatial.labelling import Labelling
        from foundation.domains.geospatial.parts import RasterParts
        from foundation.domains.geospatial.probe import Probing
        from foundation.domains.geospatial.search import Searching

        if task == "change":
            return Changing(request, sink, self.encoder.intake, self.encoder.units)
        parts = RasterParts(request, sink, self.encoder.intake, self.encoder.units)
        if task == "search":
            return Searching(request, parts, sink, self._name)
        if task == "probe":
            return Probing(request, parts)
        if task in ("segment", "classify"):
            return Labelling(parts, self._head(request.head), dense=task == "segment")
        return Embedding(request, parts)

    def _head(self, path: str | None) -> "Head":
        from foundation.domains.geospatial.head import FILE, Head

        file = self._folder / FILE if path is None else Path(path).expanduser()
        if not file.is_file():
            raise RequestError(
                f"{self._name} has no head of classes: give task.head=<head.safetensors of a "
                "task=probe>, or model.path= of what task=tune task.method=head made"
            )
        return Head.read(file, self.encoder.units.patch)

    def run(self, task: str, batch: "Sequence[Part]", draws: Draws) -> Iterator[tuple[int, Output]]:
        """Each window's vector, float32 [units], and its patches' [side / patch, side / patch,
        units]."""
        import torch

        size = PASS.get(torch.device(self._device).type, 16)
        for first in range(0, len(batch), size):
            some = batch[first : first + size]
            wholes, patches = self._vectors([*some, *[some[0]] * (size - len(some))])
            for row in range(len(some)):
                yield first + row, Output((wholes[row], patches[row]))

    def _vectors(self, batch: "Sequence[Part]") -> "tuple[NDArray[Any], NDArray[Any]]":
        import torch

        pixels = torch.empty(len(batch), *batch[0].pixels.shape, dtype=self._dtype)
        for row, part in zip(pixels, batch, strict=True):
            row.copy_(torch.from_numpy(part.pixels))
        pixels = pixels.to(self._device)
        mixed = self._dtype != torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(pixels.device.type, self._dtype, enabled=mixed),
        ):
            found = self.encoder(pixels, batch)
            wholes, patches = (vectors.float().cpu().numpy() for vectors in found)
        return wholes, patches

    def untrained(self, seed: int) -> "RasterEmbedder":
        """The same place and precision with fresh weights, to compare with."""
        other = copy(self)
        other.encoder = self.encoder.untrained(seed)
        other._place()
        return other

    def _place(self) -> None:
        """Put the network on the device, to be passed in the dtype."""
        from foundation.packed import pack

        self.encoder.module = pack(self.encoder.module.eval().to(self._device), self._dtype)

    def close(self) -> None:
        del self.encoder

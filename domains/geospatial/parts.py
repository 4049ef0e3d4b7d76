"""A raster in windows: read as the model wants them, their vectors put together again."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.adapter import Output
from foundation.domains.geospatial import scene
from foundation.domains.geospatial.grid import Span, spans
from foundation.domains.geospatial.inputs import Embed
from foundation.domains.geospatial.outputs import named
from foundation.domains.geospatial.reading import Question, Raster, opened
from foundation.durable import replacing
from foundation.errors import InputError, RequestError

ACROSS = 48  # windows read at once


@dataclass(frozen=True)
class Part:
    """A window as the model takes it: pixels [bands, side, side], nm, and metres a pixel."""

    pixels: NDArray[np.float32]
    wavelengths: tuple[float, ...]
    distance: float


@dataclass
class Strip:
    """One row of windows. vectors: float16 [patches down, patches across, units], NaN for none.

    windows: a row each, top, bottom, left and right of what is kept, in pixels; pooled: their
    vectors; valid: the share of their pixels that are.
    """

    vectors: NDArray[np.float16]
    windows: NDArray[np.int32]
    pooled: NDArray[np.float32]
    valid: NDArray[np.float32]
    asked: int = 0
    complete: bool = False
    masks: dict[int, NDArray[np.bool_]] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write it whole or not at all."""
        with replacing(path) as part, part.open("wb") as file:
            np.savez(
                file,
                vectors=self.vectors,
                windows=self.windows,
                pooled=self.pooled,
                valid=self.valid,
            )


class RasterParts:
    """The windows of one raster, a row of them after the other.

    sink: where each row of windows is left, so that a restart goes on after the last one; None, or
    a picture without georeference: they are kept in memory.
    """

    def __init__(
        self, request: Embed, sink: Path | None, side: int, patch: int, units: int
    ) -> None:
        self.request, self.sink = request, sink
        self.side, self.patch, self.units = side, patch, units
        self._asked: dict[int, tuple[int, int]] = {}
        self._strips: dict[int, Strip] = {}
        self._kept: dict[int, Strip] = {}

    def __iter__(self) -> Iterator[Part]:
        request = self.request
        question = Question(
            request.raster, request.sensor, request.bands, request.resolution, request.offset
        )
        try:
            with opened(question) as raster:
                yield from self._windows(raster)
        except InputError as error:
            raise RequestError(f"{Path(request.raster).name} {error}") from error

    def _windows(self, raster: Raster) -> Iterator[Part]:
        self.facts = scene.Facts.of(raster, self.patch)
        if raster.transform is None:
            self.sink = None
        if self.sink is not None:
            self.sink.mkdir(parents=True, exist_ok=True)
        window = self.side // self.patch
        down = list(spans(self.facts.rows, window, self.request.halo))
        self._across = list(spans(self.facts.columns, window, self.request.halo))
        self._down, number = down, 0
        for place, row in enumerate(down):
            if self.sink is not None and self._path(place).exists():
                continue
            self._strips[place] = self._strip(row)
            for first in range(0, len(self._across), ACROSS):
                spans_read = self._across[first : first + ACROSS]
                for column, part in self._read(raster, row, spans_read, first, place):
                    self._asked[number] = (place, column)
                    self._strips[place].asked += 1
                    number += 1
                    yield part
            self._strips[place].complete = True
            self._settle(place)

    def _strip(self, row: Span) -> Strip:
        """An empty row of windows."""
        count, kept = len(self._across), row.last - row.first
        windows = [[row.first, row.last, column.first, column.last] for column in self._across]
        ends = [self.facts.height, self.facts.height, self.facts.width, self.facts.width]
        return Strip(
            np.full((kept, self.facts.columns, self.units), np.nan, np.float16),
            np.minimum(np.array(windows, np.int32) * self.patch, np.array(ends, np.int32)),
            np.full((count, self.units), np.nan, np.float32),
            np.zeros(count, np.float32),
        )

    def _read(
        self, raster: Raster, row: Span, columns: list[Span], first: int, place: int
    ) -> Iterator[tuple[int, Part]]:
        """Windows next to each other, read at once; those with too little in them are left out."""
        patch, strip = self.patch, self._strips[place]
        top, left = row.start * patch, columns[0].start * patch
        bottom, right = top + self.side, columns[-1].start * patch + self.side
        values, valid = raster.read(top, bottom, left, right)
        for number, column in enumerate(columns, first):
            start = column.start * patch - left
            there = valid[:, start : start + self.side]
            inside = np.zeros_like(there)
            inside[: raster.height - top, : raster.width - column.start * patch] = True
            strip.valid[number] = there.sum() / inside.sum()
            if not there.any() or strip.valid[number] < self.request.least_valid:
                continue
            strip.masks[number] = self._counts(there) >= 0.5 * self._counts(inside).clip(min=1)
            pixels = np.ascontiguousarray(values[:, :, start : start + self.side])
            yield number, Part(pixels, raster.wavelengths, raster.distance)

    def _counts(self, pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many pixels [side, side] of each patch are true."""
        count = self.side // self.patch
        counts: NDArray[np.int64] = pixels.reshape(count, self.patch, count, self.patch).sum((1, 3))
        return counts

    def add(self, number: int, output: Output) -> None:
        """Take a window's vector [units] and its patches' [side / patch, side / patch, units]."""
        whole, patches = output.value
        place, at = self._asked.pop(number)
        strip, row, column = self._strips[place], self._down[place], self._across[at]
        down = slice(row.first - row.start, row.last - row.start)
        across = slice(column.first - column.start, column.last - column.start)
        kept = np.where(strip.masks.pop(at)[..., None], patches, np.nan)[down, across]
        strip.vectors[:, column.first : column.last] = kept
        strip.pooled[at] = whole
        strip.asked -= 1
        self._settle(place)

    def _settle(self, place: int) -> None:
        """Put a row of windows away when all its windows are answered."""
        strip = self._strips[place]
        if not strip.complete or strip.asked:
            return
        del self._strips[place]
        if self.sink is None:
            self._kept[place] = strip
        else:
            strip.save(self._path(place))

    def _path(self, place: int) -> Path:
        assert self.sink is not None
        return self.sink / f"{place:06d}.npz"

    def strips(self) -> Iterator[Strip]:
        """The rows of windows from the top."""
        for place in range(len(self._down)):
            if self.sink is None:
                yield self._kept[place]
            else:
                with np.load(self._path(place)) as file:
                    yield Strip(**{name: file[name] for name in file.files})

    def join(self) -> Output:
        """The scene's files, in the sink, and its pooled vector."""
        total = np.zeros(self.units, np.float64)
        windows = embedded = 0
        share = 0.0
        for strip in self.strips():
            seen = strip.pooled[np.isfinite(strip.pooled[:, 0])].astype(np.float64)
            total += seen.sum(0)
            embedded += len(seen)
            windows += len(strip.valid)
            share += float(strip.valid.mean()) / len(self._down)
        extra: dict[str, Any] = {
            **self.facts.columns_of_table(),
            "windows": windows,
            "embedded_windows": embedded,
            "valid_fraction": share,
        }
        if not embedded:
            return Output(None, self._why_nothing(share), extra, refused=True)
        extra["embedding"] = (total / embedded).astype(np.float32)
        value = None
        if self.sink is not None:
            scene.write(self.sink, self.facts, self.strips, self.request.raster)
            value = named("embedding.tif", int(self.sink.name))
        return Output(value, None, extra, {"pixels": float(self.facts.height * self.facts.width)})

    def _why_nothing(self, share: float) -> str:
        name = Path(self.request.raster).name
        if not share:
            return f"{name} holds no valid pixel: all is nodata, masked or not a number"
        return (
            f"{name} has no window with {self.request.least_valid:.0%} valid pixels: "
            "give a smaller task.least_valid"
        )

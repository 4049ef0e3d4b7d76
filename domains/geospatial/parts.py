"""A raster in windows: read as the model wants them, their vectors put together again."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.adapter import Output
from foundation.domains.geospatial.facts import Facts
from foundation.domains.geospatial.grid import Span, spans, weights
from foundation.domains.geospatial.inputs import Scene
from foundation.domains.geospatial.intake import Intake, Units
from foundation.domains.geospatial.reading import Question
from foundation.domains.geospatial.series import Day, Stack, opened
from foundation.domains.geospatial.strips import OpenStrip, Strip, blended
from foundation.domains.geospatial.warping import Grid
from foundation.errors import InputError, RequestError

WIDE = 3072  # pixels of a row of windows that are read at once


@dataclass(frozen=True)
class Part:
    """A window as the model takes it: pixels [bands, side, side], nm, and metres a pixel.

    Of a series pixels are [dates, bands, side, side] and days tells the dates. place: latitude and
    longitude of the scene's middle, where it is known.
    """

    pixels: NDArray[np.float32]
    wavelengths: tuple[float, ...]
    distance: float
    days: tuple[Day, ...] = ()
    place: tuple[float, float] | None = None


class OfScene(ABC):
    """A request whose parts are the windows of one raster, and what is made of their vectors."""

    def __init__(self, parts: "RasterParts") -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[Part]:
        yield from self.parts

    def add(self, number: int, output: Output) -> None:
        self.parts.add(number, output)

    @abstractmethod
    def join(self) -> Output:
        """The request's output, when all windows have their vectors."""


Chunk = tuple[NDArray[np.float32], NDArray[np.bool_]]


class RasterParts:
    """The windows of one raster, a row of them after the other.

    sink: where each row of windows is left, so that a restart goes on after the last one; None, or
    a picture without georeference: they are kept in memory. grid: the pixels it is brought to.
    facts: what is known of the scene, once it is open.
    """

    facts: Facts

    def __init__(
        self,
        request: Scene,
        sink: Path | None,
        intake: Intake,
        units: Units,
        grid: Grid | None = None,
        raster: str | None = None,
    ) -> None:
        self.request, self.sink, self.grid = request, sink, grid
        self.raster = request.raster if raster is None else raster
        self.intake, self.side, self.patch, self.units = intake, intake.side, intake.patch, units
        self._asked: dict[int, tuple[int, int]] = {}
        self._strips: dict[int, OpenStrip] = {}
        self._kept: dict[int, Strip] = {}

    @property
    def name(self) -> str:
        """The raster's name without its folder."""
        return Path(self.raster).name

    def __iter__(self) -> Iterator[Part]:
        request = self.request
        question = Question(
            self.raster,
            request.sensor,
            request.bands,
            request.resolution,
            request.offset,
            self.grid,
            request.clouds,
            tuple(request.cloud_values or ()),
        )
        try:
            with opened(question, self.intake) as stack:
                yield from self._windows(stack)
        except InputError as error:
            raise RequestError(f"{self.name} {error}") from error

    def _windows(self, stack: Stack) -> Iterator[Part]:
        self.facts = Facts.of(stack.first, self.patch)
        if stack.first.transform is None:
            self.sink = None
        if self.sink is not None:
            self.sink.mkdir(parents=True, exist_ok=True)
        window = self.side // self.patch
        self._down = list(spans(self.facts.rows, window, self.request.halo))
        self._across = list(spans(self.facts.columns, window, self.request.halo))
        left = [
            place
            for place in range(len(self._down))
            if self.sink is None or not self._path(place).exists()
        ]
        number = 0
        for place, first, chunk in self._chunks(stack, left):
            if first == 0:
                self._strips[place] = self._strip(self._down[place])
            for column, part in self._cut(stack, place, first, chunk):
                self._asked[number] = (place, column)
                self._strips[place].asked += 1
                number += 1
                yield part
            if first + self._at_once >= len(self._across):
                self._strips[place].complete = True
                self._settle(place)

    @property
    def _at_once(self) -> int:
        """Windows of a row that are read at once."""
        return max(1, WIDE // self.side)

    def _chunks(self, stack: Stack, places: list[int]) -> Iterator[tuple[int, int, Chunk]]:
        """Windows next to each other, read in one; the next ones are read while these are used."""
        asked = [
            (place, first)
            for place in places
            for first in range(0, len(self._across), self._at_once)
        ]
        with ThreadPoolExecutor(1) as reader:
            ahead = reader.submit(self._read, stack, *asked[0]) if asked else None
            for number, (place, first) in enumerate(asked):
                assert ahead is not None
                chunk = ahead.result()
                if number + 1 < len(asked):
                    ahead = reader.submit(self._read, stack, *asked[number + 1])
                yield place, first, chunk

    def _read(self, stack: Stack, place: int, first: int) -> Chunk:
        row = self._down[place]
        columns = self._across[first : first + self._at_once]
        top, left = row.start * self.patch, columns[0].start * self.patch
        return stack.read(top, top + self.side, left, columns[-1].start * self.patch + self.side)

    def _strip(self, row: Span) -> OpenStrip:
        """An empty row of windows."""
        facts, count = self.facts, len(self._across)
        shape = min(self.side // self.patch, facts.rows - row.start), facts.columns
        windows = [[row.first, row.last, column.first, column.last] for column in self._across]
        ends = [facts.height, facts.height, facts.width, facts.width]
        return OpenStrip(
            np.zeros((*shape, self.units.patch), np.float32),
            np.zeros(shape, np.float32),
            np.minimum(np.array(windows, np.int32) * self.patch, np.array(ends, np.int32)),
            np.full((count, self.units.window), np.nan, np.float32),
            np.zeros(count, np.float32),
        )

    def _cut(
        self, stack: Stack, place: int, first: int, chunk: Chunk
    ) -> Iterator[tuple[int, Part]]:
        """The windows of a chunk; those with too little in them are left out."""
        patch, strip, facts = self.patch, self._strips[place], self.facts
        (values, valid), top = chunk, self._down[place].start * self.patch
        columns = self._across[first : first + self._at_once]
        if not valid.any():
            return
        for number, column in enumerate(columns, first):
            start = (column.start - columns[0].start) * patch
            there = valid[:, start : start + self.side]
            ends = facts.height - top, facts.width - column.start * patch
            strip.valid[number], filled = self._filled(there, ends)
            if not there.any() or strip.valid[number] < self.request.least_valid:
                continue
            strip.masks[number] = filled
            pixels = values[..., start : start + self.side]  # copied once, into its batch
            yield number, Part(pixels, facts.wavelengths, facts.distance, stack.days, facts.place)

    def _filled(
        self, there: NDArray[np.bool_], ends: tuple[int, int]
    ) -> tuple[float, NDArray[np.bool_]]:
        """The share of a window's pixels before the raster's ends that are valid, and which of its
        patches are at least half valid."""
        if there.all():
            return 1.0, np.ones((self.side // self.patch,) * 2, np.bool_)
        inside = np.zeros_like(there)
        inside[: ends[0], : ends[1]] = True
        share = float(there.sum() / inside.sum())
        return share, self._counts(there) >= 0.5 * self._counts(inside).clip(min=1)

    def _counts(self, pixels: NDArray[np.bool_]) -> NDArray[np.int64]:
        """How many pixels [side, side] of each patch are true."""
        count = self.side // self.patch
        counts: NDArray[np.int64] = pixels.reshape(count, self.patch, count, self.patch).sum((1, 3))
        return counts

    def add(self, number: int, output: Output) -> None:
        """Take a window's vector [units] and its patches' [side / patch, side / patch, units]."""
        whole, patches = output.value
        place, at = self._asked.pop(number)
        strip, start = self._strips[place], self._across[at].start
        share = weights(start, self.side // self.patch, self.facts.columns)
        strip.add(start, patches, strip.masks.pop(at) * share)
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
            self._kept[place] = strip.closed()
        else:
            strip.closed().save(self._path(place))

    def _path(self, place: int) -> Path:
        assert self.sink is not None
        return self.sink / f"{place:06d}.npz"

    def strips(self) -> Iterator[Strip]:
        """The rows of windows from the top, each with the patches that are its own."""
        window = self.side // self.patch
        yield from blended(self._down, window, self.facts.rows, self._stored)

    def _stored(self, place: int) -> Strip:
        return self._kept[place] if self.sink is None else Strip.read(self._path(place))

    def summary(self) -> Output:
        """The row of the scene without an answer: its columns, pooled vector, and why none."""
        total = np.zeros(self.units.window, np.float64)
        windows = embedded = 0
        share = 0.0
        for strip in map(self._stored, range(len(self._down))):
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
        return Output(None, None, extra, {"pixels": float(self.facts.height * self.facts.width)})

    def _why_nothing(self, share: float) -> str:
        if not share:
            return f"{self.name} holds no valid pixel: all is nodata, masked or not a number"
        return (
            f"{self.name} has no window with {self.request.least_valid:.0%} valid pixels: "
            "give a smaller task.least_valid"
        )

"""A raster as the model sees it: north up, its bands known, its values in the model's numbers.

Whatever GDAL opens. A raster that is stored south-up, mirrored or turned by a quarter is read as if
it were not; one turned by another angle, or for which a resolution is asked, is warped by GDAL.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window

from foundation.domains.geospatial.bands import Layer, Match, match, needed
from foundation.domains.geospatial.intake import STARTER, Intake
from foundation.domains.geospatial.orientation import Turn, turn, upright
from foundation.domains.geospatial.sources import (
    UNREADABLE,
    Source,
    bands_of,
    files_of,
    short,
    wavelength,
)
from foundation.domains.geospatial.warping import Grid, clouds, lies_on, warped
from foundation.errors import RequestError

LEAST, CACHE, LARGEST = 64 * 2**20, 256 * 2**20, 640 * 2**20
"""Bytes of GDAL's block cache: five rows of blocks are to fit up to CACHE, two up to LARGEST."""
THREADS = "ALL_CPUS"  # of unpacking
METRES = 111_320.0  # a degree at the equator
OFFSET_SINCE = re.compile(r"_N(0[4-9]|[1-9]\d)\d\d_")  # processing baseline 04.00 and later


@dataclass(frozen=True)
class Question:
    """How a raster is to be read; see the request `Scene` for the settings.

    grid: the pixels to which it is brought, whatever its own. clouds, cloud_values: a raster of the
    same ground, and which of its values are clouds.
    """

    raster: str
    sensor: str | None = None
    bands: Sequence[str | None] | None = None
    resolution: float | None = None
    offset: float | None = None
    grid: Grid | None = None
    clouds: str | None = None
    cloud_values: tuple[int, ...] = ()


class Raster:
    """An open raster. height, width: pixels. distance: metres a pixel.

    transform and crs are those of the upright raster, None where it is a mere picture. assumed:
    what was taken for granted, in one line, or None. gdal: its version and settings.
    """

    gdal: str = ""

    def __init__(
        self,
        sources: Sequence[Source],
        question: Question,
        stack: ExitStack,
        intake: Intake = STARTER,
    ) -> None:
        first = sources[0].file
        self.crs = first.crs
        if first.crs is not None and not (first.crs.is_geographic or first.crs.is_projected):
            raise RequestError(
                "lies in a local CRS that cannot be transformed: write the true one into it, "
                "e.g. with rio edit-info --crs"
            )
        georeferenced = first.crs is not None or first.transform != Affine.identity()
        if question.grid is not None:
            if first.crs is None:
                raise RequestError("has no CRS to lay it on the other raster's ground")
            if not lies_on(question.grid, first):
                sources = warped(sources, None, stack, question.grid)
        elif question.resolution and first.crs is not None:
            sources = warped(sources, question.resolution, stack)
        elif georeferenced and not turn(first.transform)[1]:
            if first.crs is None:
                raise RequestError(
                    "is turned and has no CRS: write one into it, e.g. with rio edit-info --crs"
                )
            sources = warped(sources, None, stack)
        first = sources[0].file
        self.crs = first.crs
        self._turn = turn(first.transform)[0] if georeferenced else Turn()
        self.height, self.width = first.height, first.width
        if self._turn.transposed:
            self.height, self.width = self.width, self.height
        self.transform = (
            upright(first.transform, self._turn, self.height, self.width) if georeferenced else None
        )
        found = match(
            [Layer(source.name, wavelength(source)) for source in sources],
            first.dtypes[0],
            question.sensor,
            question.bands,
        )
        self.match: Match = needed(found, intake.bands)
        self._clouds = None if question.clouds is None else clouds(question.clouds, first, stack)
        self._cloud_values = question.cloud_values
        self._sources = [sources[n] for n in self.match.layers]
        kinds = [np.dtype(source.file.dtypes[source.number - 1]) for source in self._sources]
        if any(np.issubdtype(kind, np.complexfloating) for kind in kinds):
            raise RequestError("holds complex numbers")
        self._floats = any(np.issubdtype(kind, np.floating) for kind in kinds)
        masks = {id(source.file): source for source in self._sources if source.masked}
        self._masked = list(masks.values())  # a mask is of all bands of a file
        self.distance = self._distance(question)
        scale, offset, notes = self._stored_as(question)
        gain, shift = intake.factors(self.match.sensor, self.match.bands)
        self._gain, self._shift = scale * gain, offset * gain + shift
        self._intake = intake
        self.assumed = "; ".join(filter(None, [self.match.assumed, *notes])) or None
        self.blocks = first.block_shapes[0][:: -1 if self._turn.transposed else 1]

    @property
    def wavelengths(self) -> tuple[float, ...]:
        return tuple(band.wavelength for band in self.match.bands)

    @property
    def grid(self) -> Grid | None:
        """The pixels of the upright raster; None where they lie on no ground."""
        if self.transform is None or self.crs is None:
            return None
        return Grid(self.crs, self.transform, self.height, self.width)

    def read(
        self, top: int, bottom: int, left: int, right: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The model's numbers [bands, rows, columns] and which pixels are valid in all bands.

        What lies beyond the raster's end mirrors what lies before it, and is not valid; so is what
        is nodata, which has the value 0.
        """
        inside = (top, min(bottom, self.height), left, min(right, self.width))
        window = self._turn.stored(inside, self.height, self.width)
        stored = self._stored(window)
        valid = np.ones(stored.shape[1:], np.bool_)
        if self._floats:
            valid &= np.isfinite(stored).all(0)
        for layer, source in zip(stored, self._sources, strict=True):
            if source.nodata is not None:
                valid &= layer != source.nodata
        for source in self._masked:
            valid &= source.file.read_masks(source.number, window=window) > 0
        if self._clouds is not None:
            seen = self._clouds.read(1, window=window)
            cloudy = np.isin(seen, self._cloud_values) if self._cloud_values else seen != 0
            valid &= ~cloudy
        if not valid.any():
            values = np.zeros_like(stored)
        else:
            for layer, gain, shift in zip(stored, self._gain, self._shift, strict=True):
                layer *= gain  # a band stays in the processor's cache between the two
                layer += shift
            values = self._intake.finished(stored)
            if not valid.all():
                values[:, ~valid] = 0
        # torch takes no array that runs backwards, as a turned one does.
        values = np.ascontiguousarray(self._turn.upright(values))
        valid = self._turn.upright(valid[None])[0]
        beyond = ((0, bottom - inside[1]), (0, right - inside[3]))
        if any(after for _, after in beyond):
            values = np.pad(values, ((0, 0), *beyond), "symmetric")
            valid = np.pad(valid, beyond)
        return values, valid

    def _stored(self, window: Window) -> NDArray[np.float32]:
        """Stored values [bands, rows, columns], each file read once."""
        pixels = np.empty((len(self._sources), int(window.height), int(window.width)), np.float32)
        places: dict[int, list[int]] = {}
        for place, source in enumerate(self._sources):
            places.setdefault(id(source.file), []).append(place)
        for found in places.values():
            file = self._sources[found[0]].file
            numbers = [self._sources[place].number for place in found]
            try:
                if len(places) == 1:
                    file.read(numbers, window=window, out=pixels)
                else:
                    pixels[found] = file.read(numbers, window=window, out_dtype="float32")
            except UNREADABLE as error:
                raise RequestError(f"cannot be read: {short(error)}; is it cut off?") from error
        return pixels

    def _distance(self, question: Question) -> float:
        known = self.match.sensor.resolution
        if self.transform is not None and self.crs is not None:
            metres = abs(self.transform.a * self.transform.e) ** 0.5
            if self.crs.is_geographic:
                _, latitude = self.transform @ (self.width / 2, self.height / 2)
                metres *= METRES * max(0.01, float(np.cos(np.radians(latitude)))) ** 0.5
            else:
                metres *= self.crs.linear_units_factor[1]
            return float(metres)
        if question.resolution or known:
            return float(question.resolution or known or 0)
        raise RequestError("has no CRS to tell its resolution: give task.resolution in metres")

    def _stored_as(
        self, question: Question
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], list[str]]:
        """Scale and offset a band, by the file or else by the sensor, and what was assumed."""
        scales, offsets, notes = [], [], []
        sensor = self.match.sensor
        for source in self._sources:
            at = source.number - 1
            scale, offset = source.file.scales[at], source.file.offsets[at]
            if (scale, offset) == (1.0, 0.0):
                scale, offset = sensor.scale, sensor.offset
            scales.append(scale)
            offsets.append(offset)
        floats = np.issubdtype(np.dtype(self._sources[0].file.dtypes[0]), np.floating)
        if floats and sensor.scale < 0.01 and scales[0] == sensor.scale and self._small():
            scales, offsets = [1.0] * len(scales), [0.0] * len(offsets)
            notes.append("values below 2 taken for reflectance")
        add = question.offset
        if add is None and sensor.name == "sentinel-2" and OFFSET_SINCE.search(question.raster):
            add = -1000.0
            notes.append("1000 taken off, as the product's baseline has it")
        offsets = [o + (add or 0) * s for o, s in zip(offsets, scales, strict=True)]
        return np.array(scales, np.float32), np.array(offsets, np.float32), notes

    def _small(self) -> bool:
        """Whether a coarse look at the first band finds no value of 2 or more."""
        file, source = self._sources[0].file, self._sources[0]
        shape = (min(256, file.height), min(256, file.width))
        pixels = file.read(source.number, out_shape=shape).astype(np.float64)
        pixels = pixels[np.isfinite(pixels)]
        if source.nodata is not None:
            pixels = pixels[pixels != source.nodata]
        return bool(pixels.size) and float(np.percentile(pixels, 99)) < 2


@contextmanager
def opened(question: Question, intake: Intake = STARTER) -> Iterator[Raster]:
    """Open a raster; InputError says what is wrong with it, without its name."""
    with ExitStack() as stack:
        stack.enter_context(rasterio.Env(GDAL_NUM_THREADS=THREADS))
        files = files_of(question.raster, stack)
        row = max(map(_row_of_blocks, files))
        cache = int(min(max(LEAST, 2 * row, min(5 * row, CACHE)), LARGEST))
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=cache))
        try:
            raster = Raster(bands_of(files), question, stack, intake)
        except UNREADABLE as error:
            raise RequestError(f"cannot be read: {short(error)}") from error
        raster.gdal = f"GDAL {rasterio.__gdal_version__}, GDAL_CACHEMAX={cache}"
        raster.gdal += f", GDAL_NUM_THREADS={THREADS}"
        yield raster


def _row_of_blocks(file: Any) -> int:
    """Bytes of all bands of a row of an open file's blocks."""
    pixels = file.width * file.block_shapes[0][0]
    return int(pixels * sum(np.dtype(kind).itemsize for kind in file.dtypes))

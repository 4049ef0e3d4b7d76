"""A raster as the model sees it: north up, its bands known, its values in the model's numbers.

Whatever GDAL opens. A raster that is stored south-up, mirrored or turned by a quarter is read as if
it were not; one turned by another angle, or for which a resolution is asked, is warped by GDAL.
"""

import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from foundation.domains.geospatial.bands import Layer, Match, match, needed
from foundation.domains.geospatial.intake import STARTER, Intake
from foundation.errors import InputError, RequestError

_OPENING = threading.Lock()  # the filters of warnings are the process's, not the thread's
CACHE = 256 * 2**20
"""Bytes of GDAL's block cache at least; a row of blocks is to fit, up to LARGEST."""
LARGEST = 640 * 2**20
THREADS = "ALL_CPUS"  # of unpacking
METRES = 111_320.0  # a degree at the equator
NAMED = {
    ColorInterp.red: "red",
    ColorInterp.green: "green",
    ColorInterp.blue: "blue",
    ColorInterp.alpha: "alpha",
}
OFFSET_SINCE = re.compile(r"_N(0[4-9]|[1-9]\d)\d\d_")  # processing baseline 04.00 and later


@dataclass(frozen=True)
class Grid:
    """Pixels on the ground: those of an upright raster."""

    crs: Any
    transform: Affine
    height: int
    width: int


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


@dataclass(frozen=True)
class Turn:
    """How stored pixels become north-up ones: transposed, then mirrored along rows or columns."""

    transposed: bool = False
    rows: bool = False
    columns: bool = False

    def stored(self, window: tuple[int, int, int, int], height: int, width: int) -> Window:
        """A north-up window (top, bottom, left, right) of a north-up raster, as it is stored."""
        top, bottom, left, right = window
        if self.rows:
            top, bottom = height - bottom, height - top
        if self.columns:
            left, right = width - right, width - left
        if self.transposed:
            top, bottom, left, right = left, right, top, bottom
        return Window(left, top, right - left, bottom - top)

    def upright(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Stored pixels [bands, rows, columns] turned north-up."""
        if self.transposed:
            pixels = pixels.transpose(0, 2, 1)
        return pixels[:, :: -1 if self.rows else 1, :: -1 if self.columns else 1]


def turn(transform: Affine) -> tuple[Turn, bool]:
    """How a raster with this transform is turned upright, and whether that is exact."""
    a, b, _, d, e, _ = transform[:6]
    size = max(map(abs, (a, b, d, e)))
    if max(abs(b), abs(d)) < 1e-9 * size:
        return Turn(rows=e > 0, columns=a < 0), True
    if max(abs(a), abs(e)) < 1e-9 * size:
        return Turn(transposed=True, rows=d > 0, columns=b < 0), True
    return Turn(), False


def upright(transform: Affine, how: Turn, height: int, width: int) -> Affine:
    """The transform of the raster turned upright; height and width are the upright ones."""
    a, b, c, d, e, f = transform[:6]
    if how.transposed:
        a, b, d, e = b, a, e, d
    if how.rows:
        b, c, e, f = -b, c + b * height, -e, f + e * height
    if how.columns:
        a, c, d, f = -a, c + a * width, -d, f + d * width
    return Affine(a, b, c, d, e, f)


@dataclass(frozen=True)
class _Source:
    """One band of an open file: nodata as stored, None for none; masked: a mask must be read."""

    file: Any
    number: int
    name: str | None
    nodata: float | None
    masked: bool


class Raster:
    """An open raster. height, width: pixels. distance: metres a pixel.

    transform and crs are those of the upright raster, None where it is a mere picture. assumed:
    what was taken for granted, in one line, or None. gdal: its version and settings.
    """

    gdal: str = ""

    def __init__(
        self,
        sources: Sequence[_Source],
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
            if not _on(question.grid, first):
                sources = _warped(sources, None, stack, question.grid)
        elif question.resolution and first.crs is not None:
            sources = _warped(sources, question.resolution, stack)
        elif georeferenced and not turn(first.transform)[1]:
            if first.crs is None:
                raise RequestError(
                    "is turned and has no CRS: write one into it, e.g. with rio edit-info --crs"
                )
            sources = _warped(sources, None, stack)
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
            [Layer(source.name, _wavelength(source)) for source in sources],
            first.dtypes[0],
            question.sensor,
            question.bands,
        )
        self.match: Match = needed(found, intake.bands)
        self._clouds = None if question.clouds is None else _clouds(question.clouds, first, stack)
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
            stored *= self._gain[:, None, None]
            stored += self._shift[:, None, None]
            values = self._intake.finished(stored)
            if not valid.all():
                values[:, ~valid] = 0
        values, valid = self._turn.upright(values), self._turn.upright(valid[None])[0]
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
            except RasterioError as error:
                raise RequestError(f"cannot be read: {_short(error)}; is it cut off?") from error
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
        try:
            files = [stack.enter_context(plainly_opened(a)) for a in _addresses(question.raster)]
        except RasterioError as error:
            raise RequestError(f"cannot be opened as a raster: {_short(error)}") from error
        files = [part for file in files for part in _subdatasets(file, stack)]
        if len(files) > 1:
            files = _alike(files, stack)
        sources = [source for file in files for source in _layers(file, len(files) > 1)]
        row = max(f.width * f.block_shapes[0][0] * sum(map(_size, f.dtypes)) for f in files)
        cache = int(min(max(CACHE, 2 * row), LARGEST))
        stack.enter_context(rasterio.Env(GDAL_CACHEMAX=cache))
        try:
            raster = Raster(sources, question, stack, intake)
        except RasterioError as error:
            raise RequestError(f"cannot be read: {_short(error)}") from error
        raster.gdal = f"GDAL {rasterio.__gdal_version__}, GDAL_CACHEMAX={cache}"
        raster.gdal += f", GDAL_NUM_THREADS={THREADS}"
        yield raster


def plainly_opened(address: str) -> Any:
    """Open a file; that a picture has no georeference is no reason for a warning."""
    with _OPENING, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(address)


def _addresses(raster: str) -> list[str]:
    """The files of a raster: itself, or one a band where `{band}` stands in its name."""
    if "{band}" not in raster:
        return [raster]
    folder, pattern = Path(raster).parent, Path(raster).name
    form = re.compile(re.escape(pattern).replace(re.escape("{band}"), r"([^/]+?)"))
    found = sorted(str(path) for path in folder.iterdir() if form.fullmatch(path.name))
    if not found:
        raise InputError(f"no file is there for {raster}")
    return found


def _subdatasets(file: Any, stack: ExitStack) -> list[Any]:
    if file.count or not file.subdatasets:
        return [file]
    found = [stack.enter_context(plainly_opened(address)) for address in file.subdatasets]
    plain = [part for part in found if part.count == 1]
    if not plain:
        dates = max(part.count for part in found)
        raise RequestError(
            f"holds series of {dates} layers: give one as task.raster='{file.subdatasets[0]}'"
        )
    return plain


def _alike(files: list[Any], stack: ExitStack) -> list[Any]:
    """Files of one scene on the grid of the finest, which comes first."""
    finest = max(files, key=lambda file: file.height * file.width)
    same = []
    for file in files:
        apart = np.abs(np.subtract(file.bounds, finest.bounds)).max()
        on_it = file.crs == finest.crs and apart <= max(map(abs, file.res)) / 2
        if file.shape == finest.shape and on_it:
            same.append(file)
        elif on_it and file.crs is not None:
            grid = {k: getattr(finest, k) for k in ("crs", "transform", "width", "height")}
            same.append(
                stack.enter_context(WarpedVRT(file, resampling=Resampling.bilinear, **grid))
            )
        else:
            raise RequestError(
                f"has bands of different size: {finest.height} x {finest.width} pixels and "
                f"{file.height} x {file.width} on other ground"
            )
    return sorted(same, key=lambda file: file is not finest)


def _layers(file: Any, alone: bool) -> Iterator[_Source]:
    for number in range(1, file.count + 1):
        kind = file.colorinterp[number - 1]
        if kind == ColorInterp.alpha:
            continue
        flags = file.mask_flag_enums[number - 1]
        masked = MaskFlags.per_dataset in flags
        nodata = None if masked else file.nodatavals[number - 1]
        name = file.descriptions[number - 1] or NAMED.get(kind)
        if alone and (not name or re.fullmatch(r"band[ _]?1", name, re.IGNORECASE)):
            name = band_in(file.name)
        yield _Source(file, number, name, None if nodata is None else float(nodata), masked)


def band_in(address: str) -> str | None:
    """The band that a file's name, or a subdataset's, ends with."""
    if ":" in Path(address).name:
        return re.split(r"[:/]", address)[-1]
    return (re.split(r"[_. -]", Path(address).stem) or [None])[-1]


def _wavelength(source: _Source) -> float | None:
    """The wavelength a band's metadata tells, in nm."""
    tags: Mapping[str, str] = {k.lower(): v for k, v in source.file.tags(source.number).items()}
    for key in ("wavelength", "central_wavelength", "center_wavelength", "central_wavelength_um"):
        try:
            value = float(tags[key])
        except (KeyError, ValueError):
            continue
        return value * 1000 if value < 100 else value
    return None


def _clouds(address: str, file: Any, stack: ExitStack) -> Any:
    """A mask of clouds on the pixels of an open file, the nearest value each."""
    try:
        mask = stack.enter_context(plainly_opened(address))
        if file.crs is None or mask.crs is None:
            if mask.shape != file.shape:
                raise RequestError(
                    f"has {file.height} x {file.width} pixels and its clouds "
                    f"{mask.height} x {mask.width}"
                )
            return mask
        grid = {k: getattr(file, k) for k in ("crs", "transform", "width", "height")}
        return stack.enter_context(WarpedVRT(mask, resampling=Resampling.nearest, **grid))
    except RasterioError as error:
        raise RequestError(f"has no clouds at {Path(address).name}: {_short(error)}") from error


def _on(grid: Grid, file: Any) -> bool:
    """Whether a file's pixels are those of the grid, to a hundredth of a pixel."""
    same = file.crs == grid.crs and file.shape == (grid.height, grid.width)
    near = file.transform.almost_equals(grid.transform, abs(grid.transform.a) / 100)
    return bool(same and near)


def _warped(
    sources: Sequence[_Source],
    resolution: float | None,
    stack: ExitStack,
    grid: Grid | None = None,
) -> list[_Source]:
    """The sources north-up, at `resolution` metres or on the grid where one is given."""
    made: dict[int, Any] = {}
    for source in sources:
        file = source.file
        if id(file) not in made:
            settings: dict[str, Any] = {"resampling": Resampling.bilinear}
            if source.nodata is None and ColorInterp.alpha not in file.colorinterp:
                settings["add_alpha"] = True  # what lies beside a turned raster is not valid
            try:
                if grid is not None:
                    settings |= {k: getattr(grid, k) for k in Grid.__dataclass_fields__}
                elif resolution is not None:
                    settings |= _target(file, resolution)
                made[id(file)] = stack.enter_context(WarpedVRT(file, **settings))
            except RasterioError as error:
                raise RequestError(f"cannot be brought north-up: {_short(error)}") from error
    return [
        _Source(made[id(s.file)], s.number, s.name, s.nodata, s.masked or s.nodata is None)
        for s in sources
    ]


def _target(file: Any, resolution: float) -> dict[str, Any]:
    from rasterio.warp import calculate_default_transform

    crs = file.crs
    if crs.is_geographic:
        west, south, east, north = file.bounds
        zone = int(((west + east) / 2 + 180) % 360 // 6) + 1
        crs = rasterio.crs.CRS.from_epsg((32600 if (south + north) / 2 >= 0 else 32700) + zone)
    size = resolution / crs.linear_units_factor[1]
    transform, width, height = calculate_default_transform(
        file.crs, crs, file.width, file.height, *file.bounds, resolution=size
    )
    return {"crs": crs, "transform": transform, "width": width, "height": height}


def _size(dtype: str) -> int:
    return np.dtype(dtype).itemsize


def _short(error: BaseException) -> str:
    """Its first line, or that of what was behind it, which GDAL tells more of."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0].strip().rstrip(".")

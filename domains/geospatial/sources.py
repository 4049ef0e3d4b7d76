"""The bands of a raster's files, as they are stored: one file, one a band, or subdatasets."""

import re
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.enums import ColorInterp, MaskFlags, Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.vrt import WarpedVRT

from foundation.errors import InputError, RequestError

UNREADABLE = (RasterioError, CPLE_BaseError)
"""What rasterio raises of a file: its own errors, and of some properties GDAL's as they are."""
_OPENING = threading.Lock()  # the filters of warnings are the process's, not the thread's
NAMED = {
    ColorInterp.red: "red",
    ColorInterp.green: "green",
    ColorInterp.blue: "blue",
    ColorInterp.alpha: "alpha",
}


@dataclass(frozen=True)
class Source:
    """One band of an open file: nodata as stored, None for none; masked: a mask must be read."""

    file: Any
    number: int
    name: str | None
    nodata: float | None
    masked: bool


def files_of(raster: str, stack: ExitStack) -> list[Any]:
    """The open files of a raster, which the stack closes; several lie on one grid."""
    try:
        files = [stack.enter_context(plainly_opened(each)) for each in _addresses(raster)]
    except UNREADABLE as error:
        raise RequestError(f"cannot be opened as a raster: {short(error)}") from error
    files = [part for file in files for part in _subdatasets(file, stack)]
    return _alike(files, stack) if len(files) > 1 else files


def bands_of(files: Sequence[Any]) -> list[Source]:
    """Their bands without alpha, which is a mask."""
    return [source for file in files for source in _layers(file, len(files) > 1)]


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


def _layers(file: Any, alone: bool) -> Iterator[Source]:
    # Each is asked of all bands at once: a broken header may tell of 65,535.
    told = zip(
        file.colorinterp, file.mask_flag_enums, file.nodatavals, file.descriptions, strict=True
    )
    for number, (kind, flags, nodata, description) in enumerate(told, 1):
        if kind == ColorInterp.alpha:
            continue
        masked = MaskFlags.per_dataset in flags
        nodata = None if masked else nodata
        name = description or NAMED.get(kind)
        if alone and (not name or re.fullmatch(r"band[ _]?1", name, re.IGNORECASE)):
            name = band_in(file.name)
        yield Source(file, number, name, None if nodata is None else float(nodata), masked)


def band_in(address: str) -> str | None:
    """The band that a file's name, or a subdataset's, ends with."""
    if ":" in Path(address).name:
        return re.split(r"[:/]", address)[-1]
    return (re.split(r"[_. -]", Path(address).stem) or [None])[-1]


def wavelength(source: Source) -> float | None:
    """The wavelength a band's metadata tells, in nm."""
    tags: Mapping[str, str] = {k.lower(): v for k, v in source.file.tags(source.number).items()}
    for key in ("wavelength", "central_wavelength", "center_wavelength", "central_wavelength_um"):
        try:
            value = float(tags[key])
        except (KeyError, ValueError):
            continue
        return value * 1000 if value < 100 else value
    return None


def short(error: BaseException) -> str:
    """Its first line, or that of what was behind it, which GDAL tells more of."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0].strip().rstrip(".")

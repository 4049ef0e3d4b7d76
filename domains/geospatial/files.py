"""Files -> rows: rasters of a file, a folder or a zip, or a collection to train on."""

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.domains.geospatial import sensors
from foundation.errors import RequestError

RASTERS = (
    ".tif", ".tiff", ".vrt", ".jp2", ".img", ".nc", ".h5", ".hdf", ".png", ".jpg", ".jpeg", ".grd",
    ".bil", ".zarr",
)  # fmt: skip
"""What is taken for a raster inside a folder or a zip; a file named alone may be any."""


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """A row `{"raster": address}` for each scene or chip of `path`, in the order of their names.

    In a folder, files whose names differ in nothing but a band are one scene. A YAML is a
    collection to train on: a row `{"window": ...}` for each of its windows.
    """
    path = Path(path)
    if column:
        raise RequestError(f"task.column: {path.name} is no table and has no columns: leave it out")
    if path.suffix in (".yaml", ".yml"):
        from foundation.domains.geospatial import collection

        yield from collection.read(path)
    elif path.is_dir() and path.suffix != ".zarr":
        yield from _folder(path)
    elif path.suffix.lower() == ".zip":
        yield from _zip(path)
    else:
        yield {"raster": str(path)}


def _folder(path: Path) -> Iterator[dict[str, Any]]:
    found = [file for file in sorted(path.rglob("*")) if file.suffix.lower() in RASTERS]
    if not found:
        raise RequestError(f"task.input: no raster is in {path}")
    scenes: dict[str, list[Path]] = defaultdict(list)
    for file in found:
        scenes[_scene(file)].append(file)
    for scene, files in scenes.items():
        if len(files) > 1:
            yield {"raster": scene}
        else:
            yield {"raster": str(files[0])}


def _scene(file: Path) -> str:
    """A file's address with `{band}` for the band it is named after, if it is."""
    named = re.fullmatch(r"(.*?)([A-Za-z]+\d*[A-Za-z]?)", file.stem)
    if named and sensors.plain(named[2]) in _band_names() and file.suffix.lower() != ".nc":
        return str(file.with_name(f"{named[1]}{{band}}{file.suffix}"))
    return str(file)


def _band_names() -> set[str]:
    every = [band for name in sensors.known() for band in sensors.named(name).bands]
    return {sensors.plain(name) for band in every for name in (band.name, band.common or band.name)}


def _zip(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise RequestError(f"task.input: {path} cannot be read as a zip: {error}") from error
    chips = [name for name in names if name.lower().endswith(RASTERS)]
    if not chips:
        raise RequestError(f"task.input: no raster is in {path}")
    for name in chips:
        yield {"raster": f"/vsizip/{path}/{name}"}

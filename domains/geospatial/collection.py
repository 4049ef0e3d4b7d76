"""Rasters to pretrain on: named in a YAML, decoded once, then mapped into memory.

A collection lists sets of one sensor. `files` are globs of rasters, or zips of pictures; `folders`
with `each` are scenes of a file a band, `{band}` standing for its name. `bands` are the sensor's,
in the order of the files, or a mapping to them from the names that the files have. `add` is added
to the stored values of files whose name holds the key, `except` leaves files out, `nodata` names
one value or several. Of bands at several resolutions all are brought to the finest.
"""

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from foundation.domains.geospatial import sensors
from foundation.errors import InputError
from foundation.hub.cache import cache_folder

SIDE = 64
STEP = 32
LEAST = 0.95
FORMAT = 1  # of the decoded files; raise it when they change


@dataclass(frozen=True)
class Scene:
    """One decoded scene.

    first: its place in the file of pixels. wavelengths: nm. distance: metres a pixel.
    """

    name: str
    first: int
    height: int
    width: int
    wavelengths: tuple[float, ...]
    distance: float


@dataclass(frozen=True)
class Decoded:
    """A collection's pixels as float16 standard deviations (see `sensors`), asinh of them."""

    folder: Path

    @cached_property
    def scenes(self) -> list[Scene]:
        return [Scene(**scene) for scene in json.loads((self.folder / "scenes.json").read_text())]

    @cached_property
    def pixels(self) -> NDArray[np.float16]:
        pixels: NDArray[np.float16] = np.load(self.folder / "pixels.npy", mmap_mode="r")
        return pixels

    @cached_property
    def windows(self) -> NDArray[np.int32]:
        """Scene, top and left of every window that is nearly all valid [windows, 3]."""
        windows: NDArray[np.int32] = np.load(self.folder / "windows.npy")
        return windows

    def scene(self, number: int) -> NDArray[np.float16]:
        """Pixels [bands, height, width]."""
        scene = self.scenes[number]
        shape = len(scene.wavelengths), scene.height, scene.width
        size = shape[0] * shape[1] * shape[2]
        return self.pixels[scene.first : scene.first + size].reshape(shape)


@dataclass(frozen=True)
class Window:
    """A window of a collection, by number."""

    collection: Decoded
    number: int


def read(path: Path) -> Iterator[dict[str, Window]]:
    """The windows of a collection's YAML, decoding what has not been decoded."""
    decoded = decode(path)
    for number in range(len(decoded.windows)):
        yield {"window": Window(decoded, number)}


def data_folder() -> Path:
    """`FOUNDATION_DATA`, or ../shared/data."""
    return Path(os.environ.get("FOUNDATION_DATA") or "../shared/data")


def decode(path: Path) -> Decoded:
    """The decoded collection, from the cache where it is there."""
    try:
        text = path.read_text(encoding="utf-8")
        listed = yaml.safe_load(text)
        root, sets = data_folder() / listed["root"], listed["sets"]
        described = [asdict(sensors.named(group["sensor"])) for group in sets]
    except (OSError, yaml.YAMLError, TypeError, KeyError) as error:
        raise InputError(f"{path} does not describe a collection of rasters: {error}") from error
    key = hashlib.sha256(json.dumps([FORMAT, text, described]).encode()).hexdigest()[:16]
    folder = cache_folder() / "rasters" / key
    if not folder.is_dir():
        if not root.is_dir():
            raise InputError(f"{root} is not there: set FOUNDATION_DATA to the folder of the data")
        part = folder.with_name(f".{key}.{os.getpid()}.part")
        part.mkdir(parents=True, exist_ok=True)
        scenes: list[Scene] = []
        windows: list[tuple[int, int, int]] = []
        with (part / "raw").open("wb") as raw:
            for group in sets:
                for scene, values, valid in _scenes(root, group):
                    first = raw.tell() // 2
                    scenes.append(Scene(**{**asdict(scene), "first": first}))
                    raw.write(values.astype(np.float16).tobytes())
                    every = group.get("every", STEP)
                    windows += [(len(scenes) - 1, *place) for place in _places(valid, every)]
        if not windows:
            raise InputError(f"{path}: no window of {SIDE} x {SIDE} pixels below {root}")
        pixels = np.memmap(part / "raw", dtype=np.float16, mode="r")
        np.save(part / "pixels.npy", pixels)
        (part / "raw").unlink()
        np.save(part / "windows.npy", np.array(windows, dtype=np.int32))
        (part / "scenes.json").write_text(json.dumps([asdict(scene) for scene in scenes]))
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    return Decoded(folder)


Pixels = tuple[Scene, NDArray[np.float32], NDArray[np.bool_]]


def _scenes(root: Path, group: Mapping[str, Any]) -> Iterator[Pixels]:
    """Each scene of a set: what it is, values [bands, height, width] and validity."""
    left_out = [str(name) for name in group.get("except", ())]
    found = 0
    for pattern in group.get("files", group.get("folders", ())):
        for path in sorted(root.glob(pattern)):
            name = path.relative_to(root).as_posix()
            if path.name == "ORIGIN.txt" or any(part in name for part in left_out):
                continue
            for inside, stored, distance in _stored(path, group):
                found += 1
                yield _scene(f"{name}{inside}", stored, distance, group)
    if not found:
        raise InputError(
            f"{root} holds nothing that {group.get('files', group.get('folders'))} means"
        )


def _scene(name: str, stored: Any, distance: float, group: Mapping[str, Any]) -> Pixels:
    sensor = sensors.named(group["sensor"])
    bands = [sensor.band(_named(group, band)) for band in group["bands"]]
    if len(bands) != len(stored):
        raise InputError(f"{name} has {len(stored)} bands, its set names {len(bands)}")
    values = stored.astype(np.float32)
    nodata = group.get("nodata", [])
    valid = np.isfinite(values).all(0)
    for value in nodata if isinstance(nodata, list) else [nodata]:
        valid &= (values != value).all(0)
    values += sum(v for part, v in group.get("add", {}).items() if part in Path(name).name)
    values = values * np.float32(sensor.scale) + np.float32(sensor.offset)
    values = np.where(valid, sensors.standardised(values, bands), np.float32(0))
    waves = tuple(band.wavelength for band in bands)
    height, width = valid.shape
    scene = Scene(name, 0, height, width, waves, float(group.get("resolution", distance)))
    return scene, values, valid


def _named(group: Mapping[str, Any], band: str) -> str:
    return str(group["bands"][band] if isinstance(group["bands"], Mapping) else band)


def _stored(path: Path, group: Mapping[str, Any]) -> Iterator[tuple[str, Any, float]]:
    """(name inside, stored values [bands, height, width], metres a pixel) of a path's scenes."""
    if path.suffix == ".zip":
        yield from _pictures(path)
    elif "each" not in group:
        values, distance = _raster(str(path))
        yield "", values[: len(group["bands"])], distance
    else:
        layers = []
        for band in group["bands"]:
            (file,) = path.glob(group["each"].format(band=band))
            address = str(file)
            if "variable" in group:
                address = f"netcdf:{file}:{group['variable'].format(band=band)}"
            layers.append(_raster(address))
        finest = max(layers, key=lambda layer: layer[0].shape[1])
        shape = finest[0].shape[1:]
        stack = np.stack([_enlarged(values, shape) for values, _ in layers])  # [bands, dates, ...]
        for date in range(group.get("dates", 1)):
            yield (f"#{date}" if "dates" in group else ""), stack[:, date], finest[1]


def _raster(address: str) -> tuple[Any, float]:
    """Stored values [bands, height, width] and metres a pixel (of degrees: at the equator)."""
    import rasterio

    with rasterio.open(address) as file:
        size = abs(file.res[1])
        if file.crs is not None and file.crs.is_geographic:
            size *= 111_320
        return file.read(), size


def _pictures(path: Path) -> Iterator[tuple[str, Any, float]]:
    from PIL import Image

    with zipfile.ZipFile(path) as archive:
        for name in sorted(archive.namelist()):
            if name.lower().endswith((".jpg", ".jpeg", ".png")):
                picture = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
                yield f"/{name}", np.asarray(picture).transpose(2, 0, 1), 1.0


def _enlarged(values: Any, shape: tuple[int, ...]) -> Any:
    """[dates, height, width] brought to a larger shape, bilinearly."""
    import torch
    from torch.nn.functional import interpolate

    if values.shape[1:] == shape:
        return values.astype(np.float32)
    grid = torch.from_numpy(values.astype(np.float32))[None]
    return interpolate(grid, size=shape, mode="bilinear")[0].numpy()


def _places(valid: NDArray[np.bool_], every: int) -> Iterator[tuple[int, int]]:
    """Top and left of the windows of SIDE that are valid but for a little."""
    height, width = valid.shape
    for top in range(0, max(1, height - SIDE + 1), every):
        for left in range(0, max(1, width - SIDE + 1), every):
            if valid[top : top + SIDE, left : left + SIDE].mean() >= LEAST:
                yield top, left

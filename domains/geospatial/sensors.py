"""What an instrument measures: the bands of a sensor, read from YAML."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from foundation.errors import InputError, UnknownName

FOLDER = Path(__file__).parent / "instruments"
NEAR = {"nir": "nir8", "nir8": "nir", "swir1": "swir16", "swir2": "swir22"}
"""Plain names, and what they are looked for as by a sensor that has no band of the name."""


@dataclass(frozen=True)
class Band:
    """One band of a sensor.

    wavelength: of its centre, nm. mean, std: of its values after the sensor's scale and offset.
    common: the name that STAC gives the band, e.g. "nir".
    """

    name: str
    wavelength: float
    mean: float
    std: float
    common: str | None = None


@dataclass(frozen=True)
class Sensor:
    """value = stored * scale + offset. resolution: metres a pixel, None where pictures differ."""

    name: str
    bands: tuple[Band, ...]
    scale: float = 1.0
    offset: float = 0.0
    resolution: float | None = None

    @property
    def reflectance(self) -> bool:
        """Whether its values are reflectances, 0 to about 1, and not 8-bit numbers."""
        return self.scale < 0.01

    def band(self, name: str) -> Band:
        """The band of a name or common name; case aside, B2 is B02, and nir the one there is."""
        for wanted in (plain(name), NEAR.get(plain(name))):
            for band in self.bands:
                if wanted in (plain(band.name), plain(band.common or "")):
                    return band
        raise UnknownName("band", name, [b.name for b in self.bands], f"of sensor {self.name}")


def standardised(values: NDArray[Any], bands: Sequence[Band]) -> NDArray[np.float32]:
    """Values [bands, height, width] in their bands' standard deviations, and asinh of those."""
    mean, std = (np.array([getattr(b, k) for b in bands], np.float32) for k in ("mean", "std"))
    scaled: NDArray[np.float32] = (values - mean[:, None, None]) / std[:, None, None]
    return np.arcsinh(scaled, dtype=np.float32)


@cache
def plain(name: str) -> str:
    """A band's name without case and without zeros that lead its number."""
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", name.strip().lower())


def read(path: Path) -> Sensor:
    """A sensor from its YAML; InputError names what is wrong with it."""
    try:
        values: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        bands = tuple(Band(**band) for band in values.pop("bands"))
        return Sensor(bands=bands, **values)
    except (OSError, yaml.YAMLError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} does not describe a sensor: {error}") from error


@cache
def named(name: str) -> Sensor:
    """A sensor that is built in, by name, or one of the user's own, by the path of its YAML."""
    if name.endswith((".yaml", ".yml")):
        return read(Path(name).expanduser())
    path = FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise UnknownName("sensor", name, known(), "(or give a YAML of your own)")
    return read(path)


def known() -> list[str]:
    """The names of the sensors that are built in."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))

"""What a model takes: its windows, bands and numbers, and how a sensor's values become those."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foundation.domains.geospatial.sensors import Band, Sensor
from foundation.errors import RequestError, SourceError

WHITE = 0.3
"""The reflectance that is white in a true-colour picture (ESA's Sentinel-2 TCI: 0.29 to 0.35)."""


@dataclass(frozen=True)
class Intake:
    """side, patch: pixels of a window and of a patch.

    bands: the common names that are needed, in the model's order; none: any bands there are.
    mean, std: of each of these bands, in the model's numbers; none: those of the sensor.
    numbers: what the model's numbers are: "deviations" of the sensor, "squashed" (asinh of those),
        "reflectance" times 10,000, or "picture", 0 to 1.
    dates: how many dates of one place it takes at most.
    """

    side: int = 64
    patch: int = 8
    bands: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    numbers: str = "squashed"
    dates: int = 1

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Intake":
        """From the options of a model's YAML; SourceError where they do not fit together."""
        known = {name: options[name] for name in cls.__dataclass_fields__ if name in options}
        for name in ("bands", "mean", "std"):
            known[name] = tuple(known.get(name, ()))
        made = cls(**known)
        if made.numbers not in ("deviations", "squashed", "reflectance", "picture"):
            raise SourceError(f"model.options.numbers: unknown '{made.numbers}'")
        if made.mean and not len(made.mean) == len(made.std) == len(made.bands):
            raise SourceError("model.options: give a mean and a std for each of bands")
        if made.side % made.patch:
            raise SourceError(f"model.options: side {made.side} is no multiple of {made.patch}")
        return made

    def factors(
        self, sensor: Sensor, bands: Sequence[Band]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Gain and shift a band: the sensor's value * gain + shift is the model's number."""
        if self.numbers in ("deviations", "squashed"):
            mean, std = (np.array([getattr(b, k) for b in bands]) for k in ("mean", "std"))
            return _float32(1 / std), _float32(-mean / std)
        if self.numbers == "reflectance":
            if not sensor.reflectance:
                raise RequestError(
                    f"is of sensor {sensor.name}, which tells no reflectance; the model needs one"
                )
            white = 1e-4
        else:
            white = WHITE if sensor.reflectance else 255.0
        mean, std = np.array(self.mean or [0.0]), np.array(self.std or [1.0])
        return _float32(np.broadcast_to(1 / (white * std), len(bands))), _float32(
            np.broadcast_to(-mean / std, len(bands))
        )

    def finished(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The last step, in place, [bands, height, width]: squashed, or cut off at black and white.

        Squashed, cloud and snow, many deviations away, neither drown the rest nor are cut off.
        """
        if self.numbers == "squashed":
            np.arcsinh(values, out=values)
        elif self.numbers == "picture":
            low, high = self.factors_of_picture()
            np.clip(values, low[:, None, None], high[:, None, None], out=values)
        return values

    def factors_of_picture(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Black and white of each band in the model's numbers."""
        mean, std = np.array(self.mean or [0.0]), np.array(self.std or [1.0])
        return _float32(-mean / std), _float32((1 - mean) / std)


class Units(NamedTuple):
    """How long a model's vectors are: of a window, and of a patch."""

    window: int
    patch: int


STARTER = Intake()


def _float32(values: Any) -> NDArray[np.float32]:
    return np.asarray(values, np.float32)

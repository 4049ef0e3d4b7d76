"""Which band of a raster is which band of a sensor: by name, and by position only aloud."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from foundation.domains.geospatial import sensors
from foundation.domains.geospatial.sensors import Band, Sensor
from foundation.errors import RequestError, UnknownName

COMMON = {
    3: ("red", "green", "blue"),
    4: ("red", "green", "blue", "nir"),
    6: ("blue", "green", "red", "nir", "swir16", "swir22"),
}
"""What unnamed bands are taken for, by their count."""
LIKELY = {
    ("uint8", 3): "picture",
    ("uint8", 4): "naip",
    ("uint8", 6): "landsat-7-dn",
}
"""The sensor of unnamed bands, by dtype and count; of any others SENSOR."""
SENSOR = "sentinel-2"


@dataclass(frozen=True)
class Layer:
    """One band of a raster that no one has interpreted yet.

    name: what the file calls it, or None. wavelength: nm, where the file tells.
    """

    name: str | None
    wavelength: float | None = None


@dataclass(frozen=True)
class Match:
    """Band `bands[i]` of the sensor is layer `layers[i]`. assumed: what the file did not say."""

    sensor: Sensor
    layers: tuple[int, ...]
    bands: tuple[Band, ...]
    assumed: str | None = None


def match(
    layers: Sequence[Layer],
    dtype: str,
    sensor: str | None = None,
    names: Sequence[str | None] | None = None,
) -> Match:
    """Tell what each layer is.

    sensor: the one the user names. names: the user's, one a layer, None for one to leave out.
    RequestError or UnknownName where it cannot be told.
    """
    if not layers:
        raise RequestError("has no band that could be looked at")
    if names is not None:
        return _by_users_names(layers, dtype, sensor, names)
    given = [layer.name for layer in layers]
    if any(layer.wavelength for layer in layers):
        return _by_wavelength(layers, sensors.named(sensor or SENSOR))
    if any(given):
        found = _by_names(given, dtype, sensor)
        if found is not None:
            return found
    return _by_position(layers, dtype, sensor)


def needed(found: Match, names: Sequence[str]) -> Match:
    """The bands a model needs, in its order; RequestError names one that is missing."""
    if not names:
        return found
    layers, bands = [], []
    for name in names:
        try:
            band = found.sensor.band(name)
        except UnknownName:
            band = None
        if band is None or band not in found.bands:
            known = "" if band is None or band.name == name else f" ({band.name})"
            has = ", ".join(b.common or b.name for b in found.bands)
            raise RequestError(
                f"lacks the band {name}{known} that the model needs; it has {has} of "
                f"{found.sensor.name}: task.bands=[...] names them otherwise"
            )
        bands.append(band)
        layers.append(found.layers[found.bands.index(band)])
    return Match(found.sensor, tuple(layers), tuple(bands), found.assumed)


def _by_users_names(
    layers: Sequence[Layer], dtype: str, sensor: str | None, names: Sequence[str | None]
) -> Match:
    if len(names) != len(layers):
        raise RequestError(
            f"has {len(layers)} bands, task.bands names {len(names)}: name each, null for none"
        )
    taken = [n for n, name in enumerate(names) if name is not None]
    if not taken:
        raise RequestError("task.bands leaves out every band")
    wanted = [str(names[n]) for n in taken]
    if sensor is None:
        found = _by_names(wanted, dtype, None)
        if found is None or len(found.layers) < len(wanted):
            raise RequestError(f"no one sensor has the bands {', '.join(wanted)}: give task.sensor")
        return Match(found.sensor, tuple(taken[n] for n in found.layers), found.bands)
    known = sensors.named(sensor)
    return Match(known, tuple(taken), tuple(known.band(name) for name in wanted))


def _by_names(names: Sequence[str | None], dtype: str, sensor: str | None) -> Match | None:
    """Layers whose names a sensor knows; None where no sensor knows at least one."""
    likely = LIKELY.get((dtype, len(names)), SENSOR)
    order = [likely, *(name for name in sensors.known() if name != likely)]
    choices = [sensors.named(name) for name in ([sensor] if sensor else order)]
    ranked = sorted(choices, key=lambda one: -len(_found(names, one)))
    best = _found(names, ranked[0])
    if not best:
        return None
    rivals = [s.name for s in ranked if _fits(names, s) == _fits(names, ranked[0])]
    assumed = None
    if len(rivals) > 1:
        assumed = f"bands named {', '.join(str(n) for n in names)} taken for {ranked[0].name}"
    return Match(ranked[0], tuple(best), tuple(best.values()), assumed)


def _fits(names: Sequence[str | None], sensor: Sensor) -> tuple[float, ...]:
    """The wavelengths a sensor gives to names, by which sensors are told apart."""
    return tuple(band.wavelength for band in _found(names, sensor).values())


def _found(names: Sequence[str | None], sensor: Sensor) -> Mapping[int, Band]:
    found: dict[int, Band] = {}
    for number, name in enumerate(names):
        try:
            band = sensor.band(name) if name else None
        except UnknownName:
            continue
        if band is not None and band not in found.values():
            found[number] = band
    return found


def _by_wavelength(layers: Sequence[Layer], sensor: Sensor) -> Match:
    """Each layer that lies within 40 nm of a band of the sensor, once."""
    taken: dict[int, Band] = {}
    for number, layer in enumerate(layers):
        near = min(sensor.bands, key=lambda band: abs(band.wavelength - (layer.wavelength or 0)))
        if abs(near.wavelength - (layer.wavelength or 0)) <= 40 and near not in taken.values():
            taken[number] = near
    if not taken:
        raise RequestError(f"has no band at a wavelength of sensor {sensor.name}")
    return Match(sensor, tuple(taken), tuple(taken.values()))


def _by_position(layers: Sequence[Layer], dtype: str, sensor: str | None) -> Match:
    count = len(layers)
    known = sensors.named(sensor or LIKELY.get((dtype, count), SENSOR))
    if sensor and len(known.bands) == count:
        bands = known.bands
    elif count in COMMON:
        bands = tuple(known.band(name) for name in COMMON[count])
    else:
        raise RequestError(
            f"has {count} unnamed bands, which could be anything: give task.bands=[...], a name "
            f"for each{'' if sensor else ', and task.sensor'}"
        )
    what = ", ".join(band.common or band.name for band in bands)
    note = f"{count} unnamed {dtype} bands taken for {what} of {known.name}"
    return Match(known, tuple(range(count)), bands, note)

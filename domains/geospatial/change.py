"""`task=change`: how far the vectors of each patch lie apart on two dates."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.adapter import Output
from foundation.domains.geospatial import cog, scene
from foundation.domains.geospatial.inputs import Change
from foundation.domains.geospatial.intake import Intake, Units
from foundation.domains.geospatial.outputs import named
from foundation.domains.geospatial.parts import Part, RasterParts
from foundation.domains.geospatial.reading import Question, Raster, opened
from foundation.domains.geospatial.warping import Grid
from foundation.errors import RequestError

LOOKED_AT = 1024  # pixels a side of the middle, on which the shift is measured
CLEAR = 1.5  # times the highest peak that noise would have; below it the shift cannot be told
ALIGNED = 1.0  # pixels of shift that are no change


class Changing:
    """Two dates of one scene."""

    def __init__(self, request: Change, sink: Path | None, intake: Intake, units: Units) -> None:
        self.request, self.sink, self.intake, self.units = request, sink, intake, units
        self.before = self._parts("before", request.before)
        self.after = self._parts("after", request.raster)
        self._count = 0

    def _parts(self, date: str, raster: str, grid: Grid | None = None) -> RasterParts:
        folder = None if self.sink is None else self.sink / date
        return RasterParts(self.request, folder, self.intake, self.units, grid, raster)

    def __iter__(self) -> Iterator[Part]:
        for part in self.before:
            self._count += 1
            yield part
        facts = self.before.facts
        grid = None
        if facts.crs is not None and facts.pixel is not None:
            grid = Grid(facts.crs, facts.pixel, facts.height, facts.width)
        self.after = self._parts("after", self.request.raster, grid)
        yield from self.after
        if (self.after.facts.height, self.after.facts.width) != (facts.height, facts.width):
            raise RequestError(
                f"{self.after.name} and {self.before.name} are pictures of different size"
            )

    def add(self, number: int, output: Output) -> None:
        if number < self._count:
            self.before.add(number, output)
        else:
            self.after.add(number - self._count, output)

    def join(self) -> Output:
        """The map of scores, and by how much the dates are shifted against each other."""
        for parts in (self.before, self.after):
            found = parts.summary()
            if found.reason is not None:
                return found
        scored = Scored.of(self.before, self.after)
        if not scored.patches:
            why = f"{self.before.name} and {self.after.name} share no valid patch"
            return Output(None, why, found.extra, refused=True)
        extra = {**found.extra, **self._shift(), "change": scored.mean, "change_95": scored.high}
        if self.sink is None or self.after.sink is None:
            return replace(found, extra=extra)
        self.sink.mkdir(parents=True, exist_ok=True)
        facts = self.after.facts
        cog.write(self.sink / "change.tif", facts, (s[None] for s in scored.rows()), ("change",))
        seen = np.concatenate(list(scene.coarse(scored.rows(), scene.apart(facts))))
        scene.picture(self.sink / "change.png", heat(seen, scored.high))
        return replace(found, value=named("change.tif", int(self.sink.name)), extra=extra)

    def _shift(self) -> dict[str, Any]:
        """How far the later date lies from the earlier one, in pixels, and whether that is little;
        None where it cannot be told."""
        request, facts = self.request, self.before.facts
        side = min(LOOKED_AT, facts.height, facts.width)
        top, left = (facts.height - side) // 2, (facts.width - side) // 2
        asked = Question(
            request.before, request.sensor, request.bands, request.resolution, request.offset
        )
        later = replace(asked, raster=request.raster, grid=self.after.grid)
        with opened(asked, self.intake) as one, opened(later, self.intake) as other:
            pair = _common(one, other, (top, top + side, left, left + side))
        found = shift(*pair)
        if found is None:
            return {"shift_rows": None, "shift_columns": None, "aligned": None}
        aligned = max(map(abs, found)) <= ALIGNED
        return {"shift_rows": found[0], "shift_columns": found[1], "aligned": aligned}


def _common(
    one: Raster, other: Raster, where: tuple[int, int, int, int]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The band of nearest wavelength of two rasters, without what is not valid."""
    apart = np.abs(np.subtract.outer(one.wavelengths, other.wavelengths))
    here, there = np.unravel_index(apart.argmin(), apart.shape)
    (first, seen), (second, too) = one.read(*where), other.read(*where)
    both = seen & too
    return np.where(both, first[here], 0), np.where(both, second[there], 0)


@dataclass(frozen=True)
class Scored:
    """1 - cosine of two dates' vectors, each date without its mean; see `measuring.distances`.

    mean, high: of the scores, and the value 5 % lie above.
    """

    before: RasterParts
    after: RasterParts
    means: tuple[NDArray[np.float64], NDArray[np.float64]]
    patches: int = 0
    mean: float = 0.0
    high: float = 0.0

    @classmethod
    def of(cls, before: RasterParts, after: RasterParts) -> "Scored":
        totals, count = np.zeros((2, before.units.patch)), 0
        for one, other in zip(before.strips(), after.strips(), strict=True):
            there = np.isfinite(one.vectors[..., 0]) & np.isfinite(other.vectors[..., 0])
            totals += [
                one.vectors[there].sum(0, np.float64),
                other.vectors[there].sum(0, np.float64),
            ]
            count += int(there.sum())
        means = totals / max(1, count)
        made = cls(before, after, (means[0], means[1]), count)
        counts, total = np.zeros(2000, np.int64), 0.0
        for scores in made.rows():
            seen = scores[np.isfinite(scores)]
            counts += np.histogram(seen, 2000, (0, 2))[0]
            total += float(seen.sum(dtype=np.float64))
        high = np.searchsorted(counts.cumsum(), 0.95 * max(1, count)) / 1000
        return replace(made, mean=total / max(1, count), high=float(high))

    def rows(self) -> Iterator[NDArray[np.float32]]:
        """The scores from the top, NaN where a date has none."""
        for one, other in zip(self.before.strips(), self.after.strips(), strict=True):
            first = one.vectors.astype(np.float32) - self.means[0].astype(np.float32)
            second = other.vectors.astype(np.float32) - self.means[1].astype(np.float32)
            norms = np.linalg.norm(first, axis=-1) * np.linalg.norm(second, axis=-1)
            scores = 1 - (first * second).sum(-1) / np.maximum(norms, 1e-12)
            yield scores.clip(0, 2).astype(np.float32)


def shift(one: NDArray[Any], other: NDArray[Any]) -> tuple[float, float] | None:
    """By how many rows and columns `other` lies after `one`, to a fraction of a pixel.

    Phase correlation (Kuglin and Hines 1975) of two bands [rows, columns], with a parabola through
    the peak; None where no peak stands out.
    """
    from scipy import fft

    window = np.outer(*(np.hanning(size) for size in one.shape))
    spectra = [fft.rfft2((band - band.mean()) * window) for band in (one, other)]
    product = spectra[1] * spectra[0].conj()
    surface = fft.irfft2(product / np.maximum(np.abs(product), 1e-12), one.shape)
    peak = np.unravel_index(surface.argmax(), surface.shape)
    if surface[peak] < CLEAR * (2 * np.log(surface.size) / surface.size) ** 0.5:
        return None
    found = []
    for axis, (place, size) in enumerate(zip(peak, surface.shape, strict=True)):
        line = np.take(surface[:, peak[1]] if axis == 0 else surface[peak[0]],
                       range(place - 1, place + 2), mode="wrap")  # fmt: skip
        bend = line[0] - 2 * line[1] + line[2]
        fraction = 0.5 * (line[0] - line[2]) / bend if bend < 0 else 0.0
        found.append(float((place + size // 2) % size - size // 2 + fraction))
    return found[0], found[1]


def heat(scores: NDArray[np.float32], most: float) -> NDArray[np.uint8]:
    """Scores as colours from dark to bright, NaN transparent, [rows, columns, 4]."""
    share = np.clip(np.nan_to_num(scores) / max(most, 1e-6), 0, 1)
    stops = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]])
    found = np.zeros((*scores.shape, 4), np.uint8)
    for band in range(3):
        found[..., band] = np.interp(share, np.linspace(0, 1, len(stops)), stops[:, band])
    found[..., 3] = 255 * np.isfinite(scores)
    return found

"""One raster, or several dates of one place as one: what is read together.

`{date}` in a raster's name stands for one raster a date, whose date is what stands there:
20200131, 2020-01-31, or 2020031 (year and day of the year).
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from foundation.domains.geospatial import reading
from foundation.domains.geospatial.intake import Intake
from foundation.domains.geospatial.reading import Question, Raster
from foundation.domains.geospatial.warping import Grid
from foundation.errors import RequestError

FORMS = {r"\d{8}": "%Y%m%d", r"\d{4}-\d\d-\d\d": "%Y-%m-%d", r"\d{7}": "%Y%j"}


@dataclass(frozen=True)
class Day:
    """A date as models take it: the year, and the day of it, from 1."""

    year: int
    day: int


@dataclass(frozen=True)
class Stack:
    """Open rasters on the pixels of the first, by date. days: none where there is one raster."""

    rasters: tuple[Raster, ...]
    days: tuple[Day, ...] = ()

    @property
    def first(self) -> Raster:
        return self.rasters[0]

    def read(
        self, top: int, bottom: int, left: int, right: int
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Numbers [bands, rows, columns], of a series [dates, bands, rows, columns], and which
        pixels are valid on every date."""
        found = [raster.read(top, bottom, left, right) for raster in self.rasters]
        if not self.days:
            return found[0]
        return np.stack([values for values, _ in found]), np.all([v for _, v in found], 0)


@contextmanager
def opened(question: Question, intake: Intake) -> Iterator[Stack]:
    """Open a raster or a series; InputError says what is wrong with it, without its name."""
    with ExitStack() as stack:
        if "{date}" not in question.raster:
            yield Stack((stack.enter_context(reading.opened(question, intake)),))
            return
        dated = _dated(question.raster)
        if len(dated) > intake.dates:
            raise RequestError(
                f"has {len(dated)} dates; the model takes {intake.dates} of one place"
            )
        rasters: list[Raster] = []
        for _, address in dated:
            asked = replace(question, raster=address, grid=question.grid or _grid(rasters))
            rasters.append(stack.enter_context(reading.opened(asked, intake)))
            if rasters[-1].wavelengths != rasters[0].wavelengths:
                raise RequestError(f"has other bands on {Path(address).name} than before")
        yield Stack(tuple(rasters), tuple(day for day, _ in dated))


def _grid(rasters: Sequence[Raster]) -> Grid | None:
    """That of the first date, to which the others are brought."""
    return rasters[0].grid if rasters else None


def _dated(raster: str) -> list[tuple[Day, str]]:
    """(date, address) of every raster of a series, the earliest first."""
    folder, pattern = Path(raster).parent, Path(raster).name
    form = re.escape(pattern).replace(re.escape("{date}"), f"({'|'.join(FORMS)})", 1)
    names = folder.iterdir() if folder.is_dir() else ()
    found = [(told[1], str(path)) for path in names if (told := re.fullmatch(form, path.name))]
    if not found:
        raise RequestError("names no raster: {date} stands for 20200131, 2020-01-31 or 2020031")
    return sorted(((_day(text), path) for text, path in found), key=lambda one: _order(one[0]))


def _day(text: str) -> Day:
    for form, meaning in FORMS.items():
        if re.fullmatch(form, text):
            try:
                date = datetime.strptime(text, meaning)
            except ValueError as error:
                raise RequestError(f"has '{text}' where a date should be") from error
            return Day(date.year, date.timetuple().tm_yday)
    raise RequestError(f"has '{text}' where a date should be")


def _order(day: Day) -> tuple[int, int]:
    return day.year, day.day

"""The files of one embedded scene: a raster of vectors, a table of windows, a picture."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foundation.domains.geospatial import cog, footprints
from foundation.domains.geospatial.facts import Facts
from foundation.durable import replacing

if TYPE_CHECKING:
    from foundation.domains.geospatial.strips import Strip

Strips = Callable[[], Iterator["Strip"]]
PICTURE = 2048  # pixels of the map's longer side, at most
SAMPLED = 2**16  # patches that the map's components are found on
LEAST = 0.5  # of the first component's spread, which fills the colours
KEY, LINE = 200, 18  # pixels of a key's width at least, and of each of its lines
LEVELS = 127  # of int8, on each side of 0; -128 is none


def write(folder: Path, facts: Facts, strips: Strips, name: str, store: str) -> None:
    """Write embedding.tif, map.png and windows.parquet into a folder."""
    _embedding(folder / "embedding.tif", facts, strips, store)
    _map(folder / "map.png", facts, strips)
    _table(folder / "windows.parquet", facts, strips, name)


def _embedding(path: Path, facts: Facts, strips: Strips, store: str) -> None:
    """A pixel a patch, a band a unit, NaN for none.

    Values have the precision of half floats, and are stored as floats whose last bits are zero and
    compress to nothing: with NBITS=16, GDAL 3.10 leaves what memory held around the last tiles.
    """
    names = [f"embedding_{number}" for number in range(next(strips()).vectors.shape[2])]
    if store == "float16":
        rows = (strip.vectors.transpose(2, 0, 1) for strip in strips())
        cog.write(path, facts, rows, names)
        return
    most = np.full(len(names), 1e-6)
    for strip in strips():
        seen = np.nan_to_num(np.abs(strip.vectors.astype(np.float32)))
        most = np.maximum(most, seen.max((0, 1)))
    scales = (most / LEVELS).astype(np.float32)
    cog.write(
        path,
        facts,
        (_levels(strip.vectors, scales) for strip in strips()),
        names,
        dtype="int8",
        nodata=-128,
        overviews="nearest",
        scales=scales.tolist(),
    )


def _levels(vectors: NDArray[np.float16], scales: NDArray[np.float32]) -> NDArray[np.int8]:
    found = np.round(vectors.astype(np.float32) / scales)
    levels: NDArray[np.int8] = np.where(np.isnan(found), -128, found).astype(np.int8)
    return levels.transpose(2, 0, 1)


def _table(path: Path, facts: Facts, strips: Strips, name: str) -> None:
    import pyarrow.parquet as pq

    writer = None
    with replacing(path) as part:
        number = 0
        for strip in strips():
            rows = footprints.table(strip, facts, name, number)
            number += len(rows)
            writer = writer or pq.ParquetWriter(part, rows.schema, compression="zstd")
            writer.write_table(rows)
        if writer is not None:
            writer.close()


def _map(path: Path, facts: Facts, strips: Strips) -> None:
    """Three principal components of the patches as red, green and blue; none is transparent."""
    axes = Components.of(np.concatenate(list(_sampled(facts, strips, SAMPLED))))
    rows = [axes.colours(some) for some in _vectors(strips, apart(facts))]
    picture(path, np.concatenate(rows))


def apart(facts: Facts) -> int:
    """How many patches lie between two that a picture of the scene shows."""
    return max(1, -(-max(facts.rows, facts.columns) // PICTURE))


def coarse(rows: Iterable[NDArray[Any]], step: int) -> Iterator[NDArray[Any]]:
    """Every `step`th patch down and across of rows [down, across, ...] from the top."""
    top = 0
    for some in rows:
        yield some[-top % step :: step, ::step]
        top += len(some)


def _vectors(strips: Strips, step: int) -> Iterator[NDArray[np.float32]]:
    for some in coarse((strip.vectors for strip in strips()), step):
        yield some.astype(np.float32)


def _sampled(facts: Facts, strips: Strips, count: int) -> Iterator[NDArray[np.float32]]:
    """About `count` vectors from all over the scene, as lists of rows."""
    step = max(1, int((facts.rows * facts.columns / count) ** 0.5))
    for rows in _vectors(strips, step):
        yield rows[np.isfinite(rows[..., 0])]


def picture(
    path: Path, colours: NDArray[np.uint8], key: Mapping[str, NDArray[np.uint8]] | None = None
) -> None:
    """Write colours [rows, columns, 4] as a PNG, enlarged where it would be small.

    key: what colours mean, told below the picture.
    """
    from PIL import Image, ImageDraw

    rows, columns = colours.shape[:2]
    larger = max(1, 512 // max(rows, columns))
    image = Image.fromarray(colours).resize(
        (columns * larger, rows * larger), Image.Resampling.NEAREST
    )
    if key:
        below = Image.new("RGBA", (max(image.width, KEY), image.height + LINE * len(key) + 8))
        below.paste((255, 255, 255, 255), (0, image.height, below.width, below.height))
        below.paste(image)
        draw = ImageDraw.Draw(below)
        for number, (name, colour) in enumerate(key.items()):
            top = image.height + 6 + LINE * number
            draw.rectangle((6, top, 18, top + 12), tuple(colour.tolist()))
            draw.text((26, top), name, fill=(0, 0, 0, 255))
        image = below
    with replacing(path) as part:
        image.save(part, format="png")


@dataclass(frozen=True)
class Components:
    """Three principal components: their axes [units, 3], and what is black and white of each."""

    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> "Components":
        """Of vectors [rows, units], of which 2 % are cut off at either end; of none, one colour."""
        if not len(vectors):
            units = vectors.shape[1]
            none = np.zeros(units, np.float32), np.zeros((units, 3), np.float32)
            return cls(*none, np.zeros(3, np.float32), np.ones(3, np.float32))
        mean = vectors.mean(0)
        centred = vectors - mean
        _, axes = np.linalg.eigh(centred.T @ centred)
        axes = axes[:, ::-1][:, :3]
        # An axis has no sign of its own: its largest share is made positive, so that maps agree.
        axes = axes * np.sign(axes[np.abs(axes).argmax(0), range(axes.shape[1])])
        low, high = np.percentile(centred @ axes, [2, 98], axis=0)
        # A component that varies little is not stretched to full colour: it would be noise.
        middle, half = (low + high) / 2, np.maximum(high - low, LEAST * (high - low)[0]) / 2
        return cls(mean, axes, middle - half, middle + half)

    def colours(self, vectors: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Vectors [rows, columns, units], NaN for none -> [rows, columns, 4] of red to alpha."""
        there = np.isfinite(vectors[..., 0])
        shares = (vectors[there] - self.mean) @ self.axes
        stretched = (shares - self.low) / np.maximum(self.high - self.low, 1e-6)
        found = np.zeros((*there.shape, 4), np.uint8)
        found[there, : stretched.shape[1]] = (255 * np.clip(stretched, 0, 1)).astype(np.uint8)
        found[there, 3] = 255
        return found

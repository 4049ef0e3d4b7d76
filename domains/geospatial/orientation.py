"""How stored pixels become north-up ones: by turns and mirrors alone, which lose nothing."""

from dataclasses import dataclass
from typing import Any

from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window


@dataclass(frozen=True)
class Turn:
    """First transposed, then mirrored along rows or columns."""

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

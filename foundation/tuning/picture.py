"""The curve of a training as a picture."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

WIDTH, HEIGHT = 1600, 900
LEFT, RIGHT, TOP, BOTTOM = 150, 60, 90, 110
PAGE, INK, FAINT, GRID = "white", "#1f2733", "#6b7686", "#e3e8ef"
LINES = (("loss", "#2456c9", "training"), ("held_out", "#c25a00", "held out"))


def picture(curve: Sequence[Mapping[str, Any]]) -> bytes:
    """A PNG of loss over steps, twice the size it has on a page."""
    from PIL import Image, ImageDraw

    page = Image.new("RGB", (WIDTH, HEIGHT), PAGE)
    brush = ImageDraw.Draw(page)
    points = {name: _points(curve, name) for name, _, _ in LINES}
    every = [point for line in points.values() for point in line]
    if every:
        _axes(brush, every)
        for name, colour, _ in LINES:
            _line(brush, points[name], every, colour)
        _legend(brush, points)
    file = io.BytesIO()
    page.save(file, "PNG", dpi=(192, 192))
    return file.getvalue()


Point = tuple[float, float]


def _points(curve: Sequence[Mapping[str, Any]], name: str) -> list[Point]:
    return [(row["step"], row[name]) for row in curve if row[name] is not None]


def _range(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    pad = 0.05 * (high - low) or max(0.05 * abs(high), 1e-6)
    return low - pad, high + pad


def _place(point: Point, every: Sequence[Point]) -> Point:
    (x0, x1), (y0, y1) = (0.0, max(x for x, _ in every)), _range([y for _, y in every])
    across = LEFT + (point[0] - x0) / (x1 - x0 or 1) * (WIDTH - LEFT - RIGHT)
    down = HEIGHT - BOTTOM - (point[1] - y0) / (y1 - y0) * (HEIGHT - TOP - BOTTOM)
    return across, down


def _axes(brush: Any, every: Sequence[Point]) -> None:
    font = _font(30)
    for value in _ticks(*_range([y for _, y in every])):
        _, y = _place((0, value), every)
        brush.line((LEFT, y, WIDTH - RIGHT, y), GRID, 2)
        brush.text((LEFT - 16, y), f"{value:.4g}", FAINT, font, anchor="rm")
    for value in _ticks(0, max(x for x, _ in every)):
        x, _ = _place((value, every[0][1]), every)
        brush.line((x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 10), FAINT, 2)
        brush.text((x, HEIGHT - BOTTOM + 16), f"{value:,.4g}", FAINT, font, anchor="mt")
    brush.line((LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM), FAINT, 2)
    brush.text((WIDTH / 2, HEIGHT - 16), "steps", INK, font, anchor="mb")


def _ticks(low: float, high: float) -> list[float]:
    """Four to ten round numbers between."""
    step = 10 ** math.floor(math.log10((high - low) or 1))
    step = next(step * k for k in (0.1, 0.2, 0.25, 0.5, 1, 2) if (high - low) / (step * k) <= 8)
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _line(brush: Any, points: Sequence[Point], every: Sequence[Point], colour: str) -> None:
    places = [_place(point, every) for point in points]
    if len(places) > 1:
        brush.line(places, colour, 5, joint="curve")
    for x, y in places if len(places) <= 40 else ():
        brush.ellipse((x - 7, y - 7, x + 7, y + 7), colour)


def _legend(brush: Any, points: Mapping[str, Sequence[Point]]) -> None:
    across = LEFT
    for name, colour, words in LINES:
        if points[name]:
            text = f"{words}  {points[name][-1][1]:.4g}"
            brush.line((across, TOP / 2, across + 50, TOP / 2), colour, 8)
            brush.text((across + 66, TOP / 2), text, INK, _font(32), anchor="lm")
            across += 66 + int(_font(32).getlength(text)) + 70


def _font(size: int) -> Any:
    from PIL import ImageFont

    return cast("Any", ImageFont.load_default(size))

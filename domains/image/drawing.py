"""Scenes -> pixels: signed distances, antialiased, jittered."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foundation.domains.image.scenes import COLOURS, Kind, Scene

SIDE = 48
RADIUS = {"small": 6.75, "large": 10.3}
NUMBERS = 40  # drawn numbers that a picture takes at most
RGB = {
    "red": (220, 38, 38),
    "orange": (249, 135, 15),
    "yellow": (250, 220, 30),
    "green": (34, 160, 70),
    "cyan": (40, 205, 225),
    "blue": (37, 80, 220),
    "purple": (145, 45, 180),
    "pink": (250, 130, 190),
}
NEUTRAL = (226, 226, 226)
TINT = 10  # largest change of a thing's channel, of 255
GROUND_TINT = 4
SHADE = 0.45  # how far towards a neighbour's a colour may lie where the caption says none
FREE = 0.5  # share of the room left in its cell by which a thing may be off the middle
TURN = math.radians(6)
CELL = SIDE // 2
REACH = 1.15  # of its radius: how far from its middle a thing's corners are, at most

Pixels = NDArray[np.floating[Any]]
_MIDDLES = np.arange(SIDE, dtype=np.float32) + 0.5


@dataclass(frozen=True)
class Thing:
    """An object in its place. x, y, radius: pixels; angle: radians; rgb: 0 to 255."""

    kind: Kind
    x: float
    y: float
    radius: float
    angle: float
    rgb: tuple[float, ...]


@dataclass(frozen=True)
class Picture:
    """pixels: [SIDE, SIDE, 3], 0 to 255. covers: share of each pixel under each thing, [things,
    SIDE, SIDE]."""

    pixels: Pixels
    covers: Pixels


def draw(scene: Scene, numbers: Iterator[float]) -> Picture:
    """Draw a scene; `numbers`, uniform in [0, 1), place and tint its things."""
    ground = NEUTRAL if scene.ground is None else RGB[scene.ground]
    pixels = np.empty((SIDE, SIDE, 3), np.float32)
    pixels[:] = _tinted(ground, numbers, GROUND_TINT)
    covers = np.zeros((len(scene.kinds), SIDE, SIDE), np.float32)
    for cover, thing in zip(covers, _placed(scene, numbers), strict=True):
        box = _box(thing)
        cover[box] = np.clip(0.5 - _distance(thing, box), 0, 1)
        pixels[box] += cover[box][..., None] * (np.array(thing.rgb, np.float32) - pixels[box])
    return Picture(pixels, covers)


def _placed(scene: Scene, numbers: Iterator[float]) -> list[Thing]:
    """Each thing in a cell of its own, so that none touches another."""
    things = []
    for (left, top, width, height), kind in zip(_cells(scene, numbers), scene.kinds, strict=True):
        radius = RADIUS[kind.size] * (1 + 0.05 * _signed(numbers))
        free = [FREE * max(0.0, side / 2 - radius - 1) for side in (width, height)]
        x = left + width / 2 + free[0] * _signed(numbers)
        y = top + height / 2 + free[1] * _signed(numbers)
        angle = TURN * _signed(numbers)
        if scene.tells_colour:
            rgb = _tinted(RGB[kind.colour], numbers)
        else:
            rgb = _shaded(kind.colour, SHADE * _signed(numbers))
        things.append(Thing(kind, x, y, radius, angle, rgb))
    return things


def _cells(scene: Scene, numbers: Iterator[float]) -> list[tuple[float, ...]]:
    """Where each thing may lie: left, top, width, height in pixels."""
    if scene.relation is not None:
        # The other axis stays within the middle, so that a relation is one and not two.
        middle, half = SIDE / 4, SIDE / 2
        cells = {
            "left of": [(0, middle, half, half), (half, middle, half, half)],
            "above": [(middle, 0, half, half), (middle, half, half, half)],
        }
        cells["right of"], cells["below"] = cells["left of"][::-1], cells["above"][::-1]
        return [tuple(map(float, cell)) for cell in cells[scene.relation]]
    if len(scene.kinds) == 1:
        return [(SIDE / 4, SIDE / 4, SIDE / 2, SIDE / 2)]
    order = sorted(range(4), key=[next(numbers) for _ in range(4)].__getitem__)
    return [
        (float(CELL * (n % 2)), float(CELL * (n // 2)), float(CELL), float(CELL))
        for n in order[: len(scene.kinds)]
    ]


def _box(thing: Thing) -> tuple[slice, slice]:
    """Rows and columns outside which the thing is not."""
    reach = REACH * thing.radius + 1
    first, last = (
        [int(min(SIDE, max(0.0, middle + way))) for middle in (thing.y, thing.x)]
        for way in (-reach, reach + 1)
    )
    return slice(first[0], last[0]), slice(first[1], last[1])


def _distance(thing: Thing, box: tuple[slice, slice]) -> Pixels:
    """Signed distance of a box's pixels' middles to the thing's edge, below 0 inside, in pixels."""
    x, y = _MIDDLES[None, box[1]] - thing.x, _MIDDLES[box[0], None] - thing.y
    cos, sin = math.cos(thing.angle), math.sin(thing.angle)
    distance: Pixels = _EDGES[thing.kind.shape](cos * x + sin * y, cos * y - sin * x, thing.radius)
    return distance


def _circle(x: Pixels, y: Pixels, r: float) -> Pixels:
    return np.hypot(x, y) - 0.92 * r


def _ring(x: Pixels, y: Pixels, r: float) -> Pixels:
    return np.abs(np.hypot(x, y) - 0.75 * r) - 0.21 * r


def _square(x: Pixels, y: Pixels, r: float) -> Pixels:
    return np.maximum(np.abs(x), np.abs(y)) - 0.8 * r


def _cross(x: Pixels, y: Pixels, r: float) -> Pixels:
    across, along = 0.3 * r, 0.97 * r
    level = np.maximum(np.abs(x) - along, np.abs(y) - across)
    return np.minimum(level, np.maximum(np.abs(x) - across, np.abs(y) - along))


def _triangle(x: Pixels, y: Pixels, r: float) -> Pixels:
    # Equilateral, point upwards, a little lower than its circle so that its box is in the middle.
    y = y - 0.2 * r
    sides = np.maximum(math.sqrt(0.75) * np.abs(x) - 0.5 * y, y)
    return np.asarray(sides - 0.52 * r, np.float32)


def _star(x: Pixels, y: Pixels, r: float) -> Pixels:
    # Five points: folded to a tenth of the circle, where the edge is one line.
    angle = np.arctan2(x, -y)
    folded = np.abs((angle + math.pi / 5) % (2 * math.pi / 5) - math.pi / 5)
    away = np.hypot(x, y)
    inner = 0.44 * r
    edge = np.array([r - inner * math.cos(math.pi / 5), -inner * math.sin(math.pi / 5)])
    normal = np.array([-edge[1], edge[0]]) / np.hypot(*edge)
    distance = normal[0] * (away * np.cos(folded) - r) + normal[1] * away * np.sin(folded)
    # The line goes on beyond the point, thinner than a pixel.
    return np.asarray(np.maximum(distance, away - r), np.float32)


_EDGES: dict[str, Any] = {
    "circle": _circle,
    "ring": _ring,
    "square": _square,
    "cross": _cross,
    "triangle": _triangle,
    "star": _star,
}


def _shaded(colour: str, share: float) -> tuple[float, ...]:
    """A colour, a share of the way to the one after it or, below 0, before it in the rainbow.

    Below a half it is nearer to itself than to any other. Of eight colours with none between them
    a network learnt which a shape may have, and drew red circles, held out, in orange.
    """
    place = COLOURS.index(colour) + (1 if share > 0 else -1)
    other = RGB[COLOURS[place % len(COLOURS)]]
    return tuple(a + abs(share) * (b - a) for a, b in zip(RGB[colour], other, strict=True))


def _tinted(
    rgb: tuple[int, ...], numbers: Iterator[float], most: float = TINT
) -> tuple[float, ...]:
    return tuple(min(255.0, max(0.0, value + most * _signed(numbers))) for value in rgb)


def _signed(numbers: Iterator[float]) -> float:
    return 2 * next(numbers) - 1

"""Did the picture show what was asked? Told from its pixels, by nothing that draws.

Rules of position and counting as in GenEval (Ghosh et al. 2023): a relation holds when the offset
of the boxes' middles, less a tenth of their sizes, points that way; a count holds when exactly so
many are found. Whatever is no clean shape of one colour is an object of no name, and counts as
nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

COLOURS = {
    "red": (222, 36, 36),
    "orange": (248, 134, 16),
    "yellow": (250, 220, 32),
    "green": (34, 160, 70),
    "cyan": (40, 205, 226),
    "blue": (38, 80, 220),
    "purple": (145, 45, 180),
    "pink": (250, 130, 190),
}
NEUTRAL = (226, 226, 226)
LARGE = 0.311  # of the picture's side: the root of a thing's box area above which it is large
_FAR = 60.0  # RGB distance beyond which a colour has no name
_SEEN = 34.0  # RGB distance from the background at which something is there
_LEAST = 0.006  # share of the picture that the smallest object covers
_ALIKE = 0.8  # intersection over union with a shape's template at which it is that shape
_GRID = 32
_SPAN = 2.1  # sides of the grid, in roots of the area
_OFFSET = 0.1


@dataclass(frozen=True)
class Wanted:
    """What a prompt asks for. shape, colour, size: None where it does not say."""

    shape: str
    colour: str | None = None
    size: str | None = None
    count: int = 1


@dataclass(frozen=True)
class Expected:
    """A prompt's meaning. exact: whether more than `count` are wrong (the skill of counting).

    relation: of the first wanted to the second. ground: the background's colour.
    """

    wanted: tuple[Wanted, ...]
    relation: str | None = None
    ground: str | None = None
    exact: bool = False


@dataclass(frozen=True)
class Seen:
    """An object found. box: left, top, right, bottom in pixels; size: small or large."""

    shape: str | None
    colour: str | None
    size: str
    box: tuple[float, float, float, float]


def right(picture: NDArray[Any], expected: Expected) -> tuple[bool, str]:
    """Whether a picture [height, width, 3] of 0 to 255 is what was asked for, and why not."""
    pixels = np.asarray(picture, dtype=np.float64)
    ground, objects = look(pixels)
    if expected.ground is not None and name_colour(ground) != expected.ground:
        return False, f"the background is {name_colour(ground) or 'of no such colour'}"
    groups = [[each for each in objects if _fits(each, wanted)] for wanted in expected.wanted]
    for wanted, found in zip(expected.wanted, groups, strict=True):
        if len(found) < wanted.count or (expected.exact and len(found) > wanted.count):
            return False, f"{len(found)} of {_said(wanted)}, not {wanted.count}"
    if expected.relation is not None:
        pairs = [(one, other) for one in groups[0] for other in groups[1] if one is not other]
        if not any(expected.relation in relations(one, other) for one, other in pairs):
            return False, f"none is {expected.relation} the other"
    return True, ""


def relations(one: Seen, other: Seen) -> set[str]:
    """Where one lies, seen from another; two answers on a diagonal, none where they coincide."""
    offset, sizes = [], []
    for axis in (0, 1):
        middles = [(each.box[axis] + each.box[axis + 2]) / 2 for each in (one, other)]
        sizes.append(sum(each.box[axis + 2] - each.box[axis] for each in (one, other)))
        offset.append(middles[0] - middles[1])
    length = math.hypot(*offset)
    if length == 0:
        return set()
    across, down = (
        math.copysign(max(abs(way) - _OFFSET * size, 0.0), way) / length
        for way, size in zip(offset, sizes, strict=True)
    )
    told = {"left of": -across, "right of": across, "above": -down, "below": down}
    return {name for name, share in told.items() if share > 0.5}


def look(pixels: Array) -> tuple[Array, list[Seen]]:
    """The background's colour and the objects before it."""
    from scipy import ndimage

    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    ground = np.median(edge, axis=0)
    there = np.linalg.norm(pixels - ground, axis=-1) > _SEEN
    pieces, count = ndimage.label(there, np.ones((3, 3)))
    least = _LEAST * there.size
    objects = []
    for number in range(1, count + 1):
        mask = pieces == number
        if mask.sum() >= least:
            objects += [_seen(part, pixels, ground) for part in _parts(mask, pixels, least)]
    return ground, objects


def name_colour(colour: Array) -> str | None:
    """The nearest colour's name, or None where none is near."""
    names = {**COLOURS, "neutral": NEUTRAL}
    far = {name: float(np.linalg.norm(colour - np.array(rgb))) for name, rgb in names.items()}
    nearest = min(far, key=far.__getitem__)
    return nearest if far[nearest] < _FAR else None


def _parts(mask: NDArray[np.bool_], pixels: Array, least: float) -> list[NDArray[np.bool_]]:
    """A piece, or its colours apart where it holds several objects that touch."""
    from scipy import ndimage

    palette = np.array(list(COLOURS.values()), dtype=np.float64)
    inside = ndimage.binary_erosion(mask)
    if not inside.any():
        return [mask]
    nearest = np.linalg.norm(pixels[:, :, None] - palette, axis=-1).argmin(-1)
    counts = np.bincount(nearest[inside], minlength=len(palette))
    major = np.flatnonzero(counts >= max(0.2 * counts.sum(), 0.5 * least))
    if len(major) < 2:
        return [mask]
    own = np.linalg.norm(pixels[:, :, None] - palette[major], axis=-1).argmin(-1)
    return [mask & (own == place) for place in range(len(major))]


def _seen(mask: NDArray[np.bool_], pixels: Array, ground: Array) -> Seen:
    from scipy import ndimage

    inside = ndimage.binary_erosion(mask)
    colour = np.median(pixels[inside if inside.sum() >= 4 else mask], axis=0)
    # How much of each pixel the object covers: its place between the two colours.
    line = colour - ground
    cover = np.clip((pixels - ground) @ line / (line @ line), 0, 1)
    cover = cover * ndimage.binary_dilation(mask)
    solid = cover > 0.5 if (cover > 0.5).any() else mask
    rows, columns = (np.flatnonzero(solid.any(axis)) for axis in (1, 0))
    box = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
    side = math.sqrt((box[2] - box[0]) * (box[3] - box[1])) / math.sqrt(mask.size)
    stray = np.linalg.norm(pixels[inside] - colour, axis=-1) if inside.any() else np.zeros(1)
    plain = np.median(stray) < _FAR / 2
    return Seen(
        shape=_name_shape(cover) if plain else None,
        colour=name_colour(colour) if plain else None,
        size="large" if side > LARGE else "small",
        box=box,
    )


def _name_shape(cover: Array) -> str | None:
    """The shape whose template, laid on the object's middle at its area, covers most of it."""
    normal, blur = _normalised(cover)
    overlaps = {
        name: max(
            float(np.minimum(normal, each).sum() / np.maximum(normal, each).sum())
            for each in templates
        )
        for name, templates in _templates(round(2 * blur) / 2).items()
    }
    best = max(overlaps, key=overlaps.__getitem__)
    return best if overlaps[best] >= _ALIKE else None


def _normalised(cover: Array) -> tuple[Array, float]:
    """Cover resampled to a grid, its middle in the middle and its area 1 / _SPAN**2 of the grid.

    With it how much that blurs, as a standard deviation in cells of the grid: a pixel's box and
    the triangle of the interpolation.
    """
    from scipy import ndimage

    area = cover.sum()
    middle = [(cover.sum(1 - axis) @ np.arange(cover.shape[axis])) / area for axis in (0, 1)]
    side = _SPAN * math.sqrt(area)
    places = ((np.arange(_GRID) + 0.5) / _GRID - 0.5) * side
    grid = np.meshgrid(places + middle[0], places + middle[1], indexing="ij")
    normal = np.asarray(ndimage.map_coordinates(cover, grid, order=1), np.float64)
    return normal, 0.5 * _GRID / side


@cache
def _templates(blur: float) -> dict[str, list[Array]]:
    """Each shape, a little turned either way, on the same grid as objects and as blurred."""
    from scipy import ndimage

    return {
        name: [ndimage.gaussian_filter(_template(points, turn), blur) for turn in (-8, -4, 0, 4, 8)]
        for name, points in _outlines().items()
    }


def _template(outlines: Sequence[Array], turn: float) -> Array:
    """Outlines filled by the even-odd rule at sixteen times the grid, middle and area as above."""
    from PIL import Image, ImageChops, ImageDraw

    fine, angle = 16 * _GRID, math.radians(turn)
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    middles, areas = zip(*(_middle(points) for points in outlines), strict=True)
    area = areas[0] - sum(areas[1:])
    picture = Image.new("1", (fine, fine))
    for points in outlines:
        layer = Image.new("1", (fine, fine))
        placed = ((points - middles[0]) @ rotation.T / (_SPAN * math.sqrt(area)) + 0.5) * fine
        ImageDraw.Draw(layer).polygon([tuple(point) for point in placed.tolist()], fill=1)
        picture = ImageChops.logical_xor(picture, layer)
    filled = np.asarray(picture, dtype=np.float64)
    return np.asarray(filled.reshape(_GRID, 16, _GRID, 16).mean((1, 3)), np.float64)


def _middle(points: Array) -> tuple[Array, float]:
    """Centroid and area of a polygon, by the shoelace formula."""
    after = np.roll(points, -1, 0)
    turn = points[:, 0] * after[:, 1] - after[:, 0] * points[:, 1]
    area = turn.sum() / 2
    return ((points + after) * turn[:, None]).sum(0) / (6 * area), abs(float(area))


def _outlines() -> dict[str, list[Array]]:
    """Corners of each shape, y downwards; its first outline is the outer one."""
    turns = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    disc = np.stack([np.cos(turns), np.sin(turns)], 1)
    points = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    long = np.where(np.arange(10) % 2 == 0, 1.0, 0.44)
    star = np.stack([np.sin(points), -np.cos(points)], 1) * long[:, None]
    arm = 0.31
    cross = [(-arm, -1), (arm, -1), (arm, -arm), (1, -arm), (1, arm), (arm, arm), (arm, 1)]
    cross += [(-arm, 1), (-arm, arm), (-1, arm), (-1, -arm), (-arm, -arm)]
    square = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    triangle = [(0.0, -1.0), (math.sqrt(0.75), 0.5), (-math.sqrt(0.75), 0.5)]
    return {
        "circle": [disc],
        "ring": [disc, 0.56 * disc],
        "star": [star],
        "cross": [np.array(cross, dtype=np.float64)],
        "square": [np.array(square, dtype=np.float64)],
        "triangle": [np.array(triangle)],
    }


def _fits(seen: Seen, wanted: Wanted) -> bool:
    asked = {"shape": wanted.shape, "colour": wanted.colour, "size": wanted.size}
    return all(value in (None, getattr(seen, name)) for name, value in asked.items())


def _said(wanted: Wanted) -> str:
    words = (wanted.size, wanted.colour, wanted.shape)
    return " ".join(word for word in words if word is not None)

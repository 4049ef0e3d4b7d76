"""GenEval's rules: are there the objects a prompt names, so many, so coloured, so placed?

Ghosh, Hajishirzi, Schmidt, "GenEval" (2023), section 3: detections above .3, above .9 where objects
are counted; a relation holds where the centres are apart by more than a tenth of both boxes' sides,
in a direction within 60 degrees of its axis; colours by CLIP on the object alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL import Image

SURE, COUNTED = 0.3, 0.9
MOST = 16  # objects of a class
APART = 0.1
TOWARDS = 0.5
AXES = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}


@dataclass(frozen=True)
class Seen:
    """An object: its class, how sure its finder is, and its box x0, y0, x1, y1 in pixels."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    mask: Any = None


class Looks(Protocol):
    """Who looks at a picture."""

    def objects(self, picture: "Image.Image", sure: float) -> Sequence[Seen]:
        """The objects found with at least that confidence."""
        ...

    def colour(self, picture: "Image.Image", seen: Seen) -> str:
        """The colour of an object."""
        ...


def judged(
    picture: "Image.Image", record: Mapping[str, Any], looks: Looks
) -> tuple[bool, str | None]:
    """Whether a picture is what a record asks for, and why it is not."""
    found = looks.objects(picture, COUNTED if record["tag"] == "counting" else SURE)
    groups: list[list[Seen]] = []
    for wanted in record["include"]:
        group, why = _group(picture, wanted, found, groups, looks)
        if why is not None:
            return False, why
        groups.append(group)
    for unwanted in record.get("exclude", ()):
        there = len(_of(found, unwanted["class"]))
        if there >= unwanted["count"]:
            return False, f"{there} of {unwanted['class']}, fewer than {unwanted['count']} wanted"
    return True, None


def relations(one: Seen, other: Seen) -> set[str]:
    """How one object lies to another, as names of AXES."""
    middles = [((box[0] + box[2]) / 2, (box[1] + box[3]) / 2) for box in (one.box, other.box)]
    sides = [(box[2] - box[0], box[3] - box[1]) for box in (one.box, other.box)]
    away = [middles[0][axis] - middles[1][axis] for axis in (0, 1)]
    clear = []
    for axis in (0, 1):
        beyond = max(abs(away[axis]) - APART * (sides[0][axis] + sides[1][axis]), 0.0)
        clear.append(beyond if away[axis] > 0 else -beyond)
    length = hypot(*away)
    if max(map(abs, clear)) < 1e-3:
        return set()
    return {
        name for name, (x, y) in AXES.items() if (clear[0] * x + clear[1] * y) / length > TOWARDS
    }


def _group(
    picture: "Image.Image",
    wanted: Mapping[str, Any],
    found: Sequence[Seen],
    groups: Sequence[Sequence[Seen]],
    looks: Looks,
) -> tuple[list[Seen], str | None]:
    name, count = wanted["class"], int(wanted["count"])
    there = _of(found, name)
    group = there[:count]
    if len(group) < count:
        return group, f"{len(group)} of {name}, {count} wanted"
    if "color" in wanted:
        colours = [looks.colour(picture, each) for each in group]
        if colours.count(wanted["color"]) < count:
            return group, f"{name} is {', '.join(colours)}, {wanted['color']} wanted"
    if "position" in wanted:
        relation, place = wanted["position"]
        for one in group:
            for other in groups[place]:
                if relation not in relations(one, other):
                    return group, f"{name} is not {relation} {other.name}"
    return group, None


def _of(found: Sequence[Seen], name: str) -> list[Seen]:
    own = [each for each in found if each.name == name]
    return sorted(own, key=lambda each: -each.score)[:MOST]

"""What the starter's pictures show: coloured shapes, and which combinations are held out.

Held out is the same for everybody and never a whole colour, shape or relation: 7 of the 48 pairs
(colour, shape), 7 of the 48 pairs (background, shape), and 9 of the 60 arrangements of two shapes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

COLOURS = ("red", "orange", "yellow", "green", "cyan", "blue", "purple", "pink")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
SIZES = ("small", "large")
RELATIONS = ("left of", "right of", "above", "below")
SKILLS = ("single", "two", "count", "colour", "position", "binding")
SPLITS = ("train", "held_out")
MOST = 4
NUMBERS = 24  # drawn numbers that a scene takes at most

Pair = tuple[str, str]
Arrangement = tuple[str, str, str]
Chosen = TypeVar("Chosen")

PAIRS = tuple((colour, shape) for colour in COLOURS for shape in SHAPES)
HELD_OUT_PAIRS = frozenset((COLOURS[n], SHAPES[5 * n % 6]) for n in range(7))
HELD_OUT_GROUNDS = frozenset((COLOURS[n + 1], SHAPES[(5 * n + 2) % 6]) for n in range(7))
ARRANGEMENTS = tuple(
    (one, other, relation)
    for one in SHAPES
    for other in SHAPES
    if one != other
    for relation in ("left of", "above")
)
HELD_OUT_ARRANGEMENTS = frozenset(ARRANGEMENTS[7 * n % 60] for n in range(9))


@dataclass(frozen=True)
class Kind:
    """One object: what may be said of it."""

    colour: str
    shape: str
    size: str


@dataclass(frozen=True)
class Scene:
    """One picture's content; where exactly things lie is the drawing's.

    kinds: one a thing. relation: of the first thing to the second, where there are two.
    ground: the background's colour, or None for a neutral one.
    tells_colour, tells_size, tells_relation: whether the caption says so.
    """

    skill: str
    kinds: tuple[Kind, ...]
    relation: str | None = None
    ground: str | None = None
    tells_colour: bool = True
    tells_size: bool = False
    tells_relation: bool = False


def arrangement(one: str, other: str, relation: str) -> Arrangement:
    """The arrangement's one name: what lies right of a thing has that thing at its left."""
    turned = {"right of": "left of", "below": "above"}
    return (other, one, turned[relation]) if relation in turned else (one, other, relation)


def compose(skill: str, split: str, numbers: Iterator[float]) -> Scene:
    """The scene of a skill that `numbers`, uniform in [0, 1), choose; at most NUMBERS are taken.

    split: "train" shows nothing that is held out; "held_out" shows what the skill holds out.
    """
    return _Composer(split == "held_out", numbers).scene(skill)


class _Composer:
    def __init__(self, held_out: bool, numbers: Iterator[float]) -> None:
        self.held_out, self.numbers = held_out, numbers

    def scene(self, skill: str) -> Scene:
        if skill in ("colour", "count"):
            kinds, relation = self._one(skill), None
        elif skill == "single":
            kinds, relation = (self._kind(_plain(self.held_out)),), None
        else:
            kinds, relation = self._two(skill)
        named = {"colour": True, "binding": True, "single": False, "two": False}
        return Scene(
            skill=skill,
            kinds=kinds,
            relation=relation,
            tells_colour=named.get(skill, self._maybe(0.5) or self._pairs_held_out(skill)),
            tells_size=self._maybe(0.4),
            tells_relation=skill == "position",
            ground=self._ground(skill, kinds),
        )

    def _one(self, skill: str) -> tuple[Kind, ...]:
        kind = self._kind(_held_out() if self.held_out else _plain(False))
        return (kind,) * (self._pick(range(1, MOST + 1)) if skill == "count" else 1)

    def _two(self, skill: str) -> tuple[tuple[Kind, ...], str]:
        if skill == "position" and self.held_out:
            return self._arranged()
        wanted = self._pairs_held_out(skill)
        first = self._kind(_held_out() if wanted else _plain(self.held_out))
        others = _others(
            (first.colour, first.shape), skill == "binding", wanted, self.held_out and not wanted
        )
        second = self._kind(others, first.size if self._maybe(0.5) else None)
        free = [
            relation
            for relation in RELATIONS
            if arrangement(first.shape, second.shape, relation) not in HELD_OUT_ARRANGEMENTS
        ]
        return (first, second), self._pick(free)

    def _arranged(self) -> tuple[tuple[Kind, ...], str]:
        one, other, relation = self._pick(sorted(HELD_OUT_ARRANGEMENTS))
        if self._maybe(0.5):
            other_way = {"left of": "right of", "above": "below"}
            one, other, relation = other, one, other_way[relation]
        first, second = (
            self._kind([pair for pair in _plain(False) if pair[1] == shape])
            for shape in (one, other)
        )
        return (first, second), relation

    def _ground(self, skill: str, kinds: Sequence[Kind]) -> str | None:
        held_out = self.held_out and skill in ("single", "two")
        if not self._maybe(0.3) and not held_out:
            return None

        def fits(ground: str) -> bool:
            told = [(ground, kind.shape) in HELD_OUT_GROUNDS for kind in kinds]
            return all(kind.colour != ground for kind in kinds) and any(told) == held_out

        free = [ground for ground in COLOURS if fits(ground)]
        return self._pick(free) if free else None

    def _pairs_held_out(self, skill: str) -> bool:
        return self.held_out and skill in ("colour", "count", "binding")

    def _kind(self, pairs: Sequence[Pair], size: str | None = None) -> Kind:
        colour, shape = self._pick(pairs)
        return Kind(colour, shape, size or self._pick(SIZES))

    def _pick(self, choices: Sequence[Chosen]) -> Chosen:
        return choices[int(next(self.numbers) * len(choices))]

    def _maybe(self, share: float) -> bool:
        return next(self.numbers) < share


@cache
def _held_out() -> tuple[Pair, ...]:
    return tuple(pair for pair in PAIRS if pair in HELD_OUT_PAIRS)


@cache
def _plain(on_ground: bool) -> tuple[Pair, ...]:
    """Pairs that are trained on and, if asked, visible on the background that is held out."""
    hidden = HELD_OUT_PAIRS | (HELD_OUT_GROUNDS if on_ground else frozenset())
    return tuple(pair for pair in PAIRS if pair not in hidden)


@cache
def _others(first: Pair, other_colour: bool, held_out: bool, on_ground: bool) -> tuple[Pair, ...]:
    """What may stand beside `first`: another shape, if asked of another colour."""
    return tuple(
        pair
        for pair in (_held_out() if held_out else _plain(on_ground))
        if pair[1] != first[1]
        and not (other_colour and pair[0] == first[0])
        and not (on_ground and (pair[0], first[1]) in HELD_OUT_GROUNDS)
    )

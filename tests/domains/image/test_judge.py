"""The judge says yes to what was drawn as asked, and no to what was not."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat

import numpy as np
import pytest
from scipy import ndimage

from foundation.domains.image import drawing, judge
from foundation.domains.image.asking import Asked, ask, expect
from foundation.domains.image.judge import Expected, Seen, Wanted, relations, right
from foundation.domains.image.scenes import SHAPES, SKILLS, Kind, Scene

EACH = 40


def asked(skill: str, count: int = EACH) -> Iterator[tuple[Asked, np.ndarray]]:
    for number in range(count):
        one = ask("train" if number % 2 else "held_out", skill, number, seed=11)
        yield one, one.drawn().pixels.round()


def share(skill: str, spoil) -> float:
    """Of pictures spoilt so that they are wrong, the share that the judge still takes."""
    taken = [right(spoil(one, picture), one.expected)[0] for one, picture in asked(skill)]
    return sum(taken) / len(taken)


def redrawn(one: Asked, *kinds: Kind) -> np.ndarray:
    scene = replace(one.scene, kinds=kinds or one.scene.kinds)
    return drawing.draw(scene, iter(one.numbers)).pixels.round()


def test_true_drawings_are_right():
    verdicts = [right(p, one.expected) for skill in SKILLS for one, p in asked(skill)]
    wrong = [why for fine, why in verdicts if not fine]
    assert len(wrong) <= 0.005 * len(verdicts), wrong


@pytest.mark.parametrize("skill", ["colour", "binding"])
def test_another_colour_is_wrong(skill):
    assert share(skill, lambda one, picture: picture[..., [1, 2, 0]]) == 0


@pytest.mark.parametrize("skill", SKILLS)
def test_another_shape_is_wrong(skill):
    def other(one, picture):
        first, *rest = one.scene.kinds
        taken = {kind.shape for kind in one.scene.kinds}
        shape = next(shape for shape in SHAPES[::-1] if shape not in taken)
        return redrawn(one, replace(first, shape=shape), *rest)

    assert share(skill, other) <= 0.02


@pytest.mark.parametrize("skill", SKILLS)
def test_shapes_that_are_blobs_are_wrong(skill):
    # A circle is a blob, and a large square stays one.
    blobs = sum(
        all(kind.shape in ("circle", "square") for kind in one.scene.kinds)
        for one, _ in asked(skill)
    )

    def blurred(one, picture):
        return ndimage.gaussian_filter(picture, (4, 4, 0), mode="nearest")

    assert share(skill, blurred) <= blobs / EACH


@pytest.mark.parametrize("skill", ["two", "position", "binding", "count"])
def test_a_thing_too_few_is_wrong(skill):
    def without(one, picture):
        cover = one.drawn().covers[0][..., None] > 0
        return np.where(cover, picture[0, 0], picture)

    assert share(skill, without) == 0


def test_a_thing_too_many_is_wrong_only_when_counting():
    star = Kind("red", "star", "small")
    three = Scene("count", (star,) * 3)
    picture = drawing.draw(three, repeat(0.3)).pixels
    assert right(picture, expect(three))[0]
    assert right(picture, expect(replace(three, kinds=(star,) * 2))) == (
        False,
        "3 of red star, not 2",
    )
    assert right(picture, Expected((Wanted("star", "red"),)))[0]


def test_a_mirrored_relation_is_wrong():
    def turned(one, picture):
        return picture[::-1, ::-1] if one.expected.relation else picture

    def symmetric(one, picture):
        # A triangle or star turned over is no triangle or star of the templates.
        kinds = [replace(k, shape=s) for k, s in zip(one.scene.kinds, ("circle", "square"),
                                                     strict=True)]  # fmt: skip
        return redrawn(one, *kinds)

    wrong = 0
    for one, picture in asked("position"):
        plain = symmetric(one, picture)
        wanted = tuple(
            replace(each, shape=shape)
            for each, shape in zip(one.expected.wanted, ("circle", "square"), strict=True)
        )
        expected = replace(one.expected, wanted=wanted)
        assert right(plain, expected)[0]
        wrong += right(turned(one, plain), expected)[0]
    assert wrong == 0


def test_swapped_colours_are_wrong():
    def swapped(one, picture):
        first, second = one.scene.kinds
        return redrawn(
            one, replace(first, colour=second.colour), replace(second, colour=first.colour)
        )

    assert share("binding", swapped) == 0


def test_another_background_is_wrong():
    def other(one, picture):
        ground = next(c for c in judge.COLOURS if c not in (one.scene.ground, "red"))
        return drawing.draw(replace(one.scene, ground=ground), iter(one.numbers)).pixels.round()

    assert share("single", other) <= 0.7  # those that name none
    assert all(
        not right(other(one, p), one.expected)[0]
        for one, p in asked("single")
        if one.expected.ground
    )


def test_another_size_is_wrong():
    for one, _ in asked("colour"):
        kind = one.scene.kinds[0]
        other = "large" if kind.size == "small" else "small"
        expected = replace(one.expected, wanted=(Wanted(kind.shape, kind.colour, kind.size),))
        assert right(redrawn(one), expected)[0]
        assert not right(redrawn(one, replace(kind, size=other)), expected)[0]


@pytest.mark.parametrize("value", [0.0, 127.0, 255.0])
def test_an_empty_picture_shows_nothing(value):
    for skill in SKILLS:
        one = ask("train", skill, 0, 0)
        assert not right(np.full((64, 64, 3), value), one.expected)[0]


def test_noise_shows_nothing():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    assert not any(right(noise, one.expected)[0] for skill in SKILLS for one, _ in asked(skill, 4))


def test_a_larger_picture_is_judged_alike():
    for skill in SKILLS:
        for one, picture in asked(skill, 4):
            assert right(picture.repeat(2, 0).repeat(2, 1), one.expected)[0]


def test_a_diagonal_is_both_and_a_near_one_is_one():
    def at(x, y):
        return Seen("circle", "red", "small", (x - 5.0, y - 5.0, x + 5.0, y + 5.0))

    assert relations(at(10, 10), at(40, 40)) == {"left of", "above"}
    assert relations(at(10, 18), at(40, 20)) == {"left of"}
    assert relations(at(20, 40), at(20, 10)) == {"below"}
    assert relations(at(20, 20), at(21, 21)) == set()

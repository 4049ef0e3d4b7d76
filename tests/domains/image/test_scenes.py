"""What is drawn: nothing held out is shown in training, and captions say what the picture has."""

from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.domains.image import drawing, plan, scenes
from foundation.domains.image.scenes import COLOURS, RELATIONS, SHAPES, SKILLS, Scene
from foundation.domains.image.wording import caption, phrases, vocabulary
from foundation.draws import Draws
from foundation.errors import RequestError

COUNT = scenes.NUMBERS + drawing.NUMBERS + 8


def drawn(skill: str, split: str, number: int) -> tuple[Scene, drawing.Picture, str]:
    numbers = iter(Draws(3, [number]).uniform(0, (COUNT,))[0].tolist())
    scene = scenes.compose(skill, split, numbers)
    return scene, drawing.draw(scene, numbers), caption(scene, numbers)


def arranged(scene: Scene) -> set[scenes.Arrangement]:
    if scene.relation is None:
        return set()
    return {scenes.arrangement(*(kind.shape for kind in scene.kinds), scene.relation)}


def pairs(scene: Scene) -> set[scenes.Pair]:
    return {(kind.colour, kind.shape) for kind in scene.kinds}


def grounds(scene: Scene) -> set[tuple[str | None, str]]:
    return {(scene.ground, kind.shape) for kind in scene.kinds}


def test_no_whole_colour_shape_or_arrangement_is_held_out():
    for held_out in (scenes.HELD_OUT_PAIRS, scenes.HELD_OUT_GROUNDS):
        assert len(held_out) == 7
        assert all(sum(pair[0] == colour for pair in held_out) <= 1 for colour in COLOURS)
        assert all(sum(pair[1] == shape for pair in held_out) <= 2 for shape in SHAPES)
    held = scenes.HELD_OUT_ARRANGEMENTS
    assert len(held) == 9
    for one in SHAPES:
        for other in SHAPES:
            ways = {scenes.arrangement(one, other, way) for way in RELATIONS} - held
            assert one == other or len(ways) >= 2


@pytest.mark.parametrize("skill", SKILLS)
@given(number=st.integers(0, 2**40))
def test_a_colour_between_two_is_still_the_nearer_one(skill, number):
    scene, picture, _ = drawn(skill, "train", number)
    names, colours = list(drawing.RGB), np.array(list(drawing.RGB.values()))
    for kind, cover in zip(scene.kinds, picture.covers, strict=True):
        away = np.linalg.norm(colours - picture.pixels[cover == 1].mean(0), axis=1)
        assert names[away.argmin()] == kind.colour


@pytest.mark.parametrize("skill", SKILLS)
@given(number=st.integers(0, 2**40))
def test_training_shows_nothing_held_out(skill, number):
    scene, _, _ = drawn(skill, "train", number)
    assert not pairs(scene) & scenes.HELD_OUT_PAIRS
    assert not grounds(scene) & scenes.HELD_OUT_GROUNDS
    assert not arranged(scene) & scenes.HELD_OUT_ARRANGEMENTS


@pytest.mark.parametrize("skill", SKILLS)
@given(number=st.integers(0, 2**40))
def test_held_out_scenes_ask_for_what_is_held_out(skill, number):
    scene, _, text = drawn(skill, "held_out", number)
    if skill in ("colour", "count", "binding"):
        assert pairs(scene) <= scenes.HELD_OUT_PAIRS
        assert scene.tells_colour
    elif skill == "position":
        assert arranged(scene) <= scenes.HELD_OUT_ARRANGEMENTS
    else:
        assert grounds(scene) & scenes.HELD_OUT_GROUNDS
        assert text.endswith("background")


@given(skill=st.sampled_from(SKILLS), number=st.integers(0, 2**40))
def test_a_picture_shows_its_scene_and_its_caption_is_of_known_words(skill, number):
    scene, picture, text = drawn(skill, "train", number)
    assert set(text.split()) <= set(vocabulary())
    assert len(text.split()) <= 22
    assert len(picture.covers) == len(scene.kinds)
    assert picture.covers.sum(0).max() <= 1 + 1e-5  # none overlaps another
    edges = [picture.covers[:, edge].max() for edge in (0, -1)]
    assert max(edges) == 0  # none is cut
    middles = [np.argwhere(cover > 0.5).mean(0) for cover in picture.covers]
    if scene.relation is not None:
        down, right = middles[0] - middles[1]
        axis = {"left of": -right, "right of": right, "above": -down, "below": down}
        assert axis[scene.relation] > 10


def test_pictures_depend_on_their_numbers_alone():
    one, again, other = (drawn("position", "train", n) for n in (5, 5, 6))
    assert one[2] == again[2]
    assert (one[1].pixels == again[1].pixels).all()
    assert (one[1].pixels != other[1].pixels).any()


def test_captions_read_as_a_person_would_write_them():
    circle, star = scenes.Kind("orange", "circle", "small"), scenes.Kind("red", "star", "large")
    texts = [
        caption(Scene("colour", (circle,)), iter([])),
        caption(Scene("count", (star,) * 3, tells_size=True, ground="blue"), iter([])),
        caption(Scene("two", (circle, star), tells_colour=False), iter([])),
        caption(Scene("position", (circle, star), "left of", tells_relation=True), iter([0.1])),
        caption(Scene("position", (circle, star), "above", tells_relation=True), iter([0.1])),
    ]
    assert texts == [
        "an orange circle",
        "three large red stars on a blue background",
        "a circle and a star",
        "an orange circle to the left of a red star",
        "an orange circle above a red star",
    ]


def test_a_plan_names_rows_and_refuses_what_it_does_not_know(tmp_path):
    path = tmp_path / "plan.yaml"
    path.write_text("split: train\nskills: {count: 2, two: 1}\n")
    assert [row["scene"] for row in plan.read(path)] == ["train/count"] * 2 + ["train/two"]
    for wrong in ("split: test\nskills: {}", "split: train\nskills: {dance: 1}", "- 1", ":"):
        path.write_text(wrong)
        with pytest.raises(RequestError):
            list(plan.read(path))


def test_drawing_takes_no_more_numbers_than_it_says():
    endless = chain([0.999], iter(lambda: 0.999, None))
    for skill in SKILLS:
        counted = islice(endless, scenes.NUMBERS)
        scene = scenes.compose(skill, "train", counted)
        drawing.draw(scene, islice(endless, drawing.NUMBERS))


def test_each_word_of_a_phrase_is_told_its_colour_and_its_noun() -> None:
    text = "two small red circles and a square on a pink background"
    words = text.split()
    told = dict(zip(words, phrases(words), strict=True))
    red, pink = COLOURS.index("red") + 1, COLOURS.index("pink") + 1
    circle, square = SHAPES.index("circle") + 1, SHAPES.index("square") + 1
    assert [told[word] for word in ("small", "red", "circles")] == [(red, circle)] * 3
    assert told["square"] == (0, square)
    assert told["pink"] == told["background"] == (pink, len(SHAPES) + 1)
    assert told["two"] == told["and"] == told["on"] == (0, 0)

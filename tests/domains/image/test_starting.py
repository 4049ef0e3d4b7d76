"""Pictures that begin from a picture, whole or within a mask."""

import numpy as np
import pytest
from PIL import Image

from foundation.domains.image.inputs import Generate
from foundation.draws import Draws
from foundation.errors import RequestError


@pytest.fixture
def files(tmp_path):
    """A picture that is red on the left and blue on the right, a grey one, and a mask."""
    pixels = np.zeros((32, 48, 3), np.uint8)
    pixels[:, :24, 0] = pixels[:, 24:, 2] = 200
    mask = np.zeros((32, 48), np.uint8)
    mask[8:24, 8:24] = 255
    for name, each in (("red", pixels), ("grey", np.full_like(pixels, 90)), ("mask", mask)):
        Image.fromarray(each).save(tmp_path / f"{name}.png")
    return {name: str(tmp_path / f"{name}.png") for name in ("red", "grey", "mask")}


def drawn(model, requests, ids):
    made = dict(model.adapter.run("generate", requests, Draws(3, ids)))
    assert all(output.reason is None for output in made.values()), made
    return {ids[row]: output.value.astype(int) for row, output in made.items()}


@pytest.mark.parametrize("kind", ["sd", "flux"])
def test_each_picture_begins_from_its_own_and_is_the_same_alone(tiny, files, kind):
    model = tiny(kind)
    requests = [
        Generate("a cat", image=files[name], strength=0.5, steps=4) for name in ("red", "grey")
    ]
    together = drawn(model, requests, [0, 1])
    assert together[0].shape == (32, 48, 3)  # the size of the picture it begins from
    alone = drawn(model, requests[1:], [1])
    assert np.abs(alone[1] - together[1]).max() <= 1
    other = drawn(model, [Generate("a cat", image=files["red"], strength=0.5, steps=4)], [1])
    assert np.abs(other[1] - together[1]).max() > 1  # the picture matters


def test_what_a_mask_keeps_stays_as_it_was_to_the_bit(tiny, files):
    model = tiny("sd")
    request = Generate("a cat", image=files["red"], mask=files["mask"], steps=3)
    made = drawn(model, [request], [0])[0]
    before = np.asarray(Image.open(files["red"])).astype(int)
    kept = np.asarray(Image.open(files["mask"])) < 128
    assert (made[kept] == before[kept]).all()
    assert np.abs(made[~kept] - before[~kept]).max() > 1
    assert drawn(model, [Generate("a cat", width=32, height=32)], [0])[0].shape == (32, 32, 3)


def test_a_pipeline_that_begins_from_nothing_says_so(tiny, files):
    request = Generate("a", image=files["red"])
    ((_, output),) = tiny("prx").adapter.run("generate", [request], Draws(0, [0]))
    assert output.refused
    assert output.reason == "image: PRXPixelPipeline does not draw from a picture"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"image": "/no/such.png"}, "there is no picture"),
        ({"image": "/"}, "is a folder"),
        ({"mask": "x.png"}, "give image, too"),
        ({"strength": 0.5}, "give image, too"),
        ({"image": "{red}", "strength": 0}, "above 0"),
        ({"image": "{text}"}, "no picture that can be read"),
    ],
)
def test_wrong_beginnings_are_refused_in_a_line(given, why, files, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    paths = {**files, "text": str(tmp_path / "text.png")}
    given = {k: v.format(**paths) if isinstance(v, str) else v for k, v in given.items()}
    with pytest.raises(RequestError, match=why) as caught:
        Generate("a", **given)
    assert len(str(caught.value).splitlines()) == 1

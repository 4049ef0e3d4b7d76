"""Every kind of file says how its picture was drawn and redraws it; unfinished ones can be seen."""

import numpy as np
import pytest
from PIL import Image

from foundation.domains.image.inputs import Generate
from foundation.domains.image.metadata import read_request
from foundation.draws import Draws
from foundation.errors import RequestError


@pytest.mark.parametrize(("kind", "suffix"), [("jpeg", "jpg"), ("webp", "webp")])
def test_other_formats_redraw_what_they_show(tiny, tmp_path, kind, suffix):
    model = tiny("sd")
    given = {"width": 32, "height": 40, "format": kind, "negative": "ein Zürcher Hündchen, 日本"}
    model.generate(prompts=["a cat", "ein Vögelchen"], folder=tmp_path / "one", **given).finish()
    path = tmp_path / "one" / "images" / f"000001.{suffix}"
    told = read_request(path)
    assert told["prompt"] == "ein Vögelchen"
    assert told["negative"] == given["negative"]
    model.generate(input=str(path), folder=tmp_path / "two", seed=99).finish()
    with (
        Image.open(path) as before,
        Image.open(tmp_path / "two" / "images" / f"000000.{suffix}") as again,
    ):
        assert again.size == (32, 40)
        # A JPEG's own rounding is a few shades.
        far = np.abs(np.asarray(before).astype(int) - np.asarray(again)).max()
        assert far <= (8 if kind == "jpeg" else 1)


def test_a_picture_that_says_nothing_is_refused(tmp_path):
    for name in ("a.png", "a.jpg", "a.webp"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
        with pytest.raises(RequestError, match="does not say how it was drawn"):
            read_request(tmp_path / name)


def test_thumbnails_are_of_the_first_pictures_alone(tiny):
    rows = tiny("sd").generate(prompts=["a"], count=26, width=32, height=32, steps=1).table()
    shown = [row["thumbnail"] is not None for row in rows.to_pylist()]
    assert shown == [True] * 24 + [False] * 2


@pytest.mark.parametrize("kind", ["sd", "flux", "prx"])
def test_unfinished_pictures_are_shown_after_each_step(tiny, tmp_path, kind):
    side, seen = (64 if kind == "prx" else 32), []
    model = tiny(kind)
    given = {"width": side, "height": side, "steps": 3}
    requests = [
        Generate("a", image_seed=1, preview=lambda *shown: seen.append(shown), **given),
        Generate("b", image_seed=2, preview=str(tmp_path / "p"), **given),
    ]
    made = dict(model.adapter.run("generate", requests, Draws(0, [0, 1])))
    assert [(seed, step) for seed, step, _ in seen] == [(1, 0), (1, 1), (1, 2)]
    assert seen[-1][2].shape == (side, side, 3)
    # The last one is the picture.
    assert np.abs(seen[-1][2].astype(int) - made[0].value).max() <= 1
    with Image.open(tmp_path / "p" / "2.png") as shown:
        assert np.abs(np.asarray(shown).astype(int) - made[1].value).max() <= 1

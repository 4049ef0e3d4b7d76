"""Pictures of every format and their sheet tell altered from unaltered."""

import pytest

from foundation.trust.verify import verify


@pytest.mark.parametrize(("kind", "suffix"), [("png", "png"), ("jpeg", "jpg"), ("webp", "webp")])
def test_a_picture_tells_whether_it_was_altered(tiny, told_apart, tmp_path, kind, suffix) -> None:
    given = {"width": 32, "height": 32, "steps": 1, "format": kind}
    tiny("sd").generate(prompts=["ein Vögelchen"], folder=tmp_path / "run", **given).finish()
    told_apart(tmp_path / "run", f"images/*.{suffix}", "contact.png", "results.parquet")
    (found,) = verify(tmp_path / "run" / "images" / f"000000.{suffix}")
    assert found.state == "unaltered"


def test_a_copied_picture_says_what_drew_it(tiny, tmp_path) -> None:
    given = {"width": 32, "height": 32, "steps": 1}
    tiny("sd").generate(prompts=["a"], folder=tmp_path / "run", seed=5, **given).finish()
    (tmp_path / "run" / "images" / "000000.png").rename(tmp_path / "mine.png")
    (found,) = verify(tmp_path / "mine.png")
    assert "image/sd at " in found.why
    assert found.why.endswith("seed 5, row 0")

"""Pictures of every format and their sheet tell altered from unaltered."""

import pytest
from PIL import Image

from foundation.cli import main
from foundation.domains.image.metadata import _told, save
from foundation.trust.seal import BLANK, seal
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


@pytest.mark.parametrize(("kind", "suffix"), [("png", "png"), ("jpeg", "jpg")])
def test_a_picture_that_lies_anywhere_is_drawn_again(tmp_path, capsys, kind, suffix) -> None:
    run, mine, forged = tmp_path / "run", tmp_path / f"mine.{suffix}", tmp_path / f"forged.{suffix}"
    words = ["model=image/starter", "task.steps=2", f"task.format={kind}", "seed=4"]
    asked = 'task.prompts=["a red circle", "a blue square"]'
    assert main([*words, asked, f"hydra.run.dir={run}"]) == 0
    (run / "images" / f"000001.{suffix}").rename(mine)
    assert main(["task=verify", f"task.input={mine}", "task.redraw=1"]) == 0
    assert capsys.readouterr().out.strip().endswith("; made again it shows the same")
    with Image.open(run / "images" / f"000000.{suffix}") as other, forged.open("wb") as file:
        save(other, file, kind, {**_told(mine), "seal": BLANK})
    seal(forged)
    assert main(["task=verify", f"task.input={forged}"]) == 0, "whoever knows the rule can seal it"
    assert main(["task=verify", f"task.input={forged}", "task.redraw=1"]) == 2
    assert "made again it shows something else" in capsys.readouterr().err

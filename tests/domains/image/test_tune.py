"""task=tune on pictures with captions, from the folder to a pipeline that draws."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from foundation.cli import main
from foundation.domains.image import tuning


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pictures"
    folder.mkdir()
    rows = []
    for number in range(8):
        colour = ["red", "blue"][number % 2]
        random = np.random.default_rng(number)
        pixels = random.integers(0, 60, (20 + number, 24, 3), dtype=np.uint8)
        pixels[..., 0 if colour == "red" else 2] += 150
        Image.fromarray(pixels).save(folder / f"{number}.png")
        rows.append((f"{number}.png", f"a {colour} thing"))
    (folder / "broken.png").write_bytes(b"no picture")
    rows += [("broken.png", "a broken one"), ("0.png", "")]
    with (folder / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "text"), *rows])
    return folder


@pytest.mark.parametrize("method", ["lora", "full"])
def test_a_pipeline_learns_pictures_and_draws(
    folders: Any, pictures: Path, method: str, capsys: Any
) -> None:
    words = ["model=image/starter", f"model.source=path:{folders('prx')}"]
    tuned = [
        *words, "task=tune", f"task.method={method}", f"task.data={pictures}", "recipe.steps=40",
        "recipe.rate=0.01", "recipe.log=10", "recipe.batch=4", "task.validation=0",
        "recipe.precision=float32", "hydra.run.dir=out",
    ]  # fmt: skip
    assert main(tuned) == 0
    assert "2 rows refused" in capsys.readouterr().out
    refused = Path("out/refused.csv").read_text()
    assert "record 9: broken.png cannot be read" in refused
    assert "record 10: no caption" in refused
    losses = pq.read_table("out/curve.parquet")["loss"].to_pylist()
    assert losses[-1] < losses[0]
    drawn = []
    for name, more in (("before", []), ("after", ["model.path=out/model"])):
        ask = [*words, *more, "task=generate", "task.prompts=[a red thing]", "task.steps=2",
               "task.width=null", "task.height=null", f"hydra.run.dir={name}"]  # fmt: skip
        assert main(ask) == 0
        (path,) = Path(name, "images").glob("*.png")
        with Image.open(path) as picture:
            drawn.append(np.asarray(picture.convert("RGB"), int))
    assert drawn[0].shape == drawn[1].shape
    assert np.abs(drawn[0] - drawn[1]).max() > 0


def test_captions_may_lie_beside_pictures(folders: Any, pictures: Path, capsys: Any) -> None:
    (pictures / "metadata.csv").unlink()
    (pictures / "0.txt").write_text("a red thing")
    (pictures / "1.txt").write_text("a blue thing")
    words = ["model=image/starter", f"model.source=path:{folders('prx')}", "task=tune"]
    more = ["task.method=lora", f"task.data={pictures}", "recipe.steps=1", "task.validation=0"]
    assert main([*words, *more, "hydra.run.dir=out"]) == 0
    assert "on 2 rows, 7 rows refused" in capsys.readouterr().out


def test_where_the_pictures_lie_does_not_change_what_is_held_out() -> None:
    here, there, other = (
        tuning.group({"picture": name, "text": "a circle"})
        for name in ("/here/set/1.png", "/elsewhere/set/1.png", "/here/set/2.png")
    )
    assert here == there != other

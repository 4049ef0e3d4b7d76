"""task=tune on chips: head, LoRA and all weights, and what tells too much of held-out chips."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from foundation.cli import main
from foundation.domains.geospatial import tuning
from foundation.spec import ModelSpec


@pytest.fixture
def chips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Dark and bright chips, a folder each, one of them broken and one with other bands."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, level in (("dark", 40), ("bright", 200)):
        (tmp_path / "chips" / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.normal(level, 12, (64, 64, 3)).clip(0, 255).astype("u1")
            Image.fromarray(pixels).save(tmp_path / "chips" / name / f"{number}.png")
    (tmp_path / "chips" / "dark" / "broken.png").write_bytes(b"no picture")
    return tmp_path / "chips"


@pytest.mark.parametrize("method", ["head", "lora", "full"])
def test_chips_are_told_apart_by_a_tuned_model(
    spec: ModelSpec, chips: Path, method: str, capsys: Any
) -> None:
    words = ["model=geospatial/starter", f"model.source={spec.source}"]
    tuned = [
        *words, "task=tune", f"task.method={method}", f"task.data={chips}", "task.validation=0.3",
        "recipe.steps=40", "recipe.rate=0.01", "recipe.batch=8", "recipe.precision=float32",
        "task.leakage=1", "hydra.run.dir=out",
    ]  # fmt: skip
    assert main(tuned) == 0
    assert "1 rows refused" in capsys.readouterr().out
    assert "chip" in Path("out/refused.csv").read_text()
    assert json.loads(Path("out/record.json").read_text())["metrics"]["accuracy"] == 1.0
    (chips / "dark" / "broken.png").unlink()
    asked = [
        *words, "model.path=out/model", "task=classify", f"task.input={chips}",
        "task.sensor=picture", "task.resolution=10", "hydra.run.dir=asked",
    ]  # fmt: skip
    assert main(asked) == 0
    rows = pq.read_table("asked/results.parquet").to_pylist()
    assert [Path(row["input"]).parent.name for row in rows] == [row["output"] for row in rows]


def test_ground_that_overlaps_and_the_same_picture_are_alike(chips: Path) -> None:
    one, near = (json.dumps(["EPSG:32633", x, 0, x + 640, 640]) for x in (500_000, 500_320))
    far = json.dumps(["EPSG:32633", 700_000, 0, 700_640, 640])
    ground, picture = tuning.LIKENESSES
    assert set(ground.keys(one)) & set(ground.keys(near))
    assert ground.alike(one, near) == pytest.approx(0.5)
    assert ground.alike(one, far) == 0.0
    a, b = (picture.look({"raster": str(chips / kind / "1.png")}) for kind in ("dark", "bright"))
    again = Image.open(chips / "dark" / "1.png").resize((128, 128)).resize((64, 64))
    again.save(chips / "dark" / "again.png")
    c = picture.look({"raster": str(chips / "dark" / "again.png")})
    assert set(picture.keys(a)) & set(picture.keys(c))
    assert picture.alike(a, c) >= picture.least > picture.alike(a, b)


def test_where_the_data_lies_does_not_change_what_is_held_out() -> None:
    def told(name: str) -> str:
        return tuning.group({"raster": name, "place": None})

    assert told("/here/chips/dark/1.png") == told("/elsewhere/dark/1.png")
    assert len({told(f"/here/{name}.png") for name in ("dark/1", "dark/2", "bright/1")}) == 3

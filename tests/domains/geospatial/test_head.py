"""A head of classes is trained from chips in folders, and labels chips and scenes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from foundation.adapter import Placement
from foundation.cli import main
from foundation.domains.geospatial.head import FILE, Head
from foundation.errors import SourceError
from foundation.model import Model
from foundation.spec import ModelSpec


@pytest.fixture
def chips(tmp_path: Path) -> Path:
    """Dark and bright chips, a folder each."""
    random = np.random.default_rng(0)
    for name, level in (("dark", 40), ("bright", 200)):
        (tmp_path / "chips" / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.normal(level, 12, (64, 64, 3)).clip(0, 255).astype("u1")
            Image.fromarray(pixels).save(tmp_path / "chips" / name / f"{number}.png")
    return tmp_path / "chips"


def test_a_head_is_tuned_and_classifies_chips_and_segments_scenes(
    spec: ModelSpec, tmp_path: Path, chips: Path, write: Any
) -> None:
    run = tmp_path / "run"
    typed = [
        "task=tune", "task.method=head", "model=geospatial/starter", f"model.source={spec.source}",
        f"task.data={chips}", "recipe.steps=60", "recipe.batch=8", "recipe.rate=0.02",
        "task.validation=0.3", f"hydra.run.dir={run}",
    ]  # fmt: skip
    assert main(typed) == 0
    tuned = ModelSpec(
        name="geospatial/tuned", domain="geospatial", adapter=spec.adapter,
        source=f"path:{run / 'model'}", tasks=("classify", "segment"),
    )  # fmt: skip
    model = Model(tuned, Placement("cpu", "float32"))
    given = {"input": chips, "resolution": 10.0, "sensor": "picture"}
    rows = model.results("classify", given, folder=tmp_path / "told").table().to_pylist()
    assert [Path(row["input"]).parent.name for row in rows] == [row["output"] for row in rows]
    pixels = np.full((3, 64, 128), 40, "u1")
    pixels[:, :, 64:] = 200
    scene = write("scene.tif", pixels)
    given = {"rasters": [str(scene)], "sensor": "picture", "bands": ["red", "green", "blue"]}
    (row,) = model.results("segment", given, folder=tmp_path / "map").table().to_pylist()
    assert row["classes"] == ["bright", "dark"]
    assert row["shares"] == pytest.approx([0.5, 0.5], abs=0.13)


def test_one_class_or_none_is_refused_in_a_line(
    spec: ModelSpec, tmp_path: Path, chips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["task=tune", "task.method=head", "model=geospatial/starter"]
    typed += [f"task.data={chips / 'dark'}", f"model.source={spec.source}"]
    assert main([*typed, f"hydra.run.dir={tmp_path / 'run'}"]) == 2
    assert "only the label 'dark'" in capsys.readouterr().err


def test_a_head_of_another_width_is_refused(spec: ModelSpec, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nothing")
    with pytest.raises(SourceError, match="no head"):
        Head.read(tmp_path / FILE, 16)

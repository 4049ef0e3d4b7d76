"""The starter's training: what is read, what views are, and that a network can be learnt."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from foundation.cli import main
from foundation.domains.geospatial import collection, years
from foundation.domains.geospatial.network import WAVES, Layout, Shape, SpectralTransformer
from foundation.domains.geospatial.training import GeospatialTraining, _agreement, read_network
from foundation.domains.geospatial.views import HIDDEN, SEEN, view
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.tuning.recipe import Recipe
from foundation.tuning.trainer import Trainer

LISTED = """
root: rasters
sets:
  - {sensor: picture, files: [chips.zip], bands: [red, green, blue], resolution: 10}
  - sensor: sentinel-2
    files: ["s2_*.tif"]
    bands: [B02, B03, B04, B08]
    add: {new: -1000}
    nodata: 0
"""
SMALL = {"spectra": 4, "stem": 16, "width": 16, "layers": 1, "heads": 2, "ratio": 2}


@pytest.fixture
def rows(
    tmp_path: Path, write: Any, ground: Any, monkeypatch: pytest.MonkeyPatch
) -> list[collection.Window]:
    """Four chips, a scene, and the same scene with the offset of a new baseline."""
    monkeypatch.setenv("FOUNDATION_DATA", str(tmp_path))
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path / "cache"))
    pixels = ground(96, 128, 4).astype("u2") * 20
    pixels[:, :, :40] = 0
    write("rasters/s2_old.tif", pixels)
    write("rasters/s2_new.tif", np.where(pixels, pixels + 1000, 0).astype("u2"))
    with zipfile.ZipFile(tmp_path / "rasters/chips.zip", "w") as archive:
        for number in range(4):
            picture = Image.fromarray(ground(64, 64, seed=number).transpose(1, 2, 0))
            picture.save(tmp_path / "chip.png")
            archive.write(tmp_path / "chip.png", f"{number}.png")
    path = tmp_path / "listed.yaml"
    path.write_text(LISTED)
    return [row["window"] for row in collection.read(path)]


def test_a_collection_leaves_out_nodata_and_takes_the_offset_off(
    rows: list[collection.Window],
) -> None:
    decoded = rows[0].collection
    names = [scene.name for scene in decoded.scenes]
    assert names == [*(f"chips.zip/{n}.png" for n in range(4)), "s2_new.tif", "s2_old.tif"]
    np.testing.assert_allclose(decoded.scene(4), decoded.scene(5), atol=2e-3)
    # Windows of the scenes that hold the 40 columns of nodata are not looked at.
    assert decoded.windows.tolist() == [
        *([n, 0, 0] for n in range(4)), [4, 0, 64], [4, 32, 64], [5, 0, 64], [5, 32, 64],
    ]  # fmt: skip
    assert decoded.scenes[4].distance == 10


def test_a_view_depends_on_its_draws_alone(rows: list[collection.Window]) -> None:
    together = view(rows, Draws(3, range(len(rows))), 0, 0.8, 8)
    assert together["patches"].shape[:2] == (len(rows), SEEN + HIDDEN)
    assert set(together["bands"][0].tolist()) <= {0, *map(float, together["bands"][0])}
    again = view(rows, Draws(3, range(len(rows))), 0, 0.8, 8)
    assert all(torch.equal(together[name], again[name]) for name in together)
    other = view(rows, Draws(3, range(len(rows))), 16, 0.8, 8)
    assert not torch.equal(together["patches"], other["patches"])
    plain = view(rows[:1], Draws(3, [0]), 0, 0.0, 8)
    assert torch.isfinite(plain["patches"]).all()


def test_two_years_lie_on_each_other_and_only_what_grows_differs(
    rows: list[collection.Window],
) -> None:
    chips, few = rows[:4], Draws(3, range(4))
    plain = years.pair(chips, few, 0.0)
    for row in range(4):
        both = [
            {
                float(band): pixels
                for band, pixels in zip(plain["bands"][at], plain["pixels"][at], strict=True)
                if band > 0
            }
            for at in (row, row + 4)
        ]
        shared = set(both[0]) & set(both[1])
        assert shared
        assert all(torch.equal(both[0][band], both[1][band]) for band in shared)
    later = years.pair(chips, few, 1.0)
    assert not torch.allclose(later["pixels"][4:], plain["pixels"][4:], atol=0.2)


def test_fields_stay_fields_when_something_else_grows_there() -> None:
    fields = torch.randn(8, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    grown = years.grown(fields, Draws(0, range(8)), 0)
    steps = (grown[..., 1:] - grown[..., :-1]).abs()
    edges = torch.arange(63) % 8 == 7
    assert steps[..., ~edges].mean() < 0.1 * steps[..., edges].mean()
    told = torch.stack([fields.mean(1).flatten(1), grown.mean(1).flatten(1)])
    alike = torch.stack([torch.corrcoef(told[:, row])[0, 1] for row in range(8)])
    assert alike.abs().mean() < 0.9


def test_a_layout_tells_where_and_not_what() -> None:
    torch.manual_seed(0)
    layout, patches = Layout(48), torch.randn(2, 8, 8, 48)
    everywhere = torch.randn(48)
    torch.testing.assert_close(layout(patches + everywhere), layout(patches))
    assert layout(everywhere.expand(1, 8, 8, 48)).abs().max() < 1e-5
    waves = torch.arange(WAVES)
    odd = (waves % 2 == 1).repeat(WAVES)[1:]  # of the waves across
    mirrored = torch.where(odd[:, None], -1.0, 1.0) * layout(patches).unflatten(1, (len(odd), -1))
    torch.testing.assert_close(layout(patches.flip(2)), mirrored.flatten(1))


def test_bands_a_row_has_not_are_not_looked_at() -> None:
    torch.manual_seed(0)
    network = SpectralTransformer(Shape(**SMALL)).eval()
    pixels = torch.randn(2, 4, 64, 64)
    bands = torch.tensor([[665.0, 560.0, 0.0, 0.0]] * 2)
    distance = torch.tensor([10.0, 10.0])
    with torch.no_grad():
        one = network(pixels, bands, distance).summary
        changed = pixels.clone()
        changed[:, 2:] += 5
        same = network(changed, bands, distance).summary
        order = network(pixels[:, [1, 0, 2, 3]], bands[:, [1, 0, 2, 3]], distance).summary
        moved = network(pixels, bands + (bands > 0) * 200, distance).summary
    torch.testing.assert_close(one, same)
    torch.testing.assert_close(one, order)
    assert not torch.allclose(one, moved, atol=1e-3)


def test_windows_that_overlap_are_no_negatives() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(6, 8), dim=1)
    apart = torch.tensor([[0, 0, 0, 0], [0, 0, 64, 0], [0, 1, 0, 0]])
    near = torch.tensor([[0, 0, 0, 0], [0, 0, 32, 0], [0, 1, 0, 0]])
    assert _agreement(vectors, near) < _agreement(vectors, apart)


def test_the_trainer_learns_it_and_goes_on_as_if_not_stopped(
    rows: list[collection.Window], tmp_path: Path
) -> None:
    recipe = Recipe(steps=6, batch=4, rate=0.003, warmup=1, augment=0.5, log=1, precision="float32")

    def trainer(folder: str) -> Trainer:
        tunable = GeospatialTraining.begin(rows, SMALL, 0)
        return Trainer(tunable, rows, rows[:4], recipe, tmp_path / folder)

    whole = trainer("whole")
    assert whole.run()
    parted = trainer("parted")
    parted.run(stop=lambda: parted.step >= 3)
    resumed = trainer("parted")
    assert resumed.step == 3
    assert resumed.run()
    assert [row["loss"] for row in resumed.curve] == pytest.approx(
        [row["loss"] for row in whole.curve], rel=1e-4
    )
    resumed.tunable.save(tmp_path / "model")
    network = read_network(tmp_path / "model")
    assert network.shape == Shape(**SMALL)


def test_the_starters_recipe_lowers_the_loss(
    rows: list[collection.Window], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["recipe.steps=12", "recipe.batch=8", "recipe.warmup=2", "recipe.log=4"]
    words = ["task=tune", "model=geospatial/starter", "recipe=geospatial/starter"]
    data = ["task.data=listed.yaml", "task.held_out=listed.yaml"]
    assert main([*words, *data, *few, "hydra.run.dir=out"]) == 0
    curve = pq.read_table("out/curve.parquet").to_pylist()
    assert curve[-1]["loss"] < curve[0]["loss"]
    assert read_network(tmp_path / "out/model").shape.width == 192


def test_a_collection_that_cannot_be_read_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOUNDATION_DATA", str(tmp_path / "nowhere"))
    monkeypatch.setenv("FOUNDATION_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "listed.yaml"
    path.write_text(LISTED)
    with pytest.raises(InputError, match="FOUNDATION_DATA"):
        collection.decode(path)
    path.write_text("sets: 3")
    with pytest.raises(InputError, match="does not describe a collection"):
        collection.decode(path)

"""Rasters to embeddings: on the right ground, the same however stored, whole after a kill."""

import json
import os
import re
import signal
import struct
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from PIL import Image

from foundation.adapter import Placement
from foundation.cli import main
from foundation.domains.geospatial.files import read
from foundation.errors import InputError, RequestError
from foundation.model import Model
from foundation.spec import ModelSpec

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


@pytest.fixture
def model(spec: ModelSpec) -> Any:
    made = Model(spec, Placement("cpu", "float32"))
    yield made
    made.close()


def _run(model: Model, folder: Path, **given: Any) -> list[dict[str, Any]]:
    results = model.results("embed", given, folder=folder)
    rows: list[dict[str, Any]] = results.table().to_pylist()
    return rows


def _vectors(folder: Path, name: str = "embedding.tif") -> tuple[Any, Affine]:
    with rasterio.open(folder / name) as file:
        return file.read(), file.transform


def _alike(one: Any, other: Any) -> float:
    """The least cosine between vectors [units, ...]."""
    product = (one * other).sum(0) / (np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0))
    return float(product.min())


def test_the_files_of_a_scene_lie_where_the_scene_lies(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    path = write("scene.tif", ground(130, 203))
    (row,) = _run(model, tmp_path / "run", input=path)
    vectors, transform = _vectors(tmp_path / "run")
    assert row["output"] == "embedding.tif"
    assert vectors.shape == (16, 17, 26)
    assert np.isfinite(vectors).all()
    assert transform.almost_equals(UTM @ Affine.scale(8), 1e-9)
    with rasterio.open(tmp_path / "run/embedding.tif") as file:
        assert file.crs.to_epsg() == 32633
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.descriptions[3] == "embedding_3"
    table = pq.read_table(tmp_path / "run/embedding.parquet")
    assert len(table) == row["windows"] == row["embedded_windows"] == 12
    geo = json.loads(table.schema.metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    boxes = table["bbox"].to_pylist()
    assert 14.9 < boxes[0]["xmin"] < boxes[0]["xmax"] < 15.1
    with Image.open(tmp_path / "run/map.png") as picture:
        assert picture.size[0] >= 26
    pooled = np.array(table["embedding"].to_pylist()).mean(0)
    np.testing.assert_allclose(row["embedding"], pooled, atol=1e-5)


@pytest.mark.parametrize("how", ["south-up", "turned", "deflate", "tiled"])
def test_how_a_scene_is_stored_does_not_matter(
    model: Model, tmp_path: Path, write: Any, ground: Any, how: str
) -> None:
    pixels = ground(112, 96)
    stored, transform, profile = pixels, UTM, {}
    if how == "south-up":
        stored, transform = pixels[:, ::-1], UTM @ Affine(1, 0, 0, 0, -1, 112)
    elif how == "turned":
        stored = pixels.transpose(0, 2, 1)[:, ::-1]
        transform = UTM @ Affine(0, -1, 96, 1, 0, 0)
    elif how == "deflate":
        profile = {"compress": "deflate", "predictor": 2}
    else:
        profile = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    _run(model, tmp_path / "a", input=write("a.tif", pixels))
    _run(model, tmp_path / "b", input=write("b.tif", stored, transform=transform, **profile))
    (one, here), (other, there) = _vectors(tmp_path / "a"), _vectors(tmp_path / "b")
    assert here.almost_equals(there, 1e-6)
    assert _alike(one, other) > 0.9999


def test_a_scene_cut_in_two_where_windows_align_gives_the_same_vectors(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    pixels = ground(64, 48 * 4 + 16)
    _run(model, tmp_path / "whole", input=write("whole.tif", pixels))
    _run(model, tmp_path / "half", input=write("half.tif", pixels[:, :, : 48 * 2 + 16]))
    one, other = _vectors(tmp_path / "whole")[0], _vectors(tmp_path / "half")[0]
    # The last two patches of the half are blended with a neighbour in the whole.
    assert _alike(one[:, :, :12], other[:, :, :12]) > 0.9999


def test_what_is_nodata_has_no_vector_and_a_reason(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    pixels = ground(64, 208)
    pixels[:, :, 60:160] = 0
    (row,) = _run(model, tmp_path / "run", input=write("holes.tif", pixels, nodata=0))
    vectors = _vectors(tmp_path / "run")[0]
    assert np.isfinite(vectors[:, :, :7]).all()
    assert np.isnan(vectors[:, :, 8:20]).all()
    table = pq.read_table(tmp_path / "run/embedding.parquet").to_pylist()
    refused = [window for window in table if window["reason"]]
    assert refused
    assert all(window["embedding"] is None for window in refused)
    assert row["embedded_windows"] == row["windows"] - len(refused)


def test_a_scene_whose_every_patch_is_mostly_nodata_has_files_without_vectors(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    pixels = ground(8, 8)
    pixels[:, :, 3:] = 0
    path = write("thin.tif", pixels, nodata=0)
    _run(model, tmp_path / "run", input=path, least_valid=0.0)
    assert not np.isfinite(_vectors(tmp_path / "run")[0]).any()
    with Image.open(tmp_path / "run" / "map.png") as picture:
        assert picture.getchannel("A").getextrema() == (0, 0)


def test_clouds_are_not_valid_even_from_a_coarser_mask_south_up(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    scene = write("scene.tif", ground(64, 208))
    classes = np.full((1, 32, 104), 4, "u1")
    classes[:, :, 40:70] = 9
    coarse = UTM @ Affine.scale(2) @ Affine(1, 0, 0, 0, -1, 32)
    mask = write("scl.tif", classes[:, ::-1], transform=coarse)
    given = {"input": scene, "clouds": str(mask), "cloud_values": [3, 8, 9, 10]}
    (row,) = _run(model, tmp_path / "run", **given)
    vectors = _vectors(tmp_path / "run")[0]
    assert np.isnan(vectors[:, :, 10:17]).all()
    assert np.isfinite(vectors[:, :, :10]).all()
    assert row["embedded_windows"] < row["windows"]
    assert 0.6 < row["valid_fraction"] < 0.8
    with pytest.raises(InputError, match="has no clouds at"):
        _run(model, tmp_path / "no", input=scene, clouds=str(tmp_path / "absent.tif"))


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_a_broken_scene_among_good_ones_is_a_row_with_its_reason(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    good = write("in/a.tif", ground(40, 40))
    cut = write("in/b.tif", ground(300, 300), compress="deflate")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    write("in/c.tif", np.zeros((3, 40, 40), "u1"), nodata=0)
    write("in/d.tif", np.full((3, 40, 40), np.nan, "f4"))
    write("in/e.tif", ground(40, 40, 5))
    write("in/f.tif", ground(40, 40), crs=None, transform=None)
    write("in/g.tif", ground(40, 40))
    write("in/h.tif", ground(40, 40), crs='LOCAL_CS["site",UNIT["metre",1]]')
    rows = _run(model, tmp_path / "run", input=good.parent)
    assert [row["valid"] for row in rows] == [True, *[False] * 5, True, False]
    reasons = [str(row["reason"]) for row in rows]
    assert "b.tif" in reasons[1]
    assert "no valid pixel" in reasons[2]
    assert "no valid pixel" in reasons[3]
    assert "5 unnamed bands" in reasons[4]
    assert "task.resolution" in reasons[5]
    assert "local CRS that cannot be transformed" in reasons[7]
    assert (tmp_path / "run/embedding.tif").exists()
    assert (tmp_path / "run/embedding-000006.tif").exists()
    assert all("\n" not in reason for reason in reasons)


def test_nothing_that_could_be_used_is_an_error_of_one_line(model: Model, tmp_path: Path) -> None:
    (tmp_path / "no.tif").write_text("not a raster")
    with pytest.raises(InputError, match=r"no input could be used.*no\.tif") as caught:
        _run(model, tmp_path / "run", input=tmp_path / "no.tif")
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


REFUSED = {
    "cut off": "cannot be read: .*is it cut off",
    "no CRS": "has no CRS to tell its resolution: give task.resolution in metres",
    "turned, no CRS": "is turned and has no CRS",
    "local CRS": "local CRS that cannot be transformed",
    "all nodata": "holds no valid pixel",
    "not a number": "holds no valid pixel",
    "band count": r"5 unnamed bands.*task\.bands",
    "named too few": r"has 3 bands, task\.bands names 2",
    "sizes": "bands of different size",
}


def _bad(how: str, write: Any, ground: Any) -> tuple[Path, list[str]]:
    """An input that cannot be used, and further words of the command line."""
    pixels = ground(72, 72)
    if how == "cut off":
        path = write("a.tif", ground(300, 300), compress="deflate")
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        return path, []
    if how == "sizes":
        write("in/scene_B03.tif", ground(40, 64, 1))
        return write("in/scene_B02.tif", ground(64, 64, 1)).parent, []
    profile: dict[str, Any] = {
        "no CRS": {"crs": None, "transform": None},
        "turned, no CRS": {"crs": None, "transform": UTM @ Affine.rotation(30)},
        "local CRS": {"crs": 'LOCAL_CS["site",UNIT["metre",1]]'},
        "all nodata": {"nodata": 0},
    }.get(how, {})
    if how == "all nodata":
        pixels = np.zeros_like(pixels)
    elif how == "not a number":
        pixels = np.full(pixels.shape, np.nan, "f4")
    elif how == "band count":
        pixels = ground(72, 72, 5)
    words = ["task.bands=[red,green]"] if how == "named too few" else []
    return write("a.tif", pixels, **profile), words


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize("how", REFUSED)
def test_what_cannot_be_used_alone_is_one_line_and_exit_code_2(
    spec: ModelSpec, tmp_path: Path, write: Any, ground: Any, capsys: Any, how: str
) -> None:
    path, words = _bad(how, write, ground)
    typed = ["model=geospatial/starter", f"model.source={spec.source}", "task=embed", *words]
    code = main([*typed, f"task.input={path}", f"hydra.run.dir={tmp_path / 'run'}"])
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert code == 2
    assert re.search(REFUSED[how], told)
    assert "Traceback" not in told


def test_bands_of_one_scene_lie_in_files_of_their_own(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    pixels = (ground(64, 64, 4).astype("u2")) * 30
    for number, band in enumerate(["B02", "B03", "B04"]):
        write(f"in/scene_{band}.tif", pixels[number : number + 1])
    coarse = pixels[3:, ::2, ::2]
    write("in/scene_B11.tif", coarse, transform=UTM @ Affine.scale(2))
    (row,) = _run(model, tmp_path / "run", input=tmp_path / "in")
    assert sorted(row["bands"]) == ["B02", "B03", "B04", "B11"]
    assert (row["height"], row["sensor"]) == (64, "sentinel-2")


def test_bands_of_different_size_on_other_ground_are_refused(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    write("in/scene_B02.tif", ground(64, 64, 1))
    write("in/scene_B03.tif", ground(40, 64, 1))
    with pytest.raises(InputError, match="bands of different size"):
        _run(model, tmp_path / "run", input=tmp_path / "in")


def test_chips_in_a_zip_go_into_the_table_alone(model: Model, tmp_path: Path, ground: Any) -> None:
    with zipfile.ZipFile(tmp_path / "chips.zip", "w") as archive:
        for number in range(3):
            picture = Image.fromarray(ground(64, 64, seed=number).transpose(1, 2, 0))
            picture.save(tmp_path / "chip.png")
            archive.write(tmp_path / "chip.png", f"class/{number}.png")
    rows = _run(model, tmp_path / "run", input=tmp_path / "chips.zip", resolution=10.0)
    assert [row["input"][-11:] for row in rows] == [f"class/{n}.png" for n in range(3)]
    assert all(row["valid"] and len(row["embedding"]) == 2 * 16 + 24 for row in rows)
    assert not list((tmp_path / "run").glob("*.tif"))


def test_a_resolution_asked_for_is_had(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    (row,) = _run(model, tmp_path / "run", input=write("a.tif", ground(160, 160)), resolution=20.0)
    assert row["resolution"] == pytest.approx(20)
    assert row["width"] == pytest.approx(80, abs=1)
    west, north = _vectors(tmp_path / "run")[1] @ (0, 0)
    assert (west, north) == pytest.approx((500_000, 5_000_000), abs=1)


def test_outlines_across_the_antimeridian_are_cut_in_two(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    edge = Affine(0.001, 0, 179.97, 0, -0.001, -17)
    _run(model, tmp_path / "run", input=write("fiji.tif", ground(64, 64), crs="EPSG:4326",
                                              transform=edge))  # fmt: skip
    (window,) = pq.read_table(tmp_path / "run/embedding.parquet").to_pylist()
    assert struct.unpack_from("<BII", window["geometry"]) == (1, 6, 2)
    assert window["bbox"]["xmin"] == pytest.approx(179.97)
    assert window["bbox"]["xmax"] == pytest.approx(-179.966)


def test_a_folder_without_rasters_and_a_column_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no raster is in"):
        list(read(tmp_path))
    with pytest.raises(RequestError, match=r"task\.column"):
        list(read(tmp_path / "a.tif", "raster"))


def test_a_killed_run_goes_on_to_the_same_files(
    spec: ModelSpec, tmp_path: Path, write: Any, ground: Any
) -> None:
    scene = write("scene.tif", ground(500, 100))
    code = (
        "import sys, json\n"
        "from foundation.adapter import Placement\n"
        "from foundation.model import Model\n"
        "from foundation.spec import ModelSpec\n"
        "from pathlib import Path\n"
        "spec = ModelSpec(**json.loads(sys.argv[1]))\n"
        "model = Model(spec, Placement('cpu', 'float32'))\n"
        "model.results('embed', {'input': sys.argv[2], 'batch': 2},"
        " folder=Path(sys.argv[3])).finish()\n"
    )
    facts = {
        key: getattr(spec, key) for key in ("name", "domain", "adapter", "source", "parameters")
    }
    command = [sys.executable, "-c", code, json.dumps({**facts, "tasks": ["embed"]}), str(scene)]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*command, str(tmp_path / "whole")], check=True, env=env)
    killed = subprocess.Popen([*command, str(tmp_path / "parted")], env=env)
    strips = tmp_path / "parted/parts/000000"
    while killed.poll() is None and len(list(strips.glob("*.npz"))) < 3:
        pass
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    subprocess.run([*command, str(tmp_path / "parted")], check=True, env=env)
    for name in ("embedding.tif", "map.png"):
        whole, parted = (tmp_path / run / name for run in ("whole", "parted"))
        assert whole.read_bytes() == parted.read_bytes(), name
    for name in ("embedding.parquet", "results.parquet"):
        one, other = (pq.read_table(tmp_path / run / name) for run in ("whole", "parted"))
        assert one.equals(other), name

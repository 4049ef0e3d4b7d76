"""Rasters, maps, tables and heads tell altered from unaltered."""

import json

import pytest
import rasterio
from rasterio.warp import transform

from foundation.adapter import Placement
from foundation.model import Model
from foundation.trust.verify import verify


@pytest.fixture
def run(spec, write, ground, tmp_path):
    made = Model(spec, Placement("cpu", "float32"))
    made.results(
        "embed", {"input": str(write("scene.tif", ground(70, 90)))}, folder=tmp_path / "run"
    ).finish()
    made.close()
    return tmp_path / "run"


def test_a_scenes_files_are_held(run, told_apart) -> None:
    told_apart(run, "embedding.tif", "embedding.parquet", "map.png", "results.parquet")


def test_a_tag_or_a_pixel_changed_is_found(run, tmp_path) -> None:
    path = run / "embedding.tif"
    with rasterio.open(path) as raster:
        told = json.loads(raster.tags()["FOUNDATION"])
    assert told["model"] == "geospatial/tiny"
    (found,) = verify(path)
    assert found.state == "unaltered"
    path.rename(tmp_path / "mine.tif")
    assert "geospatial/tiny at" in verify(tmp_path / "mine.tif")[0].why
    with rasterio.open(tmp_path / "mine.tif", "r+", IGNORE_COG_LAYOUT_BREAK="YES") as raster:
        raster.update_tags(FOUNDATION=json.dumps({**told, "model": "another"}))
    assert verify(tmp_path / "mine.tif")[0].state == "altered"


def test_a_head_and_a_map_of_classes_are_held(spec, write, ground, told_apart, tmp_path) -> None:
    scene = write("scene.tif", ground(96, 96))
    made = Model(spec, Placement("cpu", "float32"))
    places = []
    for number in range(24):
        at = _lonlat(9 + 16 * (number % 6), 9 + 16 * (number // 6))
        told = {"type": "Feature", "properties": {"class": "ab"[number % 2]}}
        places.append({**told, "geometry": {"type": "Point", "coordinates": at}})
    labels = tmp_path / "labels.geojson"
    labels.write_text(json.dumps({"type": "FeatureCollection", "features": places}))
    given = {"input": str(scene), "labels": str(labels), "block": 160}
    made.results("probe", given, folder=tmp_path / "run").finish()
    made.close()
    told_apart(tmp_path / "run", "classes.tif", "head.safetensors", "classes.png")


def _lonlat(column: float, row: float) -> list[float]:
    x, y = 500_000.0 + 10 * column, 5_000_000.0 - 10 * row
    (longitude,), (latitude,) = transform("EPSG:32633", "OGC:CRS84", [x], [y])
    return [longitude, latitude]

"""What is made of vectors: sampled, found, compared, probed and labelled, on the right ground."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
from affine import Affine
from PIL import Image
from rasterio.warp import transform

from foundation.adapter import Placement
from foundation.domains.geospatial.change import shift
from foundation.domains.geospatial.head import Head
from foundation.errors import FoundationError, InputError, RequestError
from foundation.model import Model
from foundation.spec import ModelSpec

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


@pytest.fixture
def model(spec: ModelSpec) -> Any:
    made = Model(spec, Placement("cpu", "float32"))
    yield made
    made.close()


def _run(model: Model, task: str, folder: Path, **given: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = model.results(task, given, folder=folder).table().to_pylist()
    return rows


def _lonlat(column: float, row: float) -> list[float]:
    """Of a pixel of the test rasters."""
    x, y = UTM @ (column, row)
    (longitude,), (latitude,) = transform("EPSG:32633", "OGC:CRS84", [x], [y])
    return [longitude, latitude]


def _geojson(path: Path, places: list[tuple[float, float, Any]]) -> Path:
    """Points at (column, row) with a class."""
    features = [
        {
            "type": "Feature",
            "properties": {"class": name},
            "geometry": {"type": "Point", "coordinates": _lonlat(column, row)},
        }
        for column, row, name in places
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


@pytest.fixture
def halves(write: Any) -> Path:
    """A dark, smooth west and a bright, rough east, 320 x 320."""
    random = np.random.default_rng(0)
    pixels = random.normal(60, 2, (3, 320, 320))
    pixels[:, :, 160:] = random.normal(180, 30, (3, 320, 160))
    path: Path = write("halves.tif", pixels.clip(1, 255).astype("u1"))
    return path


def test_points_have_the_vectors_of_the_patches_they_lie_in(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    scene = write("scene.tif", ground(96, 120))
    places = [(4, 4, "a"), (100.5, 60.2, "b"), (-50, 10, "off")]
    points = _geojson(tmp_path / "points.geojson", places)
    _run(model, "embed", tmp_path / "run", input=scene, points=str(points))
    table = pq.read_table(tmp_path / "run/points.parquet").to_pylist()
    with rasterio.open(tmp_path / "run/embedding.tif") as file:
        vectors = file.read()
    np.testing.assert_allclose(table[0]["embedding"], vectors[:, 0, 0])
    np.testing.assert_allclose(table[1]["embedding"], vectors[:, 7, 12])
    assert (table[2]["embedding"], table[2]["reason"]) == (None, "off the scene")
    csv = tmp_path / "points.csv"
    lines = [",".join(map(str, _lonlat(x, y))) for x, y, _ in places]
    csv.write_text("\n".join(["lon,lat", *lines]))
    _run(model, "embed", tmp_path / "csv", input=scene, points=str(csv))
    again = pq.read_table(tmp_path / "csv/points.parquet").to_pylist()
    np.testing.assert_allclose(again[1]["embedding"], table[1]["embedding"])


def test_int8_is_the_same_to_a_step_of_its_scale(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    pixels = ground(96, 208)
    pixels[:, :, 60:160] = 0
    scene = write("scene.tif", pixels, nodata=0)
    for store in ("float16", "int8"):
        _run(model, "embed", tmp_path / store, input=scene, store=store)
    with rasterio.open(tmp_path / "float16/embedding.tif") as file:
        exact = file.read()
    with rasterio.open(tmp_path / "int8/embedding.tif") as file:
        assert file.dtypes[0] == "int8"
        stored, scales = file.read(), np.array(file.scales)
    there = np.isfinite(exact)
    np.testing.assert_array_equal(stored != -128, there)
    off = np.abs(stored * scales[:, None, None] - exact) / scales[:, None, None]
    assert off[there].max() < 0.52
    with pytest.raises(RequestError, match="store must be one of"):
        _run(model, "embed", tmp_path / "no", input=scene, store="int4")


def test_a_window_is_found_again_among_those_of_other_scenes(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    for seed in range(3):
        write(f"in/{seed}.tif", ground(160, 160, seed=seed) // (1 + seed))
    _run(model, "embed", tmp_path / "run", input=tmp_path / "in")
    example = str(tmp_path / "in/1.tif")
    given = {"index": str(tmp_path / "run"), "at": _lonlat(100, 100), "nearest": 3}
    (row,) = _run(model, "search", tmp_path / "found", rasters=[example], **given)
    table = pq.read_table(tmp_path / "found/matches.parquet").to_pylist()
    assert row["output"] == table[0]["scene"] == example
    assert row["similarities"][0] == pytest.approx(1, abs=2e-3)
    assert row["similarities"] == sorted(row["similarities"], reverse=True)
    top, bottom, left, right = table[0]["kept"]
    assert top <= 100 < bottom
    assert left <= 100 < right
    box, (longitude, latitude) = table[0]["bbox"], given["at"]
    assert box["xmin"] <= longitude <= box["xmax"]
    assert box["ymin"] <= latitude <= box["ymax"]
    before = (tmp_path / "run/windows.usearch").stat().st_mtime_ns
    _run(model, "search", tmp_path / "again", rasters=[example], index=given["index"])
    assert (tmp_path / "run/windows.usearch").stat().st_mtime_ns == before


def test_search_refuses_what_is_no_index_or_of_another_model(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    scene = str(write("a.tif", ground(64, 64)))
    with pytest.raises(RequestError, match="is no finished run"):
        _run(model, "search", tmp_path / "a", rasters=[scene], index=str(tmp_path))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/record.json").write_text('{"model": {"name": "geospatial/other"}}')
    with pytest.raises(InputError, match="geospatial/other"):
        _run(model, "search", tmp_path / "b", rasters=[scene], index=str(tmp_path / "run"))
    _run(model, "embed", tmp_path / "ok", rasters=[scene])
    given = {"index": str(tmp_path / "ok"), "at": [100.0, 10.0]}
    with pytest.raises(InputError, match="lies outside"):
        _run(model, "search", tmp_path / "c", rasters=[scene], **given)


def test_change_is_high_where_something_changed(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    before, after = ground(160, 160), ground(160, 160)
    random = np.random.default_rng(1)
    after[:, 64:112, 40:88] = random.integers(1, 255, (3, 48, 48))
    write("a.tif", before)
    write("b.tif", after)
    given = {"before": str(tmp_path / "a.tif"), "rasters": [str(tmp_path / "b.tif")]}
    (row,) = _run(model, "change", tmp_path / "run", **given)
    with rasterio.open(tmp_path / "run/change.tif") as file:
        scores = file.read(1)
        assert file.transform.almost_equals(UTM @ Affine.scale(8), 1e-9)
    changed = np.zeros_like(scores, bool)
    changed[8:14, 5:11] = True
    assert np.median(scores[changed]) > 5 * np.median(scores[~changed])
    assert row["aligned"]
    assert row["shift_rows"] == pytest.approx(0, abs=0.1)
    with Image.open(tmp_path / "run/change.png") as picture:
        assert picture.size == (500, 500)


def test_the_later_date_is_brought_to_the_pixels_of_the_earlier(
    model: Model, tmp_path: Path, write: Any, ground: Any
) -> None:
    large = ground(220, 220)
    write("a.tif", large[:, 10:138, 10:138], transform=UTM @ Affine.translation(10, 10))
    write("b.tif", large)
    given = {"before": str(tmp_path / "a.tif"), "rasters": [str(tmp_path / "b.tif")]}
    (row,) = _run(model, "change", tmp_path / "run", **given)
    assert row["change_95"] < 0.01
    assert (row["height"], row["width"]) == (128, 128)
    write("off.tif", large, transform=UTM @ Affine.translation(3, -2))
    given["rasters"] = [str(tmp_path / "off.tif")]
    (row,) = _run(model, "change", tmp_path / "off", **given)
    assert not row["aligned"]
    assert (row["shift_columns"], row["shift_rows"]) == pytest.approx((3, -2), abs=0.3)


def test_a_shift_is_measured_and_noise_has_none() -> None:
    random = np.random.default_rng(0)
    ground = random.normal(size=(200, 180)).cumsum(0).cumsum(1)
    found = shift(ground[20:180, 20:160], ground[15:175, 27:167])
    assert found == pytest.approx((5, -7), abs=0.2)
    assert shift(random.normal(size=(128, 128)), random.normal(size=(128, 128))) is None


@pytest.mark.parametrize("method", ["linear", "knn"])
def test_a_probe_learns_from_points_and_maps_the_rest(
    model: Model, tmp_path: Path, halves: Path, method: str
) -> None:
    random = np.random.default_rng(0)
    places = [
        (float(x), float(y), "rough" if x > 160 else "smooth")
        for x, y in random.integers(8, 312, (60, 2))
        if abs(x - 160) > 16
    ]
    labels = _geojson(tmp_path / "labels.geojson", places)
    given = {"labels": str(labels), "method": method, "block": 800.0}
    (row,) = _run(model, "probe", tmp_path / "run", input=halves, **given)
    assert row["classes"] == ["rough", "smooth"]
    assert row["accuracy"] > 0.9 > row["accuracy_commonest"]
    assert row["accuracy_low"] <= row["accuracy"] <= row["accuracy_high"]
    assert row["blocks"] == 16
    with rasterio.open(tmp_path / "run/classes.tif") as file:
        told = file.read(1)
        assert json.loads(file.tags()["classes"]) == row["classes"]
    assert (told[:, 22:] == 0).mean() > 0.95
    assert (told[:, :18] == 1).mean() > 0.95
    assert (tmp_path / "run/head.safetensors").exists() == (method == "linear")


def test_what_was_probed_labels_another_scene(
    model: Model, tmp_path: Path, halves: Path, write: Any
) -> None:
    places = [(x, y, x > 160) for x in (40, 100, 220, 280) for y in (40, 120, 200, 280)]
    labels = _geojson(tmp_path / "labels.geojson", [(x, y, str(rough)) for x, y, rough in places])
    _run(model, "probe", tmp_path / "probe", input=halves, labels=str(labels), block=800.0)
    head = str(tmp_path / "probe/head.safetensors")
    assert Head.read(Path(head), 16).classes == ("False", "True")
    with rasterio.open(halves) as file:
        rough = write("rough.tif", file.read()[:, :128, 190:])
    (row,) = _run(model, "segment", tmp_path / "segment", input=rough, head=head)
    assert row["output"] == "classes.tif"
    assert row["shares"][1] > 0.95
    (row,) = _run(model, "classify", tmp_path / "classify", input=rough, head=head)
    assert row["output"] == "True"
    assert 0.5 < row["probability"] <= 1
    with pytest.raises(InputError, match="has no head"):
        _run(model, "segment", tmp_path / "no", input=rough)


def test_polygons_of_a_geopackage_label_the_patches_inside_them(
    model: Model, tmp_path: Path, halves: Path
) -> None:
    import pyogrio
    import shapely

    boxes = [shapely.box(0, 160, 80, 320), shapely.box(240, 0, 320, 160),
             shapely.box(0, 0, 80, 80), shapely.box(240, 240, 320, 320)]  # fmt: skip
    ground = [shapely.transform(box, lambda p: np.stack(UTM @ p.T, 1)) for box in boxes]
    path = tmp_path / "labels.gpkg"
    pyogrio.raw.write(
        path, shapely.to_wkb(ground), [np.array(["w", "e", "w", "e"], object)], ["name"],
        geometry_type="Polygon", crs="EPSG:32633",
    )  # fmt: skip
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("select count(*) from labels").fetchone() == (4,)
    (row,) = _run(model, "probe", tmp_path / "run", input=halves, labels=str(path), block=800.0)
    assert row["labelled"] == 2 * (10 * 20 + 10 * 10)
    assert row["accuracy"] > 0.95


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("lon,lat,class\n15,45,a\n15,45,b\n", "fewer than 2 classes"),
        ("lon,lat,kind\n15,45,a\n", "column 'class'"),
        ("lon,lat,class\nhere,45,a\n", "line 2: no coordinates"),
    ],
)
def test_labels_that_teach_nothing_are_refused(
    model: Model, tmp_path: Path, halves: Path, text: str, why: str
) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(FoundationError, match=why):
        _run(model, "probe", tmp_path / "r", input=halves, labels=str(tmp_path / "labels.csv"))

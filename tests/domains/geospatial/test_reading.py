"""A raster is read as it lies on the ground, however it is stored."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.domains.geospatial import sensors
from foundation.domains.geospatial.bands import Layer, match
from foundation.domains.geospatial.grid import spans
from foundation.domains.geospatial.reading import Question, opened
from foundation.errors import InputError, RequestError, UnknownName

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)
DTYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64"]


def _values(question: Question) -> tuple[Any, Any, Any]:
    with opened(question) as raster:
        values, valid = raster.read(0, raster.height, 0, raster.width)
        return values, valid, raster


def test_the_same_ground_is_read_the_same_however_it_is_stored(
    write: Any, ground: Any, orientations: Any
) -> None:
    pixels = ground(70, 90)
    plain, _, first = _values(Question(str(write("a.tif", pixels))))
    for how, stored_as in orientations.items():
        stored, transform = stored_as(pixels, UTM)
        path = write("b.tif", stored, transform=transform)
        other, _, raster = _values(Question(str(path)))
        np.testing.assert_array_equal(other, plain, err_msg=how)
        assert raster.transform.almost_equals(first.transform, 1e-6), how
        assert raster.distance == pytest.approx(10), how


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_windows_agree_with_a_slow_reading(
    tmp_path: Path, orientations: Any, data: st.DataObject
) -> None:
    """Random shape, blocks, dtype, nodata, mask and orientation, against a pixel at a time."""
    rows, columns = (data.draw(st.integers(1, 70)) for _ in range(2))
    dtype = data.draw(st.sampled_from(DTYPES))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    pixels = random.integers(0, 5, (3, rows, columns)).astype(dtype)
    nodata = data.draw(st.sampled_from([None, 0, 3]))
    seen = np.ones((rows, columns), bool)
    if nodata is None and data.draw(st.booleans()):
        seen = random.random((rows, columns)) < 0.7
    stored_as = orientations[data.draw(st.sampled_from(sorted(orientations)))]
    stored, transform = stored_as(pixels, UTM)
    across, down = data.draw(st.sampled_from([(16, 32), (32, 16), (64, 64)]))
    tiled = {"tiled": True, "blockxsize": across, "blockysize": down}
    tiled = tiled if data.draw(st.booleans()) else {}
    path = tmp_path / "random.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=stored.shape[1], width=stored.shape[2],
        dtype=dtype, nodata=nodata, crs="EPSG:32633", transform=transform, **tiled,
    ) as file:  # fmt: skip
        file.write(stored)
        if not seen.all():
            file.write_mask(stored_as(seen[None], UTM)[0][0])
    top, left = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    bottom, right = top + data.draw(st.integers(1, 40)), left + data.draw(st.integers(1, 40))
    question = Question(str(path), sensor="picture", bands=["red", "green", "blue"])
    with opened(question) as raster:
        values, valid = raster.read(top, bottom, left, right)
    bands = [sensors.named("picture").band(name) for name in ("red", "green", "blue")]
    for row in range(top, bottom):
        for column in range(left, right):
            inside = row < rows and column < columns
            good = inside and bool(seen[row, column])
            good = good and not (nodata is not None and (pixels[:, row, column] == nodata).any())
            assert valid[row - top, column - left] == good
            if good:
                told = [
                    np.arcsinh((float(v) - b.mean) / b.std)
                    for v, b in zip(pixels[:, row, column], bands, strict=True)
                ]
                np.testing.assert_allclose(values[:, row - top, column - left], told, atol=1e-5)
            elif inside:
                assert not values[:, row - top, column - left].any()


@given(st.integers(1, 400), st.integers(0, 3))
def test_every_patch_is_kept_from_one_window_away_from_its_edge(count: int, halo: int) -> None:
    found = list(spans(count, 8, halo))
    kept = [patch for span in found for patch in range(span.first, span.last)]
    assert kept == list(range(count))
    for span in found:
        assert span.start <= span.first
        assert span.last <= span.start + 8
        assert span.first - span.start >= halo or span.start == 0
        assert span.start + 8 - span.last >= halo or span.last == count


def test_scale_and_offset_of_the_file_count_before_the_sensors(write: Any, ground: Any) -> None:
    pixels = (ground(8, 8, 12).astype("u2")) * 40
    names = [band.name for band in sensors.named("sentinel-2").bands if band.name != "B10"]
    path = write("plain.tif", pixels, names=names)
    scaled = write("scaled.tif", pixels + 500, names=names)
    with rasterio.open(scaled, "r+") as file:
        file.scales, file.offsets = [1e-4] * 12, [-0.05] * 12
    plain, other = _values(Question(str(path)))[0], _values(Question(str(scaled)))[0]
    np.testing.assert_allclose(other, plain, atol=1e-5)


def test_the_offset_of_a_new_baseline_is_taken_off_and_told(write: Any, ground: Any) -> None:
    pixels = ground(8, 8, 4).astype("u2") * 40
    names = ["B02", "B03", "B04", "B08"]
    old = _values(Question(str(write("S2A_MSIL2A_2020_N0214_R1.tif", pixels, names=names))))
    new = _values(Question(str(write("S2A_MSIL2A_2023_N0509_R1.tif", pixels + 1000, names=names))))
    np.testing.assert_allclose(new[0], old[0], atol=1e-5)
    assert "1000" in new[2].assumed
    assert old[2].assumed is None


def test_alpha_and_nan_and_nodata_are_not_valid(write: Any, ground: Any) -> None:
    pixels = ground(6, 6).astype("f4")
    pixels[1, 2, 3] = np.nan
    pixels[2, 4, 4] = -9
    valid = _values(Question(str(write("n.tif", pixels, nodata=-9))))[1]
    assert not valid[2, 3]
    assert not valid[4, 4]
    assert valid.sum() == 34
    alpha = np.concatenate([ground(6, 6), np.full((1, 6, 6), 255, "u1")])
    alpha[3, 0] = 0
    valid = _values(Question(str(write("a.tif", alpha, photometric="RGB", alpha="YES"))))[1]
    assert valid.sum() == 30
    assert not valid[0].any()


def test_bands_are_matched_by_name_and_only_aloud_by_position() -> None:
    swapped = match([Layer("B08"), Layer("B04")], "uint16")
    assert [band.name for band in swapped.bands] == ["B08", "B04"]
    assert swapped.sensor.name == "sentinel-2"
    assert swapped.assumed is None
    unnamed = match([Layer(None)] * 4, "uint8")
    assert [band.name for band in unnamed.bands] == ["red", "green", "blue", "nir"]
    assert "4 unnamed" in str(unnamed.assumed)
    landsat = match([Layer(None)] * 6, "uint8")
    assert [band.name for band in landsat.bands] == ["B1", "B2", "B3", "B4", "B5", "B7"]
    told = match([Layer(None)] * 2, "uint16", "sentinel-2", ["B12", None])
    assert told.layers == (0,)
    assert told.bands[0].name == "B12"
    waves = match([Layer("x", 834.0), Layer("y", 663.0)], "uint16", "sentinel-2")
    assert [band.name for band in waves.bands] == ["B08", "B04"]


def test_bands_that_cannot_be_told_are_refused_with_how_to_mend_it() -> None:
    with pytest.raises(RequestError, match=r"5 unnamed bands.*task\.bands"):
        match([Layer(None)] * 5, "uint16")
    with pytest.raises(UnknownName, match="did you mean 'B12'"):
        match([Layer(None)], "uint16", "sentinel-2", ["B122"])
    with pytest.raises(RequestError, match=r"has 2 bands, task\.bands names 1"):
        match([Layer(None)] * 2, "uint16", "sentinel-2", ["B12"])


def test_a_sensor_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: mine\nscale: 0.5\nbands:\n  - {name: X1, wavelength: 700, mean: 1, std: 2}\n"
    )
    assert match([Layer("x1")], "uint8", str(path)).bands[0].wavelength == 700
    path.write_text("name: mine\nbands: [1]\n")
    with pytest.raises(InputError, match="does not describe a sensor"):
        sensors.read(path)

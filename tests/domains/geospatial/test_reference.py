"""Random rasters embedded by the toolkit and by a slow, simple reference: the same ground, the
same vectors, the same gaps."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foundation.adapter import Placement
from foundation.domains.geospatial import sensors
from foundation.model import Model
from foundation.spec import ModelSpec

SIDE, PATCH = 64, 8


def _windows(patches: int, halo: int) -> list[int]:
    """The first patch of each window of 8 along an axis."""
    starts = [0]
    while starts[-1] + 8 < patches:
        starts.append(min(starts[-1] + 8 - 2 * halo, patches - 8))
    return starts


def _weight(patch: int, start: int, patches: int) -> float:
    """The patches to the nearer side of its window that has a neighbour."""
    left = patch - start + 1 if start > 0 else 8
    right = start + 8 - patch if start + 8 < patches else 8
    return float(min(left, right))


def _reference(
    network: Any, pixels: Any, nodata: float | None, distance: float, halo: int, least: float
) -> Any:
    """Vectors [units, rows, columns] of upright pixels, a window at a time, NaN for none."""
    bands = [sensors.named("picture").band(name) for name in ("red", "green", "blue")]
    valid = np.isfinite(pixels.astype("f8")).all(0)
    if nodata is not None:
        valid &= (pixels != nodata).all(0)
    values = np.zeros(pixels.shape, np.float32)
    for number, band in enumerate(bands):
        scaled = np.arcsinh((pixels[number].astype(np.float32) - band.mean) / band.std)
        values[number] = np.where(valid, scaled, 0)
    rows, columns = (-(-size // PATCH) for size in valid.shape)
    waves = torch.tensor([[band.wavelength for band in bands]])
    units = network.shape.width
    strips = []  # of each row of windows: its first patch, sums and weights
    for top in _windows(rows, halo):
        sums, counts = np.zeros((units, rows, columns)), np.zeros((rows, columns))
        for left in _windows(columns, halo):
            down, across = (slice(8 * first, 8 * first + SIDE) for first in (top, left))
            seen, there = values[:, down, across], valid[down, across]
            if not there.any() or there.mean() < least:
                continue
            beyond = [(0, SIDE - size) for size in there.shape]
            cut = np.pad(seen, ((0, 0), *beyond), "symmetric")
            with torch.no_grad():
                each = network(torch.from_numpy(cut)[None], waves, torch.tensor([distance])).patches
            for row in range(top, min(top + 8, rows)):
                for column in range(left, min(left + 8, columns)):
                    place = valid[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                    if place.mean() >= 0.5:
                        share = _weight(column, left, columns)
                        sums[:, row, column] += share * each[0, row - top, column - left].numpy()
                        counts[row, column] += share
        strips.append((top, sums, counts))
    total, count = np.zeros((units, rows, columns)), np.zeros((rows, columns))
    for top, sums, counts in strips:
        for row in range(top, min(top + 8, rows)):
            share = _weight(row, top, rows) * (counts[row] > 0)
            total[:, row] += share * sums[:, row] / np.maximum(counts[row], 1e-9)
            count[row] += share
    return np.where(count > 0, total / np.maximum(count, 1e-9), np.nan)


@pytest.fixture(scope="module")
def model(spec: ModelSpec) -> Any:
    made = Model(spec, Placement("cpu", "float32"))
    yield made
    made.close()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_embeddings_are_those_of_a_slow_reference(
    model: Model,
    tmp_path_factory: pytest.TempPathFactory,
    orientations: Any,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("random")
    height, width = (data.draw(st.integers(1, 150)) for _ in range(2))
    dtype = data.draw(st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]))
    random = np.random.default_rng(data.draw(st.integers(0, 999)))
    pixels = random.integers(1, 200, (3, height, width)).astype(dtype)
    nodata = data.draw(st.sampled_from([None, 0, 7]))
    hole = random.integers(0, [height, width]), random.integers(1, 80, 2)
    (top, left), (down, across) = hole
    if nodata is not None:
        pixels[:, top : top + down, left : left + across] = nodata
    elif dtype.startswith("float"):
        pixels[1, top : top + down, left : left + across] = np.nan
    metres = data.draw(st.sampled_from([0.6, 10.0, 30.0]))
    ground = Affine(metres, 0, 400_000, 0, -metres, 4_000_000)
    how = data.draw(st.sampled_from(sorted(orientations)))
    stored, transform = orientations[how](pixels, ground)
    layout = data.draw(st.sampled_from([
        {}, {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate"},
        {"interleave": "pixel", "compress": "lzw"},
    ]))  # fmt: skip
    path = Path(folder) / "scene.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=3, height=stored.shape[1], width=stored.shape[2],
        dtype=dtype, nodata=nodata, crs="EPSG:32633", transform=transform, **layout,
    ) as file:  # fmt: skip
        file.write(stored)
    halo, least = data.draw(st.integers(0, 3)), data.draw(st.sampled_from([0.0, 0.5, 0.9]))
    asked = {
        "rasters": [str(path)], "sensor": "picture", "bands": ["red", "green", "blue"],
        "halo": halo, "least_valid": least,
    }  # fmt: skip
    network = model.adapter.encoder.module  # type: ignore[attr-defined]
    wanted = _reference(network, pixels, nodata, metres, halo, least)
    if not np.isfinite(wanted).any():
        results = list(model.results("embed", asked, folder=folder / "run"))
        assert not results[0].valid or not np.isfinite(wanted).any()
        return
    model.results("embed", asked, folder=folder / "run").finish()
    with rasterio.open(folder / "run/embedding.tif") as file:
        found, lies = file.read(), file.transform
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(wanted))
    np.testing.assert_allclose(found, wanted, atol=4e-3)
    assert lies.almost_equals(ground @ Affine.scale(PATCH), 1e-6)

"""Architectures of the Hub on tiny checkpoints: what they see, in which order, of which sensor."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from safetensors.torch import save_file

from foundation.adapter import Placement
from foundation.domains.geospatial.adapter import RasterEmbedder
from foundation.domains.geospatial.converting import convert
from foundation.domains.geospatial.dofa import Dofa, DofaEncoder
from foundation.domains.geospatial.parts import Part
from foundation.domains.geospatial.prithvi import Prithvi
from foundation.domains.geospatial.series import Day
from foundation.errors import InputError, SourceError
from foundation.model import Model
from foundation.registry import spec as named
from foundation.spec import ModelSpec

SIDE = 32
PICTURE = {
    "side": SIDE, "bands": ["red", "green", "blue"], "numbers": "picture",
    "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
}  # fmt: skip
SIX = ["blue", "green", "red", "nir08", "swir16", "swir22"]


def _vit(folder: Path, name: str, **more: Any) -> dict[str, Any]:
    import transformers

    torch.manual_seed(0)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 8}
    shape |= (
        {"image_size": SIDE, "intermediate_size": 32} if name != "Dinov2" else {"image_size": SIDE}
    )
    config = getattr(transformers, f"{name}Config")(**shape, **more)
    getattr(transformers, f"{name}Model")(config).save_pretrained(folder)
    return {**PICTURE, "encoder": "foundation.domains.geospatial.vit:VisionEncoder"}


def _mae(folder: Path) -> dict[str, Any]:
    return {**_vit(folder, "ViTMAE"), "whole": "mean"}


def _dinov2(folder: Path) -> dict[str, Any]:
    return _vit(folder, "Dinov2")


def _dinov3(folder: Path) -> dict[str, Any]:
    return _vit(folder, "DINOv3ViT", num_register_tokens=3)


def _saved(folder: Path, module: torch.nn.Module, prefix: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    weights = {prefix + name: value.contiguous() for name, value in module.state_dict().items()}
    save_file(weights, str(folder / "model.safetensors"))


def _dofa(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    module = Dofa(SIDE, 8, 16, 2, 2)
    torch.nn.init.normal_(module.pos_embed)
    _saved(folder, module)
    return {
        "encoder": "foundation.domains.geospatial.dofa:DofaEncoder",
        "side": SIDE, "patch": 8, "width": 16, "layers": 2, "heads": 2,
    }  # fmt: skip


def _prithvi(folder: Path) -> dict[str, Any]:
    torch.manual_seed(0)
    _saved(folder, Prithvi(6, 8, 32, 2, 2, True), "encoder.")
    return {
        "encoder": "foundation.domains.geospatial.prithvi:PrithviEncoder",
        "side": SIDE, "patch": 8, "width": 32, "layers": 2, "heads": 2, "dates": 4,
        "coordinates": True, "bands": SIX, "mean": [1000] * 6, "std": [500] * 6,
    }  # fmt: skip


MADE: dict[str, Callable[[Path], dict[str, Any]]] = {
    "vit_mae": _mae,
    "dinov2": _dinov2,
    "dinov3": _dinov3,
    "dofa": _dofa,
    "prithvi": _prithvi,
}


def _spec(folder: Path, options: dict[str, Any]) -> ModelSpec:
    return ModelSpec(
        name="geospatial/tiny",
        domain="geospatial",
        adapter="foundation.domains.geospatial.adapter:RasterEmbedder",
        source=f"path:{folder}",
        tasks=("embed", "change"),
        options=options,
    )


def _loaded(folder: Path, kind: str) -> RasterEmbedder:
    adapter = RasterEmbedder()
    adapter.load(_spec(folder, MADE[kind](folder)), folder, Placement("cpu", "float32"))
    return adapter


def _vectors(adapter: RasterEmbedder, *parts: Part) -> list[Any]:
    found = dict(adapter.run("embed", parts, None))  # type: ignore[arg-type]
    return [found[row].value for row in range(len(parts))]


def _part(bands: int, seed: int = 0, **more: Any) -> Part:
    random = np.random.default_rng(seed)
    pixels = random.normal(0, 1, (bands, SIDE, SIDE)).astype(np.float32)
    return Part(pixels, tuple(500.0 + 100 * n for n in range(bands)), 30.0, **more)


@pytest.mark.parametrize("kind", MADE)
def test_a_patch_tells_of_its_place_and_a_window_not_of_others(tmp_path: Path, kind: str) -> None:
    adapter = _loaded(tmp_path, kind)
    one, other = (_part(6 if kind == "prithvi" else 3, seed) for seed in (0, 1))
    (whole, patches), _ = _vectors(adapter, one, other)
    assert whole.shape == (adapter.encoder.units.patch,)
    assert patches.shape == (4, 4, adapter.encoder.units.patch)
    alone = _vectors(adapter, one)[0]
    np.testing.assert_allclose(alone[1], patches, atol=1e-5)
    changed = one.pixels.copy()
    changed[:, 8:16, 24:32] += 3
    moved = _vectors(adapter, Part(changed, one.wavelengths, 30.0))[0][1]
    far = np.linalg.norm(moved - patches, axis=-1)
    assert np.unravel_index(far.argmax(), far.shape) == (1, 3)
    fresh = _vectors(adapter.untrained(1), one)[0][0]
    assert not np.allclose(fresh, alone[0], atol=1e-3)


@pytest.mark.parametrize("kind", ["vit_mae", "prithvi"])
def test_a_scene_is_embedded_in_the_models_own_bands_and_numbers(
    tmp_path: Path, write: Any, ground: Any, kind: str
) -> None:
    options = MADE[kind](tmp_path / "weights")
    model = Model(_spec(tmp_path / "weights", options), Placement("cpu", "float32"))
    names = ["B02", "B03", "B04", "B08", "B8A", "B11", "B12"]
    pixels = ground(48, 70, 7).astype("u2") * 20
    order = [6, 2, 0, 1, 4, 5, 3]
    write("a.tif", pixels, names=names)
    write("b.tif", pixels[order], names=[names[n] for n in order])
    for name in ("a", "b"):
        model.results("embed", {"input": tmp_path / f"{name}.tif"}, folder=tmp_path / name).finish()
    found = [rasterio.open(tmp_path / name / "embedding.tif").read() for name in ("a", "b")]
    assert found[0].shape == (32 if kind == "prithvi" else 16, 6, 9)
    np.testing.assert_allclose(found[0], found[1], atol=2e-3)
    write("c.tif", pixels[:2], names=names[:2])
    with pytest.raises(InputError, match="lacks the band red"):
        model.results("embed", {"input": tmp_path / "c.tif"}, folder=tmp_path / "c").finish()
    model.close()


def test_a_model_of_reflectance_refuses_a_sensor_that_tells_none(
    tmp_path: Path, write: Any, ground: Any
) -> None:
    options = _prithvi(tmp_path / "weights") | {"bands": SIX[:3], "mean": [1] * 3, "std": [1] * 3}
    _saved(tmp_path / "weights", Prithvi(3, 8, 32, 2, 2, True), "encoder.")
    model = Model(_spec(tmp_path / "weights", options), Placement("cpu", "float32"))
    path = write("photo.tif", ground(40, 40))
    with pytest.raises(InputError, match="tells no reflectance"):
        model.results("embed", {"input": path}, folder=tmp_path / "run").finish()


def test_a_series_is_read_by_its_dates_and_they_count(
    tmp_path: Path, write: Any, ground: Any
) -> None:
    model = Model(_spec(tmp_path / "w", _prithvi(tmp_path / "w")), Placement("cpu", "float32"))
    names = ["B02", "B03", "B04", "B8A", "B11", "B12"]
    for seed, date in enumerate(["20200901", "20200131", "20200601"]):
        write(f"s/hls_{date}.tif", ground(40, 40, 6, seed).astype("u2") * 20, names=names)
        write(f"t/hls_{date.replace('2020', '2021')}.tif",
              ground(40, 40, 6, seed).astype("u2") * 20, names=names)  # fmt: skip
    runs = {}
    for folder in ("s", "t"):
        given = {"raster": str(tmp_path / folder / "hls_{date}.tif")}
        (row,) = (
            model.results("embed", given, folder=tmp_path / f"run-{folder}").table().to_pylist()
        )
        assert row["valid"], row["reason"]
        runs[folder] = np.array(row["embedding"])
    assert not np.allclose(runs["s"], runs["t"], atol=1e-4)
    single = {"raster": str(tmp_path / "s/hls_20200131.tif")}
    (row,) = model.results("embed", single, folder=tmp_path / "one").table().to_pylist()
    assert not np.allclose(row["embedding"], runs["s"], atol=1e-4)


def test_the_order_of_dates_and_the_place_reach_prithvi(tmp_path: Path) -> None:
    adapter = _loaded(tmp_path, "prithvi")
    random = np.random.default_rng(0)
    pixels = random.normal(0, 1, (2, 6, SIDE, SIDE)).astype(np.float32)
    waves, days = (500.0,) * 6, (Day(2020, 31), Day(2020, 200))

    def whole(**more: Any) -> Any:
        return _vectors(adapter, Part(pixels, waves, 30.0, **more))[0][0]

    plain = whole(days=days)
    assert not np.allclose(plain, whole(days=days[::-1]), atol=1e-4)
    assert not np.allclose(plain, whole(days=days, place=(47.0, 15.0)), atol=1e-4)


def test_a_model_of_one_date_refuses_a_series(spec: ModelSpec, write: Any, ground: Any) -> None:
    for date in ("20200101", "20200201"):
        path = write(f"s_{date}.tif", ground(40, 40))
    model = Model(spec, Placement("cpu", "float32"))
    given = {"raster": str(path.with_name("s_{date}.tif"))}
    with pytest.raises(InputError, match="has 2 dates; the model takes 1"):
        model.results("embed", given).finish()


def test_what_does_not_fit_the_weights_is_refused(tmp_path: Path) -> None:
    options = _dinov2(tmp_path) | {"bands": SIX, "mean": [0] * 6, "std": [1] * 6}
    with pytest.raises(SourceError, match="takes 3 bands"):
        RasterEmbedder().load(_spec(tmp_path, options), tmp_path, Placement("cpu", "float32"))
    options = _dofa(tmp_path / "dofa") | {"layers": 3}
    with pytest.raises(SourceError, match="lacks weights"):
        RasterEmbedder().load(_spec(tmp_path, options), tmp_path / "dofa", Placement())
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="converting"):
        RasterEmbedder().load(_spec(tmp_path, options), tmp_path / "empty", Placement())


def test_a_published_checkpoint_becomes_safetensors_that_load(tmp_path: Path) -> None:
    module = Dofa(SIDE, 8, 16, 2, 2)
    torch.save({"model": module.state_dict(), "epoch": 3}, tmp_path / "dofa.pth")
    with pytest.raises(SourceError, match="sha256"):
        convert(tmp_path / "dofa.pth", tmp_path / "out", "00ff")
    convert(tmp_path / "dofa.pth", tmp_path / "out")
    options = _dofa(tmp_path / "other")
    read = DofaEncoder.read(tmp_path / "out", options)
    torch.testing.assert_close(read.module.state_dict(), module.state_dict())


@pytest.mark.parametrize(
    "name", ["vit-mae-base", "dinov2-small", "dinov2-base", "dinov3-vits16", "dofa-base",
             "dofa-large", "prithvi-eo-2-100m-tl", "prithvi-eo-2-600m-tl"],
)  # fmt: skip
def test_configs_are_pinned_and_fit_together(name: str) -> None:
    from foundation.domains.geospatial.intake import Intake
    from foundation.registry import resolve

    spec = named(f"geospatial/{name}")
    assert len(str(spec.revision)) == 40
    assert spec.licence != "unknown"
    Intake.of({"patch": 14 if "dinov2" in name else 16, **spec.options})
    resolve(str(spec.options["encoder"]))

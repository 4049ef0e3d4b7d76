"""Megapixels a second of reading and embedding: the same weights by the toolkit and by its peers.

    python -m benchmarks.raster_throughput --torchgeo PYTHON --terratorch PYTHON

A vision transformer of 192 units, 6 layers and patches of 16 (random weights; DINOv2's class of
transformers) embeds a uint16 raster, deflate in blocks of 256, in windows of 224 pixels that do not
overlap; nothing is written. Beside the toolkit: the model alone on arrays in memory, a plain
rasterio loop, torchgeo's grid sampler and terratorch's tiled inference, each in the environment
given. Rounds of all in random order. With --starter FOLDER also that model as a user runs it.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.interval import ratio
from benchmarks.pairs import Side, described, line, run, values
from benchmarks.record import RESULTS, save

NAMES = ("B02", "B03", "B04", "B8A", "B11", "B12", "B01", "B09")
SIDES = 224
THREADS: dict[str, str | None] = {"MKL_NUM_THREADS": None}


def write_raster(path: Path, side: int, bands: int) -> None:
    """A landscape of hills and noise, as compressible as reflectance is."""
    import rasterio

    random = np.random.default_rng(0)
    profile = {
        "driver": "GTiff", "height": side, "width": side, "count": bands, "dtype": "uint16",
        "crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
        "compress": "deflate", "predictor": 2, "tiled": True, "blockxsize": 256, "blockysize": 256,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.descriptions = NAMES[:bands]
        across = np.sin(np.arange(side) / 90.0)
        for band in range(1, bands + 1):
            down = np.cos(np.arange(side)[:, None] / (60.0 + 9 * band))
            hills = 1500 + 600 * down * across + random.normal(0, 60, (side, side))
            file.write(hills.astype(np.uint16), band)


def write_model(folder: Path, bands: int) -> None:
    import torch
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=192, num_hidden_layers=6, num_attention_heads=3, patch_size=16,
        image_size=SIDES, num_channels=bands,
    )  # fmt: skip
    Dinov2Model(config).save_pretrained(folder)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--torchgeo", help="a Python with torchgeo and transformers")
    parser.add_argument("--terratorch", help="a Python with terratorch and transformers")
    parser.add_argument("--workers", type=int, default=0, help="of torchgeo's DataLoader")
    parser.add_argument("--starter", help="a model folder of the starter's kind")
    parser.add_argument("--bands", type=int, default=6)
    parser.add_argument("--side", type=int, default=4096, help="pixels")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the order within rounds")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one run")
    parser.add_argument("--folder", type=Path, help="where raster and model are kept for again")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        raster = folder / f"scene-{given.side}-{given.bands}.tif"
        model = folder / f"model-{given.bands}"
        if not raster.exists():
            write_raster(raster, given.side, given.bands)
        if not model.exists():
            write_model(model, given.bands)
        common = ["--raster", str(raster), "--dtype", given.dtype]
        own = [sys.executable, "-m", "benchmarks.raster_ours", *common]
        sides = [Side("foundation", (*own, "--model", str(model)), THREADS)]
        pythons = {"raw": sys.executable, "loop": sys.executable}
        pythons |= {k: getattr(given, k) for k in ("torchgeo", "terratorch") if getattr(given, k)}
        for kind, python in pythons.items():
            script = [python, str(Path(__file__).with_name("raster_baseline.py"))]
            script += ["--kind", kind, "--model", str(model), "--workers", str(given.workers)]
            alone = THREADS if kind in ("raw", "loop") else {**THREADS, "PYTHONPATH": None}
            sides.append(Side(kind, (*script, *common), alone))
        if given.starter:
            sides.append(Side("starter", (*own, "--starter", "--model", given.starter), THREADS))
        samples = run(
            sides, given.rounds, seed=given.seed, warmups=0, timeout=given.timeout,
            say=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip
    each = {side.name: values(samples, side.name, "seconds_each") for side in sides}
    found = {name: ratio(each[name], each["foundation"]) for name in each if name != "foundation"}
    body = described(
        sides, samples, found,
        megapixels_a_second={name: 1e-6 / median(took) for name, took in each.items()},
        settings={k: getattr(given, k) for k in ("bands", "side", "dtype", "rounds", "workers")},
    )  # fmt: skip
    print({name: round(rate, 2) for name, rate in body["megapixels_a_second"].items()})
    for kind, one in found.items():
        print(line(f"foundation over {kind}", one))
    print(save(f"raster_throughput_{given.dtype}_{given.bands}", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

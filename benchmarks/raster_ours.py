"""The same raster by the toolkit, timed without import and load.

    python -m benchmarks.raster_ours --raster FILE --model FOLDER

Nothing is written and windows do not overlap, as with the others; `--starter` embeds it as a user
does instead, with the starter (or `--model`), overlap, COG, tables and map. The last line of
standard output is a JSON object.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

SIDE = 224


def spec_of(folder: str, bands: int) -> Any:
    """The benchmark's vision transformer as a model of the toolkit."""
    from foundation.spec import ModelSpec

    names = ["blue", "green", "red", "nir08", "swir16", "swir22", "coastal", "nir09"][:bands]
    return ModelSpec(
        name="geospatial/benchmark",
        domain="geospatial",
        adapter="foundation.domains.geospatial.adapter:RasterEmbedder",
        source=f"path:{folder}",
        tasks=("embed",),
        options={
            "encoder": "foundation.domains.geospatial.vit:VisionEncoder",
            "side": SIDE, "bands": names, "numbers": "reflectance",
            "mean": [1500.0] * bands, "std": [800.0] * bands,
        },
    )  # fmt: skip


def unwritten(model: Any, raster: str, halo: int) -> int:
    """Embed without a run folder; pixels of the windows that were embedded."""
    from foundation.domains.geospatial.inputs import Embed
    from foundation.requests import Item
    from foundation.stream import Stream

    stream = Stream(model.adapter, "embed", 32, 0)
    ((_, output),) = stream.outputs([Item(0, Embed(raster=raster, halo=halo))])
    if output.reason:
        raise SystemExit(output.reason)
    return int(output.extra["embedded_windows"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--raster", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--starter", action="store_true")
    given = parser.parse_args()

    import rasterio
    import torch

    from foundation.adapter import Placement
    from foundation.model import Model
    from foundation.registry import spec

    with rasterio.open(given.raster) as file:
        bands, area = file.count, file.height * file.width
    made = spec_of(given.model, bands)
    if given.starter:
        made = spec("geospatial/starter", **({"path": given.model} if given.model else {}))
    model = Model(made, Placement("cpu", given.dtype))
    width = model.adapter.width  # type: ignore[attr-defined]
    with tempfile.TemporaryDirectory() as folder:
        _warm(model, bands, Path(folder) / "warm.tif")
        began, busy = time.perf_counter(), time.process_time()
        if given.starter:
            model.embed(rasters=[given.raster], folder=Path(folder) / "run").finish()
        else:
            area = unwritten(model, given.raster, 0) * SIDE * SIDE
        seconds, busy = time.perf_counter() - began, time.process_time() - busy
    report = {"width": width, "seconds": seconds, "seconds_each": seconds / area}
    report["cpu_each"] = busy / area
    print(json.dumps(report | {"threads": torch.get_num_threads()}))


def _warm(model: Any, bands: int, path: Path) -> None:
    """A small raster first, so that no first use is timed."""
    import numpy as np
    import rasterio

    from benchmarks.raster_throughput import NAMES

    with rasterio.open(
        path, "w", driver="GTiff", height=448, width=1792, count=bands, dtype="uint16",
        crs="EPSG:32633", transform=rasterio.Affine(10, 0, 0, 0, -10, 5e6),
    ) as file:  # fmt: skip
        file.write(np.full((bands, 448, 1792), 900, np.uint16))
        file.descriptions = NAMES[:bands]
    unwritten(model, str(path), 0)


if __name__ == "__main__":
    main()

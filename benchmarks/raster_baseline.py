"""A raster embedded without the toolkit, timed without import and load.

    PYTHON benchmarks/raster_baseline.py --kind loop --raster FILE --model FOLDER

Kinds: `raw`, windows that lie in memory as the model takes them; `loop`, rasterio window by window;
`torchgeo`, a RasterDataset with GridGeoSampler and a DataLoader; `terratorch`, its tiled inference.
PYTHON is an environment with what the kind needs, and transformers; nothing of the toolkit is
imported. The last line of standard output is a JSON object.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE, BATCH = 224, 16
# torchvision's wheel of the index is built for CUDA and lacks its operators beside a CPU's torch;
# the peers import it and use none of them here.
OPERATORS = torch.library.Library("torchvision", "FRAGMENT")


def mend_torchvision() -> None:
    """Declare the operators that its import asks for and its library does not bring."""
    for _ in range(32):
        try:
            import torchvision  # noqa: F401

            return
        except ImportError:  # this kind does without
            return
        except RuntimeError as error:
            missing = re.search(r"torchvision::(\w+) does not exist", str(error))
            if missing is None:
                raise
            OPERATORS.define(f"{missing[1]}(Tensor input) -> Tensor")
            for name in [name for name in sys.modules if name.startswith("torchvision")]:
                del sys.modules[name]


class Embedder:
    """The model on float32 windows [rows, bands, SIDE, SIDE]; standardised by one mean and std."""

    def __init__(self, folder: str, dtype: str) -> None:
        from transformers import AutoModel

        self.model = AutoModel.from_pretrained(folder).eval()
        self.dtype = getattr(torch, dtype)
        if self.dtype != torch.float32:
            self.model = self.model.to(self.dtype)
        self.windows = 0

    @torch.inference_mode()
    def __call__(self, pixels: torch.Tensor) -> Any:
        self.windows += len(pixels)
        found = self.model(pixels.to(self.dtype)).last_hidden_state
        return found.float().numpy()


def standardised(pixels: torch.Tensor) -> torch.Tensor:
    return (pixels.float() - 1500.0) / 800.0


def raw(embed: Embedder, raster: str) -> None:
    """Nothing is read or converted: what is left is the model as transformers runs it."""
    with rasterio.open(raster) as file:
        bands, count = file.count, (file.height // SIDE) * (file.width // SIDE)
    batch = torch.randn(BATCH, bands, SIDE, SIDE)
    for first in range(0, count, BATCH):
        embed(batch[: min(BATCH, count - first)])


def loop(embed: Embedder, raster: str) -> None:
    """What one writes first: a window at a time, batches by hand, GDAL's defaults."""
    waiting = []
    with rasterio.open(raster) as file:
        for top in range(0, file.height - SIDE + 1, SIDE):
            for left in range(0, file.width - SIDE + 1, SIDE):
                pixels = file.read(window=Window(left, top, SIDE, SIDE)).astype(np.float32)
                waiting.append(torch.from_numpy(pixels))
                if len(waiting) == BATCH:
                    embed(standardised(torch.stack(waiting)))
                    waiting = []
    if waiting:
        embed(standardised(torch.stack(waiting)))


def torchgeo(embed: Embedder, raster: str, workers: int) -> None:
    """As torchgeo's documentation does it."""
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    dataset = RasterDataset(paths=[raster])
    sampler = GridGeoSampler(dataset, size=SIDE, stride=SIDE)
    loader = DataLoader(
        dataset, batch_size=BATCH, sampler=sampler, num_workers=workers, collate_fn=stack_samples
    )
    for batch in loader:
        embed(standardised(batch["image"]))


def terratorch(embed: Embedder, raster: str) -> None:
    """Its tiled inference over the raster in memory, its output a channel a window cell."""
    from terratorch.tasks.tiled_inference import tiled_inference

    with rasterio.open(raster) as file:
        pixels = torch.from_numpy(file.read().astype(np.float32))

    def forward(windows: torch.Tensor, **_: Any) -> torch.Tensor:
        tokens = torch.from_numpy(embed(windows))[:, 1:]
        first = tokens[..., :1].mean(1).view(-1, 1, 1, 1)
        return first.expand(-1, 1, SIDE, SIDE)

    tiled_inference(
        forward,
        standardised(pixels)[None],
        out_channels=1,
        h_crop=SIDE,
        w_crop=SIDE,
        h_stride=SIDE,
        w_stride=SIDE,
        batch_size=BATCH,
        blend_overlaps=False,
        padding=False,
        delta=0,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kind", required=True, choices=["raw", "loop", "torchgeo", "terratorch"])
    parser.add_argument("--raster", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--workers", type=int, default=0, help="of torchgeo's DataLoader")
    given = parser.parse_args()
    mend_torchvision()
    embed = Embedder(given.model, given.dtype)
    with rasterio.open(given.raster) as file:
        bands = file.count
    ways: dict[str, Callable[[], None]] = {
        "raw": lambda: raw(embed, given.raster),
        "loop": lambda: loop(embed, given.raster),
        "torchgeo": lambda: torchgeo(embed, given.raster, given.workers),
        "terratorch": lambda: terratorch(embed, given.raster),
    }
    for _ in range(3):
        embed(torch.randn(BATCH, bands, SIDE, SIDE))
    embed.windows = 0
    began, busy = time.perf_counter(), time.process_time()
    ways[given.kind]()
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    pixels = embed.windows * SIDE * SIDE
    report = {"windows": embed.windows, "seconds": seconds, "seconds_each": seconds / pixels}
    report["cpu_each"] = busy / pixels
    print(json.dumps(report | {"threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main()

"""A quick look at a training: EuroSAT val from embeddings of a checkpoint or a model's folder.

    python benchmarks/quality/eurosat_check.py <run, checkpoint or model folder> [--untrained]

Prints kNN-5 and linear accuracy, trained on train.zip and judged on val.zip. The suite `geo`
measures the same with intervals and baselines; this takes a minute.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from foundation.domains.geospatial import sensors
from foundation.domains.geospatial.collection import _pictures, data_folder
from foundation.domains.geospatial.network import Shape, SpectralTransformer
from foundation.domains.geospatial.probing import linear, neighbours
from foundation.domains.geospatial.training import read_network


def network(folder: Path) -> SpectralTransformer:
    """The newest checkpoint below a folder, or the model in it."""
    from safetensors.torch import load_file

    if (folder / "config.json").is_file() and (folder / "model.safetensors").is_file():
        return read_network(folder)
    found = sorted(folder.glob("**/step-*/model.safetensors"))
    path = found[-1] if found else folder / "model.safetensors"
    print(path.parent)
    prefix = "network."
    weights = {k[len(prefix) :]: v for k, v in load_file(path).items() if k.startswith(prefix)}
    layers = 1 + max(int(k.split(".")[1]) for k in weights if k.startswith("blocks."))
    width = len(weights["norm.weight"])
    shape = Shape(
        spectra=len(weights["spectra.mix.2.bias"]),
        stem=len(weights["spectra.kernel.bias"]),
        width=width,
        layers=layers,
        heads=width // 64,
        ratio=len(weights["blocks.0.up.bias"]) // width,
    )
    made = SpectralTransformer(shape)
    made.load_state_dict(weights)
    return made


def chips(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels as the network takes them [chips, 3, 64, 64], and labels, classes in their order."""
    bands = [sensors.named("picture").band(band) for band in ("red", "green", "blue")]
    mean, std = (np.array([getattr(b, k) for b in bands], np.float32) for k in ("mean", "std"))
    pixels, labels = [], []
    for path, values, _ in _pictures(data_folder() / "rasters/eurosat_rgb" / name):
        scaled = (values.astype(np.float32) - mean[:, None, None]) / std[:, None, None]
        pixels.append(np.arcsinh(scaled).astype(np.float16))
        labels.append(path.split("/")[-2])
    classes = sorted(set(labels))
    return torch.from_numpy(np.stack(pixels)), torch.tensor([classes.index(x) for x in labels])


@torch.inference_mode()
def embedded(made: SpectralTransformer, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The vectors of the wholes, and the means of the patches' vectors [chips, units]."""
    bands = torch.tensor([[664.6, 559.8, 492.4]])
    found = []
    for batch in pixels.split(128):
        rows = len(batch)
        with torch.autocast("cpu", torch.bfloat16):
            whole, each = made(batch.float(), bands.expand(rows, 3), torch.full((rows,), 10.0))
        found.append((whole.float(), each.float().mean((1, 2))))
    whole, mean = (torch.cat(vectors) for vectors in zip(*found, strict=True))
    return whole, mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--untrained", action="store_true")
    parser.add_argument("--every", type=int, default=1, help="only every n-th chip")
    asked = parser.parse_args()
    torch.manual_seed(0)
    began = time.perf_counter()
    made = network(asked.folder)
    if asked.untrained:
        made = SpectralTransformer(made.shape)
    made.eval()
    (train, labels), (test, truth) = (
        tuple(x[:: asked.every] for x in chips(name)) for name in ("train.zip", "val.zip")
    )
    figures = {}
    for name, here, there in zip(
        ("whole", "mean"), embedded(made, train), embedded(made, test), strict=True
    ):
        for kind, told in (
            ("knn5", neighbours(here, labels, there)),
            ("linear", linear(here, labels, there, [1e-3])),
        ):
            figures[f"{kind}_{name}"] = round(float((told == truth).float().mean()), 4)
    print(json.dumps({**figures, "seconds": round(time.perf_counter() - began, 1)}))


if __name__ == "__main__":
    main()

"""Do our DOFA and Prithvi-EO-2 say what torchgeo's and terratorch's do, with the same weights?

    python -m benchmarks.quality.encoders_reference --torchgeo PYTHON --terratorch PYTHON

Each peer's environment makes a small model with random weights, an input and its output; ours loads
the weights by their published names and must give the same. The least cosine of a token and the
largest difference are printed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

SIDE, PATCH, WIDTH, LAYERS, HEADS = 64, 16, 96, 2, 2


def make_dofa(folder: Path) -> None:
    from torchgeo.models.dofa import DOFA

    model = DOFA(img_size=SIDE, patch_size=PATCH, embed_dim=WIDTH, depth=LAYERS, num_heads=HEADS,
                 num_classes=0, global_pool=False).eval()  # fmt: skip
    torch.nn.init.normal_(model.pos_embed, std=0.1)
    pixels, tokens = torch.randn(2, 4, SIDE, SIDE), []
    model.norm.register_forward_hook(lambda _m, _i, out: tokens.append(out))
    with torch.no_grad():
        model(pixels, [0.49, 0.56, 0.66, 0.84])
    keep(folder, model, pixels=pixels, tokens=tokens[0])


def make_prithvi(folder: Path) -> None:
    from terratorch.models.backbones.prithvi_mae import PrithviViT

    model = PrithviViT(
        img_size=SIDE, patch_size=(1, PATCH, PATCH), num_frames=3, in_chans=6, embed_dim=WIDTH,
        depth=LAYERS, num_heads=HEADS, coords_encoding=["time", "location"],
        coords_scale_learn=True,
    ).eval()  # fmt: skip
    pixels = torch.randn(2, 6, 3, SIDE, SIDE)
    days = torch.tensor([[[2019.0, 31], [2019, 150], [2020, 3]]] * 2)
    places = torch.tensor([[46.5, 14.0], [-33.2, 151.0]])
    with torch.no_grad():
        tokens = model.forward_features(pixels, days, places)[-1]
    keep(folder, model, pixels=pixels, tokens=tokens, days=days, places=places)


def keep(folder: Path, model: Any, **tensors: torch.Tensor) -> None:
    torch.save({"weights": model.state_dict(), **tensors}, folder / "made.pt")


def ours_dofa(made: dict[str, Any]) -> torch.Tensor:
    from foundation.domains.geospatial.dofa import Dofa

    model = Dofa(SIDE, PATCH, WIDTH, LAYERS, HEADS).eval()
    report = model.load_state_dict(made["weights"], strict=False)
    assert not report.missing_keys, report.missing_keys
    tokens: torch.Tensor = model(made["pixels"], torch.tensor([490.0, 560, 660, 840]))
    return tokens


def ours_prithvi(made: dict[str, Any]) -> torch.Tensor:
    from foundation.domains.geospatial.prithvi import Prithvi

    model = Prithvi(6, PATCH, WIDTH, LAYERS, HEADS, True).eval()
    report = model.load_state_dict(made["weights"], strict=False)
    assert not report.missing_keys, report.missing_keys
    tokens: torch.Tensor = model(made["pixels"], made["days"], made["places"])
    return tokens


MAKE = {"dofa": make_dofa, "prithvi": make_prithvi}
OURS = {"dofa": ours_dofa, "prithvi": ours_prithvi}
PEERS = {"dofa": "torchgeo", "prithvi": "terratorch"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torchgeo", help="a Python with torchgeo")
    parser.add_argument("--terratorch", help="a Python with terratorch")
    parser.add_argument("--make", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    torch.manual_seed(0)
    if asked.make:
        sys.path.insert(0, str(Path(__file__).parents[1]))
        from raster_baseline import mend_torchvision

        mend_torchvision()
        MAKE[asked.make[0]](Path(asked.make[1]))
        return
    for kind, peer in PEERS.items():
        if not getattr(asked, peer):
            continue
        with tempfile.TemporaryDirectory() as folder:
            command = [getattr(asked, peer), __file__, "--make", kind, folder]
            environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            subprocess.run(command, check=True, env=environment)
            made = torch.load(Path(folder) / "made.pt", weights_only=True)
        with torch.no_grad():
            found = OURS[kind](made)
        alike = torch.cosine_similarity(found, made["tokens"], dim=-1).min()
        apart = (found - made["tokens"]).abs().max()
        print(f"{kind} against {peer}: least cosine {alike:.7f}, largest difference {apart:.2e}")


if __name__ == "__main__":
    main()

"""Pictures a second: task.speed=exact and fast beside plain diffusers as its quick start shows.

    python -m benchmarks.image_speed --geometry sdxl
    python -m benchmarks.image_speed --geometry flux

Pipelines of the large models' shapes with random weights, scaled as `image_pipelines.SCALE` says
unless `--folder` names a real one. A side is a process: it loads, draws one picture that is not
counted, and then draws `--count` prompts and writes a PNG of each. The plain side calls the
pipeline once a prompt, as its quick start does, in the same dtype. `seconds` are those of drawing
and writing; `memory` is the peak of the whole process. Pairs are interleaved; ratios have bootstrap
intervals. With random weights nothing can be said of how pictures look.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import pairs
from benchmarks.image_pipelines import SCALE, SIDE, STEPS, build
from benchmarks.record import RESULTS, save

PROMPTS = ("a cat", "a red dog, a blue one", "two birds", "a house by the sea")


def prompts(count: int) -> list[str]:
    return [f"{PROMPTS[n % len(PROMPTS)]}, {chr(97 + n % 26)}" for n in range(count)]


def plain(folder: Path, given: argparse.Namespace, out: Path) -> float:
    """diffusers' quick start in a loop."""
    import torch
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(
        folder, torch_dtype=getattr(torch, given.dtype), use_safetensors=True
    )
    pipe.to(given.device)
    pipe.set_progress_bar_config(disable=True)
    size = {"width": given.side, "height": given.side, "num_inference_steps": given.steps}
    pipe("warm", **size)
    began = time.perf_counter()
    for number, prompt in enumerate(prompts(given.count)):
        generator = torch.Generator().manual_seed(number)
        pipe(prompt, generator=generator, **size).images[0].save(out / f"{number}.png")
    return time.perf_counter() - began


def ours(folder: Path, given: argparse.Namespace, out: Path, speed: str) -> float:
    from foundation.adapter import Placement
    from foundation.model import Model
    from foundation.spec import ModelSpec

    spec = ModelSpec(
        name="image/bench", domain="image", source=f"path:{folder}", tasks=("generate",),
        adapter="foundation.domains.image.adapter:TextToImage", options={"batch": given.batch},
    )  # fmt: skip
    model = Model(spec, Placement(given.device, given.dtype))
    settings: dict[str, Any] = {"width": given.side, "height": given.side, "steps": given.steps}
    settings |= {"speed": speed, "compare": 0}
    model.generate(prompts=["warm"], **settings).finish()
    began = time.perf_counter()
    model.generate(prompts=prompts(given.count), folder=out / "run", **settings).finish()
    return time.perf_counter() - began


def side(given: argparse.Namespace) -> int:
    """Run one side and print its report as the last line."""
    with tempfile.TemporaryDirectory() as name:
        out = Path(name)
        if given.run == "plain":
            seconds = plain(given.folder, given, out)
        else:
            seconds = ours(given.folder, given, out, given.run)
    print(json.dumps({"seconds": seconds, "pictures_a_second": given.count / seconds}))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--geometry", choices=("sdxl", "flux"), default="sdxl")
    parser.add_argument("--folder", type=Path, help="a pipeline of your own")
    parser.add_argument("--count", type=int, default=8, help="pictures of a run")
    parser.add_argument("--batch", type=int, default=4, help="pictures drawn together by ours")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--side", type=int, help="pixels")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--sides", default="plain,exact,fast", help="the first is the reference")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    given.steps = given.steps or STEPS[given.geometry]
    given.side = given.side or SIDE[given.geometry]
    if given.run:
        return side(given)
    with tempfile.TemporaryDirectory() as name:
        folder = given.folder or build(given.geometry, Path(name))
        return _compare(given, folder)


def _compare(given: argparse.Namespace, folder: Path) -> int:
    shared = [
        *(sys.executable, "-m", "benchmarks.image_speed", "--folder", str(folder)),
        *("--count", str(given.count), "--batch", str(given.batch), "--steps", str(given.steps)),
        *("--side", str(given.side), "--dtype", given.dtype, "--device", given.device),
    ]
    names = given.sides.split(",")
    sides = [pairs.Side(name, (*shared, "--run", name)) for name in names]
    samples = pairs.run(
        sides, given.pairs, warmups=0, say=lambda text: print(text, file=sys.stderr)
    )
    found = {
        f"{measure}: {names[0]}/{name}": pairs.compare(samples, names[0], name, measure)
        for measure in ("seconds", "memory")
        for name in names[1:]
    }
    settings = {name: getattr(given, name) for name in
                ("count", "batch", "steps", "side", "dtype", "device", "pairs")}  # fmt: skip
    scale = None if given.folder else SCALE[given.geometry]
    body = pairs.described(sides, samples, found, settings=settings, scale=scale)
    for name, each in found.items():
        print(pairs.line(name, each, 1.0 if name.startswith("seconds") else None))
    print(save(f"image_speed_{given.geometry}", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Pictures a second: task.speed=exact and fast beside plain diffusers as its quick start shows.

    python -m benchmarks.image_speed --geometry sdxl
    python -m benchmarks.image_speed --geometry flux
    python -m benchmarks.image_speed --geometry starter --count 64 --dtype float32

The embedded starter has its own weights and settings; its fast tier is its version of four steps.
The other pipelines have large models' shapes and random weights, scaled as `image_pipelines.SCALE`
says, unless `--geometry own --folder F` names a real one. A side is a process: it loads, draws one
picture that is not counted, and then draws `--count` prompts and writes a PNG of each. The plain
side calls the pipeline once a prompt, as its quick start does, in the same dtype. `seconds` are
those of drawing and writing, `processor` those of all cores, which other work on the machine
disturbs less; `memory` is the peak of the whole process. Pairs are interleaved; ratios have
bootstrap intervals. With random weights nothing can be said of how pictures look.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from benchmarks import pairs
from benchmarks.image_pipelines import SCALE, SIDE, STEPS, build
from benchmarks.process import Usage
from benchmarks.record import RESULTS, save

STARTER = Path(str(files("foundation.domains.image"))) / "starter"
PROMPTS = ("a cat", "a red dog, a blue one", "two birds", "a house by the sea")


def prompts(count: int) -> list[str]:
    return [f"{PROMPTS[n % len(PROMPTS)]}, {chr(97 + n % 26)}" for n in range(count)]


def clocks() -> tuple[float, float]:
    """Seconds of the wall and of the processor."""
    return time.perf_counter(), time.process_time()


def passed(began: tuple[float, float]) -> tuple[float, float]:
    now = clocks()
    return now[0] - began[0], now[1] - began[1]


Draw = Callable[[Path], tuple[float, float]]


def plain(folder: Path, given: argparse.Namespace) -> Draw:
    """diffusers' quick start in a loop."""
    import torch
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(
        folder, torch_dtype=getattr(torch, given.dtype), use_safetensors=True
    )
    pipe.to(given.device)
    pipe.set_progress_bar_config(disable=True)
    size = {"width": given.side, "height": given.side, "num_inference_steps": given.steps}
    if given.geometry == "starter":
        size |= {"guidance_scale": 1.5, "use_resolution_binning": False}
    pipe("warm", **size)

    def draw(out: Path) -> tuple[float, float]:
        began = clocks()
        for number, prompt in enumerate(prompts(given.count)):
            generator = torch.Generator().manual_seed(number)
            pipe(prompt, generator=generator, **size).images[0].save(out / f"{number}.png")
        return passed(began)

    return draw


def ours(folder: Path, given: argparse.Namespace, speed: str) -> Draw:
    from foundation import registry
    from foundation.adapter import Placement
    from foundation.model import Model
    from foundation.spec import ModelSpec

    spec = ModelSpec(
        name="image/bench", domain="image", source=f"path:{folder}", tasks=("generate",),
        adapter="foundation.domains.image.adapter:TextToImage", options={"batch": given.batch},
    )  # fmt: skip
    settings: dict[str, Any] = {"width": given.side, "height": given.side, "steps": given.steps}
    if given.geometry == "starter":
        spec, settings = registry.spec("image/starter"), {}
    model = Model(spec, Placement(given.device, given.dtype))
    settings |= {"speed": speed, "compare": 0}
    model.generate(prompts=["warm"], **settings).finish()

    def draw(out: Path) -> tuple[float, float]:
        # What is encoded once in a run is encoded anew in the next one.
        for encoder in model.adapter._encoded:
            encoder.forget()
        began = clocks()
        model.generate(prompts=prompts(given.count), folder=out / "run", **settings).finish()
        return passed(began)

    return draw


def side(name: str, given: argparse.Namespace) -> Draw:
    return plain(given.folder, given) if name == "plain" else ours(given.folder, given, name)


def timed(name: str, draw: Draw) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as out:
        seconds, processor = draw(Path(out))
    return {"seconds": seconds, "processor": processor}


def within(given: argparse.Namespace) -> list[pairs.Sample]:
    """All sides in this one process, where starting each of them costs too much."""
    chance = random.Random(0)
    names = given.sides.split(",")
    draws = {name: side(name, given) for name in names}
    samples = []
    for pair in range(given.pairs):
        for place, name in enumerate(chance.sample(names, len(names))):
            load = os.getloadavg()[0]
            report = timed(name, draws[name])
            print(f"pair {pair + 1}: {name} {report}", file=sys.stderr, flush=True)
            usage = Usage(report["seconds"], report["processor"], 0, report)
            samples.append(pairs.Sample(name, pair, place, load, usage))
    return samples


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--geometry", choices=("sdxl", "flux", "starter", "own"), default="sdxl")
    parser.add_argument("--folder", type=Path, help="a pipeline; built there where it is not")
    parser.add_argument("--count", type=int, default=8, help="pictures of a run")
    parser.add_argument("--batch", type=int, default=4, help="pictures drawn together by ours")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--side", type=int, help="pixels")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--sides", default="plain,exact,fast", help="the first is the reference")
    parser.add_argument("--within", action="store_true", help="all sides in one process")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    given.steps = given.steps or STEPS.get(given.geometry)
    given.side = given.side or SIDE.get(given.geometry)
    if given.geometry == "starter":
        given.folder, given.steps, given.side = STARTER, 20, 48
    if given.run:
        print(json.dumps(timed(given.run, side(given.run, given))))
        return 0
    with tempfile.TemporaryDirectory() as name:
        if given.folder is None or not given.folder.exists():
            given.folder = build(given.geometry, given.folder or Path(name))
        return _compare(given, given.folder)


def _compare(given: argparse.Namespace, folder: Path) -> int:
    shared = [
        *(sys.executable, "-m", "benchmarks.image_speed", "--geometry", given.geometry),
        *("--folder", str(folder)),
        *("--count", str(given.count), "--batch", str(given.batch), "--steps", str(given.steps)),
        *("--side", str(given.side), "--dtype", given.dtype, "--device", given.device),
    ]
    names = given.sides.split(",")
    sides = [pairs.Side(name, (*shared, "--run", name)) for name in names]
    if given.within:
        samples = within(given)
    else:
        samples = pairs.run(
            sides, given.pairs, warmups=0, say=lambda text: print(text, file=sys.stderr)
        )
    found = {
        f"{measure}: {names[0]}/{name}": pairs.compare(samples, names[0], name, measure)
        for measure in ("seconds", "processor", *(() if given.within else ("memory",)))
        for name in names[1:]
    }
    settings = {name: getattr(given, name) for name in
                ("count", "batch", "steps", "side", "dtype", "device", "pairs")}  # fmt: skip
    settings |= {"within": given.within, "threads": os.environ.get("OMP_NUM_THREADS")}
    body = pairs.described(
        sides, samples, found, settings=settings, scale=SCALE.get(given.geometry)
    )
    for name, each in found.items():
        print(pairs.line(name, each, None if name.startswith("memory") else 1.0))
    print(save(f"image_speed_{given.geometry}", body, given.out))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

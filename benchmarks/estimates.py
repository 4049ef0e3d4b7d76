"""What models were estimated to need, and what they then did: bytes of resident memory.

    python -m benchmarks.estimates --save            all geometries, on the CPU
    python -m benchmarks.estimates --only minilm     those whose names hold a word

Each geometry runs in a process of its own. The model is loaded, used and closed once, so that
imports and the libraries' own buffers are not counted; then the peak is reset, and the model is
loaded again and runs a batch. Measured is the peak of resident memory above what was resident
before that. Models named random have the shape of a published one and random weights.
"""

import argparse
import ctypes
import gc
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
WORDS = "the north wind and the sun were disputing which was the stronger when a traveller came "
SMILES = ["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CC(C)Cc1ccc(cc1)C(C)C(=O)O"]
LLAMA = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30,
         "num_attention_heads": 9, "num_key_value_heads": 3, "head_dim": 64}  # fmt: skip


@dataclass(frozen=True)
class Geometry:
    """model: a name of the registry. random: settings of a network with random weights."""

    name: str
    model: str
    task: str
    given: Mapping[str, Any]
    batch: int
    dtype: str = "float32"
    random: Mapping[str, Any] = field(default_factory=dict)


def geometries() -> list[Geometry]:
    """Models, sizes and batches over the five domains."""
    text = {"texts": [WORDS * 12] * 64, "count": 1}
    long = {"texts": [WORDS * 60] * 8, "count": 1}
    prompts = {"prompts": [WORDS] * 32, "max_tokens": 24}
    code = {"prompts": ["def add(a, b):\n    "] * 32, "max_tokens": 24}
    small = {"prompts": ["a red circle"] * 32, "steps": 4}
    many = {"prompts": ["a red circle"] * 128, "steps": 4}
    smiles = {"smiles": SMILES * 171, "count": 1}
    square = lambda side: {"prompts": ["a red circle"] * 2, "width": side, "height": side}  # noqa: E731
    bigger = {"hidden_size": 960, "intermediate_size": 2560, "num_hidden_layers": 32,
              "num_attention_heads": 15, "num_key_value_heads": 5, "head_dim": 64}  # fmt: skip
    return [
        Geometry("minilm f32", "language/minilm", "embed", text, 64),
        Geometry("minilm bf16", "language/minilm", "embed", long, 8, "bfloat16"),
        Geometry("smollm2-135m f32", "language/smollm2-135m", "generate", prompts, 32),
        Geometry("smollm2-135m bf16", "language/smollm2-135m", "generate", prompts, 8, "bfloat16"),
        Geometry("smollm2-135m score", "language/smollm2-135m", "score", long, 8, "bfloat16"),
        Geometry("llama-360m random", "language/smollm2-135m", "generate", prompts, 16, "bfloat16",
                 bigger),
        Geometry("code smollm2 f32", "code/smollm2-135m", "complete", code, 16),
        Geometry("code smollm2 bf16", "code/smollm2-135m", "complete", code, 32, "bfloat16"),
        Geometry("molecule starter f32", "molecule/starter", "generate", {"count": 512}, 512),
        Geometry("molecule starter embed", "molecule/starter", "embed", smiles, 512),
        Geometry("chemfm-like random", "molecule/chemfm-1b", "generate", {"count": 64}, 64,
                 "float32", LLAMA),
        Geometry("image pixels 64", "image/starter", "generate", small, 32, "float32",
                 {"width": 384, "depth": 12}),
        Geometry("image starter", "image/starter", "generate", many, 128),
        Geometry("image sd 256", "image/stable-diffusion-1.5", "generate",
                 {**square(256), "steps": 2}, 2, "bfloat16", {"scale": 1.0}),
        Geometry("image sd 512", "image/stable-diffusion-1.5", "generate",
                 {**square(512), "steps": 1}, 1, "bfloat16", {"scale": 1.0}),
        Geometry("geospatial f32", "geospatial/starter", "embed", {"side": 1024}, 64, "float32",
                 {"width": 384, "layers": 12, "heads": 6}),
        Geometry("geospatial starter f32", "geospatial/starter", "embed", {"side": 3000}, 64),
        Geometry("geospatial bf16", "geospatial/starter", "embed", {"side": 2048}, 64, "bfloat16",
                 {"width": 768, "layers": 12, "heads": 12}),
    ]  # fmt: skip


def measured(geometry: Geometry, folder: Path) -> dict[str, Any]:
    """Estimate and measure, in this process."""
    from benchmarks import random_models
    from foundation import registry
    from foundation.adapter import Placement
    from foundation.hub.facts import described
    from foundation.model import Model
    from foundation.placement.estimate import costs
    from foundation.requests import settings

    overrides = random_models.made(geometry, folder) if geometry.random else {}
    spec = registry.spec(geometry.model, **overrides)
    given = random_models.inputs(geometry, folder) | {"batch": geometry.batch}
    domain = registry.domain(spec.domain)
    known = described(replace(spec, dtype=geometry.dtype))
    items = list(settings(domain, geometry.task, given).requests())
    cost = costs(known, registry.resolve(spec.adapter), items)

    def use() -> None:
        model = Model(spec, Placement("cpu", geometry.dtype))
        results = model.results(geometry.task, given)
        for number, _ in enumerate(results, 1):
            if number >= geometry.batch:
                break
        results.run.close()
        model.close()

    use()
    give_back()
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    use()
    peak = status("VmHWM") - before
    return {
        "name": geometry.name,
        "task": geometry.task,
        "batch": geometry.batch,
        "dtype": geometry.dtype,
        "parameters": known.parameters,
        "estimated": cost.resident(geometry.batch),
        "weights": cost.weights,
        "measured": peak,
        "ratio": round(cost.resident(geometry.batch) / peak, 3),
    }


def give_back() -> None:
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)


def status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="geometries whose names hold this")
    parser.add_argument("--one", help="measure one in this process")
    parser.add_argument("--folder", type=Path, help="where random weights are kept")
    parser.add_argument("--save", action="store_true", help="write benchmarks/results/estimates.*")
    given = parser.parse_args()
    chosen = [g for g in geometries() if given.only in g.name]
    if given.one:
        (geometry,) = (g for g in chosen if g.name == given.one)
        print(json.dumps(measured(geometry, given.folder)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [_apart(geometry, folder) for geometry in chosen]
    print(markdown(rows))
    if given.save:
        from benchmarks.record import RESULTS, save

        save("estimates", {"command": "python -m benchmarks.estimates --save", "rows": rows})
        (RESULTS / "estimates.md").write_text(markdown(rows) + "\n")


def _apart(geometry: Geometry, folder: Path) -> dict[str, Any]:
    """Measure in a process of its own; its memory is then nobody else's."""
    command = [sys.executable, "-m", "benchmarks.estimates", "--one", geometry.name]
    done = subprocess.run(
        [*command, "--folder", str(folder)], cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode:
        print(done.stderr[-2000:], file=sys.stderr)
        return {"name": geometry.name, "failed": done.stderr.strip().splitlines()[-1:]}
    row: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(row["name"], row["ratio"], f"{row['measured'] / 1e6:.0f} MB", file=sys.stderr, flush=True)
    return row


def markdown(rows: list[dict[str, Any]]) -> str:
    """The table that is committed."""
    lines = [
        "| model | task | dtype | batch | parameters | estimated MB | measured MB | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "failed" in row:
            lines.append(f"| {row['name']} | failed: {row['failed']} | | | | | | |")
            continue
        lines.append(
            f"| {row['name']} | {row['task']} | {row['dtype']} | {row['batch']} "
            f"| {(row['parameters'] or 0) / 1e6:.1f} M | {row['estimated'] / 1e6:.0f} "
            f"| {row['measured'] / 1e6:.0f} | {row['ratio']:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()

"""Are the rows of a run the same wherever it ran?

    python -m benchmarks.engine_equality

20,000 molecules of the starter, with all checks; a folder of NAIP scenes, embedded; 500 prompts
drawn by the pictures' starter in --steps steps; 500 gone on with by a language model
(SmolLM2-135M). Each is made in this process, on one local worker, on two, on two Ray actors (needs
the extra ray), and as an array of four ranges that submitit runs on this machine and task=join
joins; in float32, one thread a worker, one batch size. Compared with the first by id: the share of
rows that are equal in every column, floating-point numbers bit for bit, the largest difference of
those, the least cosine of vectors, and the pixels of rasters and pictures. Runs that are in
--folder already are not made again, and jobs that are not named by --only stay in the record.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, commit, save

HERE = Path(__file__).parent
TEXT = HERE.parent / "LICENSE"
JOBS = ("molecules", "rasters", "pictures", "prompts")
COLOURS = ("red", "blue", "green", "yellow", "white")
SHAPES = ("circle", "square", "triangle", "star", "ring")
RANGES = 4
ALONE = "process"
ENGINES: dict[str, list[str]] = {
    ALONE: [],
    "local, 1 worker": ["engine.workers=1"],
    "local, 2 workers": ["engine.workers=2"],
    "ray, 2 actors": ["engine=ray", "engine.workers=2"],
    "array of 4 ranges": [
        "-m", f"engine.ranges={RANGES}", f"engine.range=range({RANGES})",
        "hydra/launcher=submitit_local",
    ],
}  # fmt: skip
COMMON = ["placement=cpu", "placement.dtype=float32", "placement.threads=1"]


def jobs(given: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """What is run, as words of the command line; inputs are written into the folder."""
    scenes, prompts = folder / "scenes", folder / "prompts.jsonl"
    scenes.mkdir(parents=True, exist_ok=True)
    for path in sorted(given.rasters.glob(given.scenes)):
        if not (scenes / path.name).exists():
            (scenes / path.name).symlink_to(path.resolve())
    words = TEXT.read_text(encoding="utf-8").split()
    texts = [" ".join(words[3 * n : 3 * n + 6 + n % 18]) for n in range(given.prompts)]
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in texts))
    things = [f"a {c} {s}" for c in COLOURS for s in SHAPES]
    drawn = [f"{things[n % 25]} beside {things[n // 25 % 25]}" for n in range(given.pictures)]
    scenery = folder / "scenery.jsonl"
    scenery.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in drawn))
    return {
        "molecules": [f"task.count={given.molecules}", "task.batch=256"],
        "rasters": ["model=geospatial/starter", "task=embed", f"task.input={scenes}"],
        "pictures": [
            "model=image/starter", "task=generate", f"task.input={scenery}",
            f"task.steps={given.steps}", "task.batch=16",
        ],
        "prompts": [
            f"model={given.language}", "task=generate", f"task.input={prompts}",
            "task.chat=false", f"task.max_tokens={given.new}", "task.batch=16",
        ],
    }  # fmt: skip


def make(words: Sequence[str], engine: Sequence[str], folder: Path) -> None:
    """Run it, or what is left of it, into the folder."""
    if "-m" in engine:
        run([*words, *engine, f"hydra.sweep.dir={folder}"])
        run(["task=join", f"task.run={folder}"])
    else:
        run([*words, *engine, f"resume={folder}"])


def run(words: Sequence[str]) -> None:
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "foundation", *words],
        env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    if ended.returncode:
        raise RuntimeError(f"{' '.join(words)}: {ended.stderr[-2000:]}")


def compare(expected: Path, found: Path) -> dict[str, Any]:
    """How the rows and files of a run differ from those of another."""
    import numpy as np
    import pyarrow.parquet as pq
    import pyarrow.types as types

    one, two = (pq.read_table(folder / "results.parquet") for folder in (expected, found))
    told: dict[str, Any] = {"rows": len(two), "ids": one["id"].equals(two["id"])}
    if not told["ids"] or not one.schema.equals(two.schema):
        return told | {"equal": 0.0, "schema": one.schema.equals(two.schema)}
    discrete, equal = np.ones(len(one), bool), np.ones(len(one), bool)
    told |= {"largest_difference": {}, "least_cosine": {}}
    for field in one.schema:
        a, b = one[field.name].combine_chunks(), two[field.name].combine_chunks()
        if types.is_fixed_size_list(field.type):
            x, y = (np.stack(column.to_numpy(zero_copy_only=False)) for column in (a, b))
            equal &= (x == y).all(1)
            norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
            told["least_cosine"][field.name] = float(((x * y).sum(1) / norms).min())
        elif types.is_floating(field.type):
            x, y = (column.to_numpy(zero_copy_only=False) for column in (a, b))
            equal &= (x == y) | (np.isnan(x) & np.isnan(y))
            gap = np.nanmax(np.abs(x - y), initial=0.0)
            told["largest_difference"][field.name] = float(gap)
        else:
            same = np.array([x == y for x, y in zip(a.to_pylist(), b.to_pylist(), strict=True)])
            discrete &= same
    told |= {"equal": float((equal & discrete).mean()), "discrete": float(discrete.mean())}
    for kind, pixels in {"rasters": rasters, "pictures": pictures}.items():
        ours, theirs = (pixels(folder) for folder in (expected, found))
        if ours:
            told[f"{kind}_equal"] = sum(theirs.get(name) == each for name, each in ours.items())
            told[kind] = len(ours)
    return told


def pictures(folder: Path) -> dict[str, str]:
    """The name of each picture of a run and the sha256 of its pixels."""
    import hashlib

    from PIL import Image

    found = {}
    for path in sorted(folder.glob("images/*.png")):
        with Image.open(path) as file:
            found[path.name] = hashlib.sha256(file.convert("RGB").tobytes()).hexdigest()
    return found


def rasters(folder: Path) -> dict[str, str]:
    """The name of each raster of a run and the sha256 of its pixels."""
    import hashlib

    import rasterio

    found = {}
    for path in sorted(folder.glob("*.tif")):
        with rasterio.open(path) as file:
            found[path.name] = hashlib.sha256(file.read().tobytes()).hexdigest()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", type=int, default=20_000)
    parser.add_argument("--pictures", type=int, default=500)
    parser.add_argument("--prompts", type=int, default=500)
    parser.add_argument("--steps", type=int, default=2, help="of a picture")
    parser.add_argument("--new", type=int, default=8, help="tokens of an answer, at most")
    parser.add_argument("--language", default="language/smollm2-135m")
    data = Path(os.environ.get("FOUNDATION_DATA", HERE.parent / "../shared/data"))
    parser.add_argument("--rasters", type=Path, default=data / "rasters/naip_opengeos")
    parser.add_argument("--scenes", default="m_*.tif", help="which of its files")
    parser.add_argument("--only", nargs="+", choices=JOBS)
    parser.add_argument("--engines", nargs="+", default=list(ENGINES), choices=list(ENGINES))
    parser.add_argument("--folder", type=Path, help="where runs are kept; default: nowhere")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    keys = ("molecules", "pictures", "prompts", "steps", "new", "language", "scenes")
    settings = {key: getattr(given, key) for key in keys} | {"ranges": RANGES, "common": COMMON}
    path = given.out / "engine_equality.json"
    found: dict[str, Any] = json.loads(path.read_text())["jobs"] if path.exists() else {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.folder or Path(scratch)
        for job, words in jobs(given, folder).items():
            if given.only is None or job in given.only:
                engines = measured(folder / job, words, given.engines)
                date = datetime.now(UTC).isoformat(timespec="seconds")
                about = {"date": date, "commit": commit(), "settings": settings}
                found[job] = {**about, "engines": engines}
    least = min(row["equal"] for job in found.values() for row in job["engines"].values())
    print(save("engine_equality", {"jobs": found, "least": least}, given.out))
    return 0 if least >= 0.999 else 1


def measured(folder: Path, words: list[str], engines: Sequence[str]) -> dict[str, dict[str, Any]]:
    """One job on each engine, compared with the one in this process."""
    found = {}
    for engine in [ALONE, *(e for e in engines if e != ALONE)]:
        where = folder.with_name(f"{folder.name}-{engine.replace(', ', '-').replace(' ', '-')}")
        make([*words, *COMMON], ENGINES[engine], where)
        if engine == ALONE:
            alone = where
        found[engine] = compare(alone, where)
        print(f"{folder.name}, {engine}: {found[engine]}", flush=True)
    return found


if __name__ == "__main__":
    raise SystemExit(main())

"""A training killed at random moments and resumed gives the curve of one that was not.

    python -m benchmarks.tuning_kill --kills 20

Two molecule starters of a small shape are trained by `task=tune` on the same rows; one is ended by
SIGKILL at random moments, and each time gone on with by `resume=`. Compared are every loss of the
curve, the held-out losses and the weights (float32).
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, save

STEPS = 2000
EARLY = 0.2
"""The share of kills that fall into starting and reading, before any step of their process."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        found = _compared(Path(folder), given.kills, random.Random(given.seed))
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    print(
        save(
            "tuning_kill", {"settings": {"kills": given.kills, "steps": STEPS}, **found}, given.out
        )
    )
    return 0 if found["largest_difference_of_the_curve"] <= 1e-6 else 1


def _compared(folder: Path, kills: int, chance: random.Random) -> dict[str, Any]:
    data = folder / "rows.smi"
    atoms = "CCCNOS"
    rows = {"C" * chance.randint(1, 9) + chance.choice(atoms).upper() * 2 for _ in range(400)}
    rows |= {"C" * a + "O" * b + "C" * c for a in range(1, 9) for b in (0, 1) for c in range(9)}
    data.write_text("\n".join(sorted(rows)))
    whole, killed = folder / "whole", folder / "killed"
    began = time.perf_counter()
    with _started(data, whole) as process:
        first = _newer(whole, 0, process) - began
        process.wait()
    rest = time.perf_counter() - began - first
    early = 0
    for _ in range(kills):
        with _started(data, killed) as process:
            before = _newest(killed)
            if chance.random() < EARLY:
                time.sleep(chance.uniform(0.2, first))
            else:
                _newer(killed, before, process)
                time.sleep(chance.uniform(0, 1.5 * rest / kills))
            assert process.poll() is None, "the training ended before it was killed"
            os.killpg(process.pid, signal.SIGKILL)
        early += _newest(killed) == before
        _whole(killed)
    subprocess.run(_words(data, killed), check=True, env=_environment())
    return {
        "kills": kills,
        "before_a_new_checkpoint": early,
        **_differences(whole, killed),
    }


def _started(data: Path, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        _words(data, folder),
        env=_environment(),
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def _newest(folder: Path) -> int:
    """The step of the newest checkpoint, 0 where there is none."""
    names = (path.name for path in (folder / "checkpoints").glob("step-*"))
    return max((int(name.removeprefix("step-")) for name in names), default=0)


def _newer(folder: Path, step: int, process: "subprocess.Popen[bytes]") -> float:
    """When a checkpoint behind `step` was there."""
    while _newest(folder) <= step and process.poll() is None:
        time.sleep(0.005)
    return time.perf_counter()


def _whole(killed: Path) -> None:
    """Nothing half written lies where a checkpoint is looked for."""
    for path in (killed / "checkpoints").glob("step-*"):
        names = {each.name for each in path.iterdir()}
        assert {"model.safetensors", "optimizer.safetensors", "progress.json"} <= names, path


def _words(data: Path, folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "foundation", "task=tune", "recipe=molecule/starter",
        f"task.data={data}", f"task.held_out={data}", f"resume={folder}", "placement=cpu",
        "recipe.precision=float32", f"recipe.steps={STEPS}", "recipe.batch=16", "recipe.log=5",
        "recipe.validate=50", "recipe.checkpoint=20", "recipe.held_out_rows=64",
        "recipe.shape={vocabulary: 90, width: 64, layers: 1}", "recipe.augment=0.3",
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


def _differences(whole: Path, killed: Path) -> dict[str, Any]:
    import numpy as np
    import pyarrow.parquet as pq
    from safetensors.numpy import load_file

    curves = [pq.read_table(path / "curve.parquet").to_pandas() for path in (whole, killed)]
    assert curves[0]["step"].tolist() == curves[1]["step"].tolist()
    gaps = [
        float(np.nanmax(np.abs(curves[0][name] - curves[1][name]))) for name in ("loss", "held_out")
    ]
    last = f"checkpoints/step-{STEPS:08d}/model.safetensors"
    weights = [load_file(path / last) for path in (whole, killed)]
    apart = max(float(np.abs(weights[0][n] - weights[1][n]).max()) for n in weights[0])
    return {
        "rows_of_the_curve": len(curves[0]),
        "largest_difference_of_the_curve": max(gaps),
        "largest_difference_of_a_weight": apart,
    }


if __name__ == "__main__":
    raise SystemExit(main())

"""Pictures by the thousand: flat memory, kill -9 in the middle, and PNGs that redraw themselves.

    python -m benchmarks.image_runs

`foundation` draws `--few` and then `--many` prompts with a tiny pipeline of random weights;
compared are the peaks of the whole process tree. Then the many are begun again and killed `--kills`
times with SIGKILL, and gone on with until they end: each picture must be there once and be the one
of the undisturbed run. Last, `--redrawn` of the PNGs are given back as task.input, under another
seed. Pictures count as equal where no pixel differs by more than one of 255.
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
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.image_pipelines import build, configuration
from benchmarks.process import Usage, measure
from benchmarks.record import RESULTS, save

MOST = 1.05


def words(configured: Path, prompts: Path, folder: Path) -> list[str]:
    command = [sys.executable, "-m", "foundation", "--config-dir", str(configured)]
    command += ["model=image/bench", "placement=cpu", "placement.dtype=float32"]
    return [*command, f"task.input={prompts}", f"resume={folder}"]


def listed(root: Path, count: int) -> Path:
    """A file of so many prompts, no two alike."""
    path = root / f"{count}.txt"
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    names = ("".join(alphabet[n // 26**place % 26] for place in (2, 1, 0)) for n in range(count))
    path.write_text("\n".join(f"a {name}" for name in names))
    return path


def killed(command: Sequence[str], times: int, whole: float, chance: random.Random) -> int:
    """Start and kill a run again and again, then let it end; how often it was killed."""
    count = 0
    while True:
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as run:
            patience = chance.uniform(0.2 * whole, 0.5 * whole) if count < times else 3600.0
            with suppress(subprocess.TimeoutExpired):
                _, said = run.communicate(timeout=patience)
                if run.returncode:
                    raise RuntimeError(said.decode()[-2000:])
                return count
            run.send_signal(signal.SIGKILL)
            count += 1


def equal(one: Path, other: Path) -> bool:
    import numpy as np
    from PIL import Image

    with Image.open(one) as first, Image.open(other) as second:
        gap = np.abs(np.asarray(first).astype(int) - np.asarray(second))
    return bool(gap.max() <= 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--few", type=int, default=100)
    parser.add_argument("--many", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--redrawn", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of the moments and of the redrawn")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    chance = random.Random(given.seed)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        configured = configuration("sd-tiny", build("sd-tiny", root / "pipe"), root, batch=8)
        body = _measured(given, root, configured, chance)
    print(save("image_runs", body, given.out))
    return 0 if body["each_once"] and body["equal"] == given.many else 1


def _measured(
    given: argparse.Namespace, root: Path, configured: Path, chance: random.Random
) -> dict[str, Any]:
    used: dict[int, Usage] = {}
    for count in (given.few, given.many):
        command = words(configured, listed(root, count), root / str(count))
        used[count] = measure(command, timeout=3600, every=0.05)
        print(f"{count:,} prompts: {used[count].memory / 2**20:.1f} MiB, {used[count].wall:.1f} s")
    times = used[given.many].memory / used[given.few].memory
    print(f"{times:.3f} times as much, at most {MOST}: {'yes' if times <= MOST else 'no'}")
    whole, again = root / str(given.many), root / "killed"
    command = words(configured, listed(root, given.many), again)
    began = time.monotonic()
    kills = killed(command, given.kills, used[given.many].wall, chance)
    names = [sorted(os.listdir(folder / "images")) for folder in (whole, again)]
    same = sum(equal(whole / "images" / n, again / "images" / n) for n in names[0] if n in names[1])
    once = names[0] == names[1] and len(names[1]) == given.many and _ids(again) == given.many
    print(f"{kills} kills: each picture once: {once}; equal: {same:,} of {given.many:,}")
    chosen = enumerate(chance.sample(range(given.many), given.redrawn))
    redrawn = sum(_redraws(configured, whole, root / f"r{n}", number) for n, number in chosen)
    print(f"redrawn from their own metadata: {redrawn} of {given.redrawn}")
    return {
        "usage": {str(count): asdict(usage) for count, usage in used.items()},
        "times": times, "at_most": MOST, "kills": kills, "each_once": once, "equal": same,
        "redrawn": redrawn, "of": given.redrawn, "seed": given.seed,
        "killed_seconds": time.monotonic() - began,
    }  # fmt: skip


def _ids(folder: Path) -> int:
    import pyarrow.parquet as pq

    return len(set(pq.read_table(folder / "results.parquet", columns=["id"])["id"].to_pylist()))


def _redraws(configured: Path, whole: Path, folder: Path, number: int) -> bool:
    picture = whole / "images" / f"{number:06d}.png"
    command = [*words(configured, picture, folder), "seed=99"]
    subprocess.run(command, check=True, capture_output=True)
    return equal(picture, folder / "images" / "000000.png")


if __name__ == "__main__":
    raise SystemExit(main())

"""The record of a benchmark: what was measured, on what, with what."""

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from foundation.durable import write_text
from foundation.record import machine, versions

SCHEMA = 3
"""2: samples say what others took; cases of the suite have `case`, `usual` and `answers`.
3: a sample's usage has `energy`, empty where no counter can be read; reports of sides that give
single results have `latency_p50`, `latency_p90` and `latency_p99`.
"""
ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def save(name: str, values: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write `<folder>/<name>.json`: the values and the circumstances."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    record = {"schema": SCHEMA, "name": name, **circumstances(), **values}
    write_text(path, _anywhere(json.dumps(record, indent=2, default=str)) + "\n")
    return path


def _anywhere(text: str) -> str:
    """Without paths of this machine, which mean nothing elsewhere."""
    text = text.replace(sys.executable, "python").replace(f"{ROOT}/", "").replace(str(ROOT), ".")
    text = text.replace(f"{Path.home()}/", "~/")
    folder = re.escape(tempfile.gettempdir())
    return re.sub(rf"{folder}/[^/\s\"]+", "FOLDER", text)


def circumstances() -> dict[str, Any]:
    """When, which commit, which versions, which machine and how busy it is."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "versions": versions(),
        "machine": {**machine(), "precision": precision(), "load": os.getloadavg()},
    }


def precision() -> dict[str, Any]:
    """What bfloat16 is worth here: seconds of a matrix product, and the dtype chosen for that."""
    import torch

    from foundation.precision import fastest, seconds

    took = {f"{name}_seconds": value for name, value in seconds().items()}
    return {"fastest": fastest(), **took, "threads": torch.get_num_threads()}


def commit() -> str | None:
    """The commit, with "-changed" where the working tree differs; None outside a repository."""
    here = Path(__file__).parent
    try:
        head = _git(here, "rev-parse", "HEAD").strip()
        return f"{head}-changed" if _git(here, "status", "--porcelain").strip() else head
    except (OSError, subprocess.CalledProcessError):
        return None


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout

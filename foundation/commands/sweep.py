"""The summary table of a sweep: a row for each of its runs."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foundation.commands.models import table
from foundation.durable import write_text

COLUMNS = ("run", "status", "rows", "valid", "seconds", "overrides")


def summarise(root: Path, folders: Sequence[Path], codes: Sequence[int | None]) -> str:
    """Write `root/summary.csv` and return it as aligned text, its last line saying where it is.

    A run that has no code was stopped.
    """
    rows = [_row(folder, code) for folder, code in zip(folders, codes, strict=True)]
    names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    cells = [names, *([str(row.get(name, "")) for name in names] for row in rows)]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(cells)
    write_text(root / "summary.csv", text.getvalue())
    return f"{table(cells)}\n{len(rows)} runs: {root / 'summary.csv'}"


def _row(folder: Path, code: int | None) -> dict[str, Any]:
    record = _read(folder / "record.json", {})
    counts = record.get("counts", {})
    status = "done" if code == 0 else "stopped" if code is None or code > 128 else "failed"
    typed: list[str] = _read(folder / "overrides.json", [])
    seconds = record.get("seconds", {}).get("run")
    return {
        "run": folder.name,
        "status": status,
        "rows": counts.get("rows", ""),
        "valid": counts.get("valid", ""),
        "seconds": "" if seconds is None else f"{seconds:.1f}",
        "overrides": " ".join(o.removeprefix("++") for o in typed),
        **_means(record.get("metrics", {})),
    }


def _means(metrics: dict[str, Any]) -> dict[str, str]:
    """A suite's figures, the mean of those measured more than once."""
    values = {k: v.get("mean") if isinstance(v, dict) else v for k, v in metrics.items()}
    return {k: f"{v:.4g}" for k, v in values.items() if isinstance(v, int | float)}


def _read(path: Path, missing: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else missing

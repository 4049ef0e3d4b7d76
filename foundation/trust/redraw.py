"""Whether a run's rows come out again: some of them made anew, beside those of its table."""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from foundation.arguments import remembered
from foundation.durable import sha256
from foundation.errors import InputError

TABLE = "results.parquet"
OWN = ("resume=", "hydra.run.dir=", "engine=", "engine.")
"""Settings that say where a run goes and on what, which a second one chooses itself."""


@dataclass(frozen=True)
class Redrawn:
    """rows: how many were made anew. other: ids of those that came out otherwise."""

    rows: int
    other: tuple[int, ...]


def redraw(folder: Path, count: int) -> Redrawn:
    """Make about `count` rows from the middle of a finished run again, by what was typed for it.

    What a run decides when all of its rows are there, such as which are unique, is not compared.
    InputError: the folder remembers nothing of its run, or it cannot be repeated here.
    """
    from foundation.application import run

    if count < 1:
        raise InputError(f"task.redraw must be at least 1, got {count}")
    if not ((folder / TABLE).is_file() and (folder / "overrides.json").is_file()):
        raise InputError(f"{folder} is no run folder whose rows could be made again")
    typed = [word for word in remembered([f"resume={folder}"]) if not word.startswith(OWN)]
    before = _rows(folder, [folder / TABLE])
    ranges = max(1, len(before) // count)
    with TemporaryDirectory() as scratch:
        again = Path(scratch) / "again"
        chosen = [f"engine.ranges={ranges}", f"engine.range={ranges // 2}"]
        if run([*typed, f"hydra.run.dir={again}", *chosen]) != 0:
            raise InputError(f"the run of {folder} cannot be repeated here, see above")
        after = _rows(again, sorted((again / "parts").glob("*.parquet")))
    told = {name for row in after.values() for name, value in row.items() if value is not None}
    other = [
        number
        for number, row in sorted(after.items())
        if any(row[name] != before.get(number, {}).get(name) for name in told)
    ]
    return Redrawn(len(after), tuple(other))


def _rows(folder: Path, tables: list[Path]) -> dict[int, dict[str, Any]]:
    """Rows by id; an output that is a file is told by its digest."""
    import pyarrow.parquet as pq

    rows: dict[int, dict[str, Any]] = {}
    for table in tables:
        for row in pq.read_table(table).to_pylist():
            output = row.get("output")
            if isinstance(output, str) and output and len(output) < 256:
                path = folder / output
                row["output"] = sha256(path) if path.is_file() else output
            rows[row["id"]] = row
    return rows

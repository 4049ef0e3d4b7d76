"""Whether a run's rows come out again: some of them made anew, beside those of its table.

A file that lies outside its run is made again where it holds its whole request, see Domain.redraws.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from foundation import registry
from foundation.arguments import remembered
from foundation.durable import sha256
from foundation.errors import InputError
from foundation.trust import provenance

if TYPE_CHECKING:
    from collections.abc import Callable

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


def redraw_alone(path: Path) -> Redrawn:
    """Make one file again, by the model, the seed and the request that it holds.

    InputError: a file of its kind does not hold all of that, or other weights are here.
    """
    from foundation.application import run

    told = provenance.of_file(path)
    name, task, seed = (told.get(what) for what in ("model", "task", "seed"))
    if str(name) not in registry.models():
        raise InputError(f"{path} names no model that is here: give task.record=<its run folder>")
    domain = registry.domain(registry.spec(str(name)).domain)
    held = str(task) in domain.tasks and isinstance(seed, int)
    if path.suffix not in domain.redraws or not held:
        raise InputError(f"{path} holds no request by itself: give task.record=<its run folder>")
    same: Callable[[Path, Path], bool] = registry.resolve(domain.redraws[path.suffix])
    typed = [f"model={name}", f"task={task}", f"seed={seed}"]
    with TemporaryDirectory() as scratch:
        copy, again = Path(scratch) / f"file{path.suffix}", Path(scratch) / "again"
        copy.write_bytes(path.read_bytes())  # under a name that needs no quotes
        if run([*typed, f"task.input={copy}", f"hydra.run.dir={again}"]) != 0:
            raise InputError(f"{path} cannot be made again here, see above")
        (row,) = _outputs(again / TABLE)
        made = again / str(row["output"])
        if not (row["valid"] and made.is_file()):
            raise InputError(f"{path} cannot be made again here: {row['reason']}")
        now = provenance.of_file(made)
        if any(now.get(what) != told.get(what) for what in ("weights", "deltas")):
            raise InputError(f"{path} was made by other weights of {name} than are here")
        return Redrawn(1, () if same(path, made) else (0,))


def _outputs(table: Path) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    rows: list[dict[str, Any]] = pq.read_table(
        table, columns=["output", "valid", "reason"]
    ).to_pylist()
    return rows


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

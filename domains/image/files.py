"""Files -> rows: prompts from text and tables, a PNG's own request, a plan of scenes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation import tables
from foundation.domains.image import plan
from foundation.tables import Record

_SETTINGS = (
    ("negative", str), ("width", int), ("height", int), ("steps", int), ("guidance", float),
    ("scheduler", str), ("lora", float), ("image_seed", int),
)  # fmt: skip
_LINES: dict[str, tables.Reader] = {".txt": tables.lines, ".text": tables.lines}


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of `path` in file order: `prompt`, and settings where there are columns of their names.

    A record that cannot be read has the key `error`. `.png`: the request it was drawn by. `.yaml`:
    a plan of scenes to train on.
    """
    path = Path(path)
    if path.suffix in (".yaml", ".yml"):
        yield from plan.read(path)
        return
    tables.check_exists(path)
    if path.suffix.lower() == ".png":
        from foundation.domains.image.outputs import read_png

        yield read_png(path)
        return
    columns = tables.tables([column or "prompt"], *((name,) for name, _ in _SETTINGS))
    yield from map(_row, tables.read(path, {**_LINES, **columns}, "prompts"))


def _row(record: Record) -> dict[str, Any]:
    prompt, *cells = record.cells or (None,)
    row: dict[str, Any] = {"prompt": prompt}
    error = record.error or (None if (prompt or "").strip() else "an empty prompt")
    for (name, kind), cell in zip(_SETTINGS, cells, strict=False):
        if cell is None or not str(cell).strip():
            continue
        try:
            row[name] = kind(cell)
        except ValueError:
            error = error or f"{name} is no number: {cell}"
    return {**row, "error": f"record {record.number}: {error}"} if error else row

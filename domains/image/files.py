"""Files -> rows: prompts from text and tables, a picture's own request, a plan of scenes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation import tables
from foundation.domains.image import plan
from foundation.domains.image.metadata import read_request
from foundation.domains.image.pictures import SUFFIXES
from foundation.errors import RequestError
from foundation.tables import Record

_SETTINGS = (
    ("negative", str), ("width", int), ("height", int), ("steps", int), ("guidance", float),
    ("scheduler", str), ("lora", float), ("image_seed", int), ("image", str), ("mask", str),
    ("strength", float), ("speed", str), ("format", str),
)  # fmt: skip
_FILES = ("image", "mask")
_LINES: dict[str, tables.Reader] = {".txt": tables.lines, ".text": tables.lines}


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of `path` in file order: `prompt`, and settings where there are columns of their names.

    A record that cannot be read has the key `error`. A picture: the request it was drawn by.
    `.yaml`: a plan of scenes to train on. Paths in a table are relative to it or to where we are.
    """
    path = Path(path)
    if path.suffix in (".yaml", ".yml"):
        yield from plan.read(path)
        return
    tables.check_exists(path)
    if path.suffix.lower() in SUFFIXES:
        yield read_request(path)
        return
    columns = tables.tables([column or "prompt"], *((name,) for name, _ in _SETTINGS))
    for record in tables.read(path, {**_LINES, **columns}, "prompts"):
        yield _row(record, path.parent)


def read_pictures(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows with `image`, a picture's path, and `text` where there is a column of that name.

    path: a picture; a folder, whose pictures are taken in the order of their names; a list or a
    table of paths; the folder of a run that drew pictures, whose prompts are the texts.
    """
    path = Path(path)
    if path.is_dir() and (path / "results.parquet").is_file():
        path = path / "results.parquet"
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if each.suffix.lower() in SUFFIXES)
        if not found:
            raise RequestError(f"task.input: there is no picture in {path}")
        yield from ({"image": str(each)} for each in found)
        return
    tables.check_exists(path)
    if path.suffix.lower() in SUFFIXES:
        yield {"image": str(path)}
        return
    drawn = path.name == "results.parquet" and column is None
    needed = ["output"] if drawn else [column] if column else ["image", "path", "file", "text"]
    columns = tables.tables(needed, ("input",) if drawn else ("text", "caption", "prompt"))
    for record in tables.read(path, {**_LINES, **columns}, "pictures"):
        yield _pair(record, path.parent)


def _pair(record: Record, folder: Path) -> dict[str, Any]:
    image, text = (*record.cells, None, None)[:2]
    row: dict[str, Any] = {"image": None if image is None else beside(image, folder)}
    if text is not None:
        row["text"] = text
    if record.reason or not (image or "").strip():
        row["error"] = record.reason or f"record {record.number}: no picture"
    return row


def beside(cell: str, folder: Path) -> str:
    """A path of a table: relative to it where there is such a file."""
    return str(folder / cell) if (folder / cell).exists() else cell


def _row(record: Record, folder: Path) -> dict[str, Any]:
    prompt, *cells = record.cells or (None,)
    row: dict[str, Any] = {"prompt": prompt}
    error = record.error or (None if (prompt or "").strip() else "an empty prompt")
    for (name, kind), cell in zip(_SETTINGS, cells, strict=False):
        if cell is None or not str(cell).strip():
            continue
        try:
            row[name] = beside(str(cell), folder) if name in _FILES else kind(cell)
        except ValueError:
            error = error or f"{name} is no number: {cell}"
    return {**row, "error": f"record {record.number}: {error}"} if error else row

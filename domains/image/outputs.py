"""Pictures as people take them away: files that say how they were made, a sheet, a grid."""

import base64
import csv
import html as markup
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.image.metadata import SUFFIX, save
from foundation.domains.image.pictures import opened
from foundation.durable import replacing
from foundation.errors import RequestError
from foundation.join import stored
from foundation.results import Result

if TYPE_CHECKING:
    import pyarrow
    from PIL import Image

FOLDER = "images"
SHOWN, COLUMNS = 24, 6
THUMBNAIL = 160  # pixels
_GAP, _CAPTION = 12, 34
_UNTOLD = ("cut", "thumbnail")


def keep(folder: Path, result: Result) -> Result:
    """Write a picture as `images/<id>.png` (.jpg, .webp) and put its path in its place.

    The file says by which prompt, seed, model, revision and settings it was drawn; see metadata.py.
    The first pictures' thumbnails are kept in the table, for the contact sheet and notebooks.
    """
    pixels = result.output
    if pixels is None or isinstance(pixels, str):
        return result
    from PIL import Image

    picture = Image.fromarray(pixels)
    kind = result.checks.get("format") or "png"
    path = folder / FOLDER / f"{result.id:06d}{SUFFIX[kind]}"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        save(picture, file, kind, _told(result))
    checks = dict(result.checks)
    if result.id < SHOWN:
        checks["thumbnail"] = _thumbnail(picture)
    return replace(result, output=str(path.relative_to(folder)), checks=checks)


def write(folder: Path, task: str, table: Path) -> list[Path]:
    """Write `contact.png`, the first drawn pictures with their prompts, or `labels.csv`."""
    if task == "classify":
        return [_labels(folder / "labels.csv", table)]
    if task != "generate":
        return []
    path = folder / "contact.png"
    with replacing(path) as part, part.open("wb") as file:
        _sheet(_first(table)).save(file, "PNG")
    return [path]


def html(rows: "pyarrow.Table") -> str:
    """A notebook's view: a grid of the first pictures, each with its prompt, label or reason."""
    drawn = "thumbnail" in rows.column_names
    cells = []
    for row in rows.slice(0, SHOWN).to_pylist():
        thumbnail = row.get("thumbnail") if drawn else _looked_at(row.get("input"))
        text = row.get("input") if drawn else row.get("output")
        cells.append(_figure(thumbnail, text, row.get("reason")))
    more = f"<p>{rows.num_rows:,} pictures</p>" if rows.num_rows > SHOWN else ""
    return f"<div>{''.join(cells)}</div>{more}"


def _figure(thumbnail: bytes | None, text: str | None, reason: str | None) -> str:
    said = markup.escape(str(text or ""))
    shown = f"<em>{markup.escape(reason or 'no picture')}</em>"
    if thumbnail:
        data = base64.b64encode(thumbnail).decode("ascii")
        shown = f'<img src="data:image/png;base64,{data}" alt="{said}" style="width:160px">'
    return (
        f'<figure style="margin:6px;width:160px;display:inline-block;vertical-align:top">'
        f'{shown}<figcaption style="font-size:12px">{said}</figcaption></figure>'
    )


def _looked_at(path: str | None) -> bytes | None:
    """A thumbnail of a picture that was given, where it is still there."""
    try:
        return None if path is None else _thumbnail(opened(path))
    except RequestError:
        return None


def _first(table: Path) -> list[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(table, pre_buffer=False) as file:
        names = ("input", "thumbnail", "reason")
        wanted = [name for name in names if name in file.schema_arrow.names]
        batch = next(file.iter_batches(batch_size=SHOWN, columns=wanted), None)
    rows: list[dict[str, Any]] = [] if batch is None else batch.to_pylist()
    return rows


def _labels(path: Path, table: Path) -> Path:
    """One row a picture, also those that were refused, in the table's order."""
    names = ("id", "input", "output", "probability", "second", "unsure", "reason")
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "image", "label", *names[3:]])
        for batch in stored(table):
            for row in batch.to_pylist():
                writer.writerow([_plain(row.get(name)) for name in names])
    return path


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else value


def _told(result: Result) -> dict[str, Any]:
    told = {"prompt": result.input, "model": result.model, "revision": result.revision}
    return {**told, **{name: value for name, value in result.checks.items() if name not in _UNTOLD}}


def _thumbnail(picture: "Image.Image") -> bytes:
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return buffer.getvalue()


def _sheet(rows: Sequence[Mapping[str, Any]]) -> "Image.Image":
    from PIL import Image, ImageDraw

    count = max(1, len(rows))
    columns = min(COLUMNS, count)
    cell = (THUMBNAIL + _GAP, THUMBNAIL + _CAPTION + _GAP)
    size = (columns * cell[0] + _GAP, -(-count // columns) * cell[1] + _GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, row in enumerate(rows):
        x = _GAP + number % columns * cell[0]
        y = _GAP + number // columns * cell[1]
        if row.get("thumbnail"):
            with Image.open(io.BytesIO(row["thumbnail"])) as picture:
                sheet.paste(_enlarged(picture), (x, y))
        elif row.get("reason"):
            pen.multiline_text((x, y), _wrapped(row["reason"], 6), fill="#a00")
        pen.multiline_text((x, y + THUMBNAIL + 3), _wrapped(row.get("input") or ""), fill="#333")
    return sheet


def _enlarged(picture: "Image.Image") -> "Image.Image":
    """Small pictures in whole multiples, so that their pixels stay what they are."""
    times = max(1, THUMBNAIL // max(picture.size))
    return picture.convert("RGB").resize((picture.width * times, picture.height * times), 0)


def _wrapped(text: str, lines: int = 2) -> str:
    import textwrap

    plain = text.encode("ascii", "replace").decode()
    return "\n".join(textwrap.wrap(plain, 27, max_lines=lines, placeholder="..."))

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
from foundation.trust import provenance
from foundation.trust.seal import BLANK, seal

if TYPE_CHECKING:
    import pyarrow
    from PIL import Image

FOLDER = "images"
SHOWN, COLUMNS = 24, 6
THUMBNAIL, NARROWEST = 160, 128  # pixels
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
    with replacing(path) as part:
        with part.open("wb") as file:
            save(picture, file, kind, _told(folder, result))
        seal(part)
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


def html(rows: "pyarrow.Table", folder: Path) -> str:
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


def _told(folder: Path, result: Result) -> dict[str, Any]:
    told = {**provenance.of_run(folder), "id": result.id, "prompt": result.input}
    told |= {"model": result.model, "revision": result.revision}
    told |= {name: value for name, value in result.checks.items() if name not in _UNTOLD}
    return {**told, "seal": BLANK}


def _thumbnail(picture: "Image.Image") -> bytes:
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return buffer.getvalue()


def _sheet(rows: Sequence[Mapping[str, Any]]) -> "Image.Image":
    from PIL import Image, ImageDraw

    pictures = [_enlarged(row["thumbnail"]) if row.get("thumbnail") else None for row in rows]
    shown = [picture for picture in pictures if picture is not None]
    wide = max([NARROWEST, *(picture.width for picture in shown)])
    high = max([picture.height for picture in shown], default=NARROWEST)
    columns = min(COLUMNS, max(1, len(rows)))
    cell = (wide + _GAP, high + _CAPTION + _GAP)
    size = (columns * cell[0] + _GAP, -(-max(1, len(rows)) // columns) * cell[1] + _GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    for number, (row, picture) in enumerate(zip(rows, pictures, strict=True)):
        x = _GAP + number % columns * cell[0]
        y = _GAP + number // columns * cell[1]
        if picture is not None:
            sheet.paste(picture, (x, y + high - picture.height))
        elif row.get("reason"):
            pen.multiline_text((x, y), _wrapped(row["reason"], wide, 6), fill="#a00")
        pen.multiline_text((x, y + high + 3), _wrapped(row.get("input") or "", wide), fill="#333")
    return sheet


def _enlarged(thumbnail: bytes) -> "Image.Image":
    """Small pictures in whole multiples, so that their pixels stay what they are."""
    from PIL import Image

    with Image.open(io.BytesIO(thumbnail)) as small:
        times = max(1, THUMBNAIL // max(small.size))
        return small.convert("RGB").resize((small.width * times, small.height * times), 0)


def _wrapped(text: str, wide: int, lines: int = 2) -> str:
    """Lines that fit so many pixels, in the letters that Pillow's own font has: no accents."""
    import textwrap
    import unicodedata

    apart = unicodedata.normalize("NFKD", text)
    plain = "".join(letter for letter in apart if not unicodedata.combining(letter))
    known = plain.encode("ascii", "replace").decode()
    return "\n".join(textwrap.wrap(known, wide // 6, max_lines=lines, placeholder="..."))

"""Pictures as people take them away: PNGs that say how they were made, a sheet, a notebook grid."""

import base64
import html as markup
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing
from foundation.errors import RequestError
from foundation.results import Result

if TYPE_CHECKING:
    import pyarrow
    from PIL import Image

KEY = "foundation"
FOLDER = "images"
SHOWN, COLUMNS = 24, 6
THUMBNAIL = 160  # pixels
_GAP, _CAPTION = 12, 34
_REDRAWN = (
    "negative", "width", "height", "steps", "guidance", "scheduler", "lora", "image_seed",
)  # fmt: skip


def keep(folder: Path, result: Result) -> Result:
    """Write a picture as `images/<id>.png` and put its path in its place.

    The PNG's text chunk "foundation" is JSON: prompt, seed, model, revision and settings.
    """
    pixels = result.output
    if pixels is None or isinstance(pixels, str):
        return result
    from PIL import Image, PngImagePlugin

    picture = Image.fromarray(pixels)
    told = PngImagePlugin.PngInfo()
    told.add_text(KEY, json.dumps(_told(result)))
    path = folder / FOLDER / f"{result.id:06d}.png"
    path.parent.mkdir(exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        picture.save(file, "PNG", pnginfo=told)
    checks = {**result.checks, "thumbnail": _thumbnail(picture)}
    return replace(result, output=str(path.relative_to(folder)), checks=checks)


def read_png(path: Path) -> dict[str, Any]:
    """The request that a PNG says it was drawn by; RequestError where it says nothing."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            told = json.loads(getattr(picture, "text", {})[KEY])
        settings = {name: told[name] for name in _REDRAWN if told.get(name) is not None}
        return {"prompt": told["prompt"], **settings}
    except (OSError, KeyError, ValueError, TypeError, UnidentifiedImageError) as error:
        raise RequestError(
            f"task.input: {path} does not say how it was drawn: give a PNG that a run wrote"
        ) from error


def write(folder: Path, task: str, table: Path) -> list[Path]:
    """Write `contact.png`, the first pictures with their prompts."""
    from pyarrow import parquet

    with parquet.ParquetFile(table, pre_buffer=False) as file:
        wanted = [name for name in ("input", "thumbnail") if name in file.schema_arrow.names]
        batch = next(file.iter_batches(batch_size=SHOWN, columns=wanted), None)
    rows = [] if batch is None else batch.to_pylist()
    path = folder / "contact.png"
    with replacing(path) as part, part.open("wb") as file:
        _sheet(rows).save(file, "PNG")
    return [path]


def html(rows: "pyarrow.Table") -> str:
    """A notebook's view: a grid of the first pictures, each with its prompt or its reason."""
    cells = []
    for row in rows.slice(0, SHOWN).to_pylist():
        text = markup.escape(str(row.get("input") or ""))
        if row.get("thumbnail"):
            data = base64.b64encode(row["thumbnail"]).decode("ascii")
            shown = f'<img src="data:image/png;base64,{data}" alt="{text}" style="width:160px">'
        else:
            shown = f"<em>{markup.escape(row.get('reason') or 'no picture')}</em>"
        cells.append(
            f'<figure style="margin:6px;width:160px;display:inline-block;vertical-align:top">'
            f'{shown}<figcaption style="font-size:12px">{text}</figcaption></figure>'
        )
    more = f"<p>{rows.num_rows:,} pictures</p>" if rows.num_rows > SHOWN else ""
    return f"<div>{''.join(cells)}</div>{more}"


def _told(result: Result) -> dict[str, Any]:
    told = {"prompt": result.input, "model": result.model, "revision": result.revision}
    return {**told, **{name: value for name, value in result.checks.items() if name != "cut"}}


def _thumbnail(picture: "Image.Image") -> bytes:
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    small.save(buffer, "PNG")
    return buffer.getvalue()


def _sheet(rows: list[Mapping[str, Any]]) -> "Image.Image":
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
        pen.multiline_text((x, y + THUMBNAIL + 3), _wrapped(row.get("input") or ""), fill="#333")
    return sheet


def _enlarged(picture: "Image.Image") -> "Image.Image":
    """Small pictures in whole multiples, so that their pixels stay what they are."""
    times = max(1, THUMBNAIL // max(picture.size))
    return picture.convert("RGB").resize((picture.width * times, picture.height * times), 0)


def _wrapped(text: str) -> str:
    import textwrap

    plain = text.encode("ascii", "replace").decode()
    return "\n".join(textwrap.wrap(plain, 27, max_lines=2, placeholder="..."))

"""A notebook's view of scenes: their maps, and what was found in each."""

import base64
import html as markup
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.domains.geospatial.outputs import named

if TYPE_CHECKING:
    import pyarrow

SHOWN, WIDEST = 6, 480  # scenes; pixels of a map's width
MATCHES = 5
MAPS = ("map.png", "classes.png", "change.png")
_TOLD = ("sensor", "resolution", "valid_fraction", "windows", "change", "aligned", "accuracy")


def html(rows: "pyarrow.Table", folder: Path) -> str:
    """The first scenes: each with its maps, or the reason why there is none."""
    shown = "".join(_scene(row, folder) for row in rows.slice(0, SHOWN).to_pylist())
    more = f"<p>{rows.num_rows:,} scenes</p>" if rows.num_rows > SHOWN else ""
    return f"<div>{shown}</div>{more}"


def _scene(row: dict[str, Any], folder: Path) -> str:
    name = markup.escape(Path(str(row["input"])).name)
    maps = "".join(
        _picture(path) for path in (folder / named(file, row["id"]) for file in MAPS)
        if path.is_file()
    )  # fmt: skip
    said = markup.escape(row["reason"]) if row["reason"] else _told(row)
    return (
        "<figure style='display:inline-block;vertical-align:top;margin:6px;max-width:100%'>"
        f"{maps}<figcaption><b>{name}</b><br>{said}</figcaption></figure>"
    )


def _told(row: dict[str, Any]) -> str:
    """What a row says of its scene, in words and figures."""
    told = [
        f"{name.replace('_', ' ')} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name in _TOLD
        if (value := row.get(name)) is not None
    ]
    found = zip(row.get("scenes") or (), row.get("scene_windows") or (),
                row.get("similarities") or (), strict=False)  # fmt: skip
    told += [
        f"<br>{similarity:.3f}: {markup.escape(Path(scene).name)}, window {window}"
        for scene, window, similarity in list(found)[:MATCHES]
    ]
    return ", ".join(told).replace(", <br>", "<br>")


def _picture(path: Path) -> str:
    from PIL import Image

    with Image.open(path) as image:
        image.thumbnail((2 * WIDEST, 2 * WIDEST))  # sharp on fine screens
        small = io.BytesIO()
        image.save(small, "PNG")
        width = min(WIDEST, image.width)
    data = base64.b64encode(small.getvalue()).decode("ascii")
    look = f"display:block;width:{width}px;max-width:100%;height:auto"
    return f"<img src='data:image/png;base64,{data}' alt='{path.stem}' style='{look}'>"

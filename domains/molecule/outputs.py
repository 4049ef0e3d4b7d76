"""Molecules as a chemist takes them away: an SDF, a picture of twenty, a notebook view."""

import base64
import functools
import html as markup
import io
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from foundation.durable import replacing
from foundation.failures import tell
from foundation.placement.host import cores
from foundation.trust import provenance
from foundation.trust.seal import sealed
from foundation.worker import Workers

if TYPE_CHECKING:
    import pyarrow
    from PIL import Image, ImageFont

_MOLECULE_TASKS = frozenset({"generate"})
_NOT_PROPERTIES = frozenset({"id", "output", "valid", "reason", "embedding"})
_TOLD = "provenance"
_ROWS_AT_ONCE = 512
_ROWS_ALONE = 2048  # fewer are written before processes would have started

Rows = list[dict[str, Any]]

_COLUMNS, _SHOWN = 5, 20
_CARD = (400, 356)  # pixels, twice their size on a page
_GAP, _RADIUS, _MARGIN, _HEADER, _CAPTION = 20, 20, 22, 40, 60
_PAGE, _EDGE, _INK, _FAINT = "#eef1f6", "#d9dfe8", "#1f2733", "#6b7686"
# By atomic number; -1 is any other. RDKit's own yellow and green are too faint on white.
_ATOMS = {
    **dict.fromkeys((-1, 0, 1, 6), _INK),
    **{7: "#2456c9", 8: "#d0312d", 9: "#1b7f3b", 15: "#c25a00", 16: "#a67c00"},
    **{17: "#1b7f3b", 35: "#94421a", 53: "#7a2fa0"},
}
# The first three that a table has.
_LEGEND = (("Score", "score", 3), ("QED", "qed", 2), ("SA", "sa", 1), ("logP", "logp", 1))
_SHOWN_COLUMNS = (
    "id", "output", "valid", "reason", "unique", "canonical", "score", "qed", "sa", "logp",
)  # fmt: skip


def write(folder: Path, task: str, results: Path) -> list[Path]:
    """Write `molecules.sdf` and `molecules.png` of the table `results` into `folder`.

    The SDF has every valid row, in the table's order, named by its id, with 2D coordinates and
    the row's columns as data fields. The picture has the first 20 valid and unique molecules.
    Where the system lacks what RDKit draws with, there is no picture and a line says so.
    The table is streamed, so memory does not grow with it, and a long one is written by as many
    processes as there are cores. Tasks whose outputs are not molecules
    write nothing.
    """
    if task not in _MOLECULE_TASKS:
        return []
    from pyarrow import parquet

    sdf, png, lacking = folder / "molecules.sdf", folder / "molecules.png", _lacking()
    with parquet.ParquetFile(results, pre_buffer=False) as table:
        wanted = [name for name in table.schema_arrow.names if name != "embedding"]
        batches = table.iter_batches(batch_size=_ROWS_AT_ONCE, columns=wanted)
        shown: Rows = []
        picture: Future[bytes] | None = None
        with (
            ThreadPoolExecutor(1) as beside,
            replacing(sdf) as part,
            part.open("w", encoding="utf-8", newline="\n") as file,
        ):
            written = _alone if table.metadata.num_rows < _ROWS_ALONE else _by_processes
            told = provenance.text(provenance.of_run(folder))
            found = ([{**row, _TOLD: told} for row in batch.to_pylist()] for batch in batches)
            for rows, records in written(found):
                file.writelines(records)
                if picture is None and not lacking:
                    shown = _first(shown + rows)  # rows come by id: the first found stay the first
                    if len(shown) == _SHOWN:
                        picture = beside.submit(_picture, shown)
    if lacking:
        tell(f"molecules.png is not drawn: {lacking}")
        return [sdf]
    with replacing(png) as part:
        part.write_bytes(_picture(shown) if picture is None else picture.result())
    return [sdf, png]


def html(rows: "pyarrow.Table", folder: Path) -> str:
    """A notebook's view of a result table: up to 20 molecules above a line of counts."""
    shown = _first(_candidates(rows))
    line = markup.escape(_counts(rows))
    image = ""
    if shown and not _lacking():
        width = min(len(shown), _COLUMNS) * (_CARD[0] + _GAP) // 2
        data = base64.b64encode(_picture(shown)).decode("ascii")
        image = (
            f'<img src="data:image/png;base64,{data}" alt="{len(shown)} of the molecules" '
            f'style="display:block;width:{width}px;max-width:100%;height:auto">'
        )
    return (
        f'<div style="display:inline-block;max-width:100%;border-radius:10px;padding:10px;'
        f'background:{_PAGE};color:{_INK};font:14px system-ui,sans-serif">{image}'
        f'<div style="padding:6px 8px 2px">{line}</div></div>'
    )


def text(rows: "pyarrow.Table") -> str:
    """A terminal's view: the line of counts and the first ten rows."""
    lines = [_counts(rows)]
    for row in _light(rows.slice(0, 10)).to_pylist():
        what = _legend(row) if row["valid"] else (row.get("reason") or "invalid")
        smiles = row.get("output") or ""
        smiles = smiles if len(smiles) <= 60 else smiles[:59] + "…"
        lines.append(_printable(f"{row['id']:>8}  {smiles:<60}  {what}").rstrip())
    return "\n".join(lines)


def _alone(batches: Iterator[Rows]) -> Iterator[tuple[Rows, list[str]]]:
    for rows in batches:
        yield rows, sdf_records(rows)


def _by_processes(batches: Iterator[Rows]) -> Iterator[tuple[Rows, list[str]]]:
    """As `_alone`, in the same order; a few batches are under way."""
    workers = Workers(f"{__name__}:sdf_records", (), cores(), died=lambda _: "")
    under_way: deque[tuple[Rows, Callable[[], list[str]]]] = deque()
    try:
        for rows in batches:
            under_way.append((rows, workers.submit(rows).result))
            if len(under_way) > 2 * cores():
                rows, records = under_way.popleft()
                yield rows, records()
        for rows, records in under_way:
            yield rows, records()
    finally:
        workers.close()


def sdf_records(rows: Rows) -> list[str]:
    """The SDF's text of each row; empty where it has no valid molecule."""
    return [_sdf_record(row) if row["valid"] else "" for row in rows]


def _sdf_record(row: Mapping[str, Any]) -> str:
    from rdkit import Chem
    from rdkit.Chem import rdDepictor

    molecule = Chem.MolFromSmiles(row["output"])
    if molecule is None:
        return ""
    # Without coordinates a molfile has no place for double-bond geometry.
    rdDepictor.Compute2DCoords(molecule)
    molecule.SetProp("_Name", str(row["id"]))
    for name, value in row.items():
        if name not in _NOT_PROPERTIES and (field := _field(value)):
            molecule.SetProp(name, field)
    # RDKit itself turns to V3000 above 999 atoms or bonds.
    text: str = Chem.SDWriter.GetText(molecule)
    return sealed(text)


def records(data: bytes) -> list[bytes]:
    """The records of an SDF, each of which has a seal of its own."""
    end = b"$$$$\n"
    found = data.split(end)
    return [each + end for each in found[:-1]] + [each for each in found[-1:] if each]


def _field(value: object) -> str:
    """One line: a blank line ends a data field, and what follows would be read as the next."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, bool):
        return str(value).lower()
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    return " ".join(text.split())


def _first(rows: Rows) -> Rows:
    """The first by id that are valid and, where that is known, unique."""
    good = [row for row in rows if row["valid"] and row.get("unique") is not False]
    return sorted(good, key=lambda row: row["id"])[:_SHOWN]


def _candidates(rows: "pyarrow.Table") -> Rows:
    """As `_first`, of a table too large for a list."""
    import pyarrow.compute as pc

    light = _light(rows)
    good = light.filter(pc.fill_null(light["valid"], False))
    if "unique" in good.column_names:
        good = good.filter(pc.fill_null(good["unique"], True))
    lowest = pc.select_k_unstable(good, k=_SHOWN, sort_keys=[("id", "ascending")])
    rows_found: Rows = good.take(lowest).to_pylist()
    return rows_found


def _light(rows: "pyarrow.Table") -> "pyarrow.Table":
    return rows.select([name for name in _SHOWN_COLUMNS if name in rows.column_names])


def _counts(rows: "pyarrow.Table") -> str:
    """Like "1,000 molecules, 98.2 % valid, of these 99.9 % unique, 84.1 % novel"."""
    import pyarrow.compute as pc

    count = rows.num_rows
    line = f"{count:,} molecule{'' if count == 1 else 's'}"
    if not count:
        return line
    valid = rows.filter(pc.fill_null(rows["valid"], False))
    line += f", {valid.num_rows / count:.1%} valid".replace("%", " %")
    shares = [
        f"{pc.mean(valid[name]).as_py() * 100:.1f} % {name}"
        for name in ("unique", "novel")
        if name in rows.column_names and valid[name].null_count < valid.num_rows
    ]
    return f"{line}, of these {', '.join(shares)}" if shares else line


def _legend(row: Mapping[str, Any]) -> str:
    return "  ".join(f"{label} {value}" for label, value in _values(row))


def _values(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (label, f"{row[name]:.{digits}f}")
        for label, name, digits in _LEGEND
        if row.get(name) is not None
    ][:3]


def _printable(text: str) -> str:
    """Models and files can hold terminal escapes."""
    return "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in text)


def _lacking() -> str:
    """What the system lacks of what RDKit draws with, in words; no Python package brings it."""
    try:
        from rdkit.Chem.Draw import rdMolDraw2D  # noqa: F401
    except ImportError as error:
        missing = str(error).partition(":")[0]
        return f"RDKit draws with {missing}; on Debian: apt-get install libxrender1 libxext6"
    return ""


def _picture(rows: Rows) -> bytes:
    """A PNG of the rows' molecules as cards, drawn at twice the size they have on a page."""
    from PIL import Image, ImageDraw

    columns = min(_COLUMNS, max(len(rows), 1))
    lines = max(-(-len(rows) // columns), 1)
    width, height = _CARD
    size = (columns * (width + _GAP) + _GAP, lines * (height + _GAP) + _GAP)
    page, frame = Image.new("RGB", size, _PAGE), _frame()
    for index, row in enumerate(rows):
        down, across = divmod(index, columns)
        at = (_GAP + across * (width + _GAP), _GAP + down * (height + _GAP))
        page.paste(_card(frame, row), at)
    if not rows:
        middle = (size[0] / 2, size[1] / 2)
        brush = ImageDraw.Draw(page)
        brush.text(middle, "No valid molecules", fill=_FAINT, font=_font(28), anchor="mm")
    file = io.BytesIO()
    page.save(file, "PNG", dpi=(192, 192))
    return file.getvalue()


def _frame() -> "Image.Image":
    from PIL import Image, ImageDraw

    # Pillow draws hard edges: four times the size, then down, is smooth.
    width, height = (4 * side for side in _CARD)
    frame = Image.new("RGB", (width, height), _PAGE)
    ImageDraw.Draw(frame).rounded_rectangle(
        (0, 0, width - 1, height - 1), 4 * _RADIUS, fill="white", outline=_EDGE, width=8
    )
    return frame.resize(_CARD, Image.Resampling.LANCZOS)


def _card(frame: "Image.Image", row: Mapping[str, Any]) -> "Image.Image":
    from PIL import Image, ImageDraw

    card = frame.copy()
    width, height = _CARD
    drawing = _drawing(row, width - 2 * _MARGIN, height - _HEADER - _CAPTION)
    card.paste(Image.open(io.BytesIO(drawing)), (_MARGIN, _HEADER))
    brush = ImageDraw.Draw(card)
    brush.text((_MARGIN, _HEADER / 2 + 4), str(row["id"]), _FAINT, _font(20), anchor="lm")
    font = _font(24)
    words = [
        word for pair in _values(row) for word in zip(pair, (_FAINT, _INK), (8, 26), strict=True)
    ]
    total = sum(font.getlength(word) + space for word, _, space in words) - 26
    left = (width - total) / 2
    for word, colour, space in words:
        brush.text((left, height - _CAPTION / 2), word, colour, font, anchor="lm")
        left += font.getlength(word) + space
    return card


def _drawing(row: Mapping[str, Any], width: int, height: int) -> bytes:
    from PIL import ImageColor
    from rdkit import Chem
    from rdkit.Chem import rdDepictor
    from rdkit.Chem.Draw import rdMolDraw2D

    canvas = rdMolDraw2D.MolDraw2DCairo(width, height)
    options: Any = canvas.drawOptions()
    options.fixedBondLength = 44  # one scale for all cards; larger molecules shrink to fit
    options.bondLineWidth = 3
    options.padding = 0.03
    options.flagCloseContactsDist = -1  # no red boxes on crowded drawings
    palette = {n: ImageColor.getrgb(colour)[:3] for n, colour in _ATOMS.items()}
    options.setAtomPalette({n: tuple(c / 255 for c in rgb) for n, rgb in palette.items()})
    molecule = Chem.MolFromSmiles(row.get("canonical") or row.get("output") or "")
    if molecule is not None:
        rdDepictor.Compute2DCoords(molecule)
        rdDepictor.StraightenDepiction(molecule)
        rdMolDraw2D.PrepareAndDrawMolecule(canvas, molecule)
    canvas.FinishDrawing()
    drawn: bytes = canvas.GetDrawingText()
    return drawn


@functools.cache
def _font(size: int) -> "ImageFont.FreeTypeFont":
    from PIL import ImageFont

    return cast("ImageFont.FreeTypeFont", ImageFont.load_default(size))

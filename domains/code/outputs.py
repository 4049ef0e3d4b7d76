"""Completions as programmers take them away: JSONL, a patch, and highlighted code."""

import difflib
import html as markup
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing
from foundation.trust import provenance

if TYPE_CHECKING:
    import pyarrow

SHOWN = 20
LINES_BEFORE, LINES_BEHIND = 12, 6
_TOLD = ("path", "context", "ended", "parses", "runs", "run_error", "mean_log_probability")
# Its own ground and ink: the colours of tokens are made for white, and notebooks may be dark.
_BOX = (
    "border-left:3px solid #9aa5b1;margin:0 0 1em;padding:.4em .8em;white-space:pre-wrap;"
    "background:#f6f8fa;color:#1f2733;font-family:ui-monospace,monospace"
)
_NEW = "background:#e6f4e6"


def write(folder: Path, task: str, table: Path) -> list[Path]:
    """Write `completions.jsonl`, and `changes.diff` where the code stands in files; streamed.

    The JSONL has every row, refused ones with their reason. The patch has the first valid
    completion of each file; `patch -p1` applies it where the paths begin.
    """
    if task not in ("complete", "infill"):
        return []
    lines, changes = folder / "completions.jsonl", folder / "changes.diff"
    seen: set[str] = set()
    with (
        replacing(lines) as first,
        replacing(changes) as second,
        first.open("w", encoding="utf-8", newline="") as completions,
        second.open("w", encoding="utf-8", newline="") as patch,
    ):
        told = provenance.of_run(folder)
        for row in _rows(table):
            completions.write(provenance.line(_told(row), told) + "\n")
            if row["valid"] and row["path"] and row["path"] not in seen:
                seen.add(row["path"])
                patch.writelines(_change(row))
    if not seen:
        changes.unlink()
    return [lines, changes] if seen else [lines]


def html(rows: "pyarrow.Table", folder: Path) -> str:
    """A notebook's view of a result table: the first completions in their code, highlighted."""
    shown = rows.slice(0, SHOWN).to_pylist()
    if "prefix" not in rows.column_names:
        return "".join(_box(markup.escape(str(row["input"])), _score(row)) for row in shown)
    more = f"<p>{rows.num_rows:,} completions</p>" if rows.num_rows > SHOWN else ""
    return "".join(_box(_code(row), _caption(row)) for row in shown) + more


def _told(row: dict[str, Any]) -> dict[str, Any]:
    line = {"id": row["id"], "prefix": row["prefix"] if row["prefix"] is not None else row["input"]}
    line |= {"completion": row["output"], "suffix": row["suffix"]}
    line |= {name: row[name] for name in _TOLD if row.get(name) not in (None, [])}
    if len(row.get("samples") or ()) > 1:
        names = ("samples", "mean_log_probabilities", "times")
        line["samples"] = [
            {"completion": text, "mean_log_probability": mean, "times": times}
            for text, mean, times in zip(*(row[name] for name in names), strict=True)
        ]
    return {**line, "reason": row["reason"]} if row["reason"] else line


def _change(row: dict[str, Any]) -> Iterator[str]:
    prefix, suffix = row["prefix"], row["suffix"] or ""
    # A suffix of its own stands beside the prompt, that of a marked hole within it.
    marked = row["input"] != prefix + (row["trimmed"] or "")
    before = row["input"] if marked else row["input"] + suffix
    path = str(row["path"]).lstrip("/")
    for line in difflib.unified_diff(
        before.splitlines(keepends=True),
        (prefix + row["output"] + suffix).splitlines(keepends=True),
        f"a/{path}",
        f"b/{path}",
    ):
        yield line if line.endswith("\n") else line + "\n\\ No newline at end of file\n"


def _code(row: dict[str, Any]) -> str:
    """The completion between the last lines before it and the first ones behind it."""
    if row["output"] is None:
        return markup.escape(_clean(str(row["input"])))
    prefix = "".join(row["prefix"].splitlines(keepends=True)[-LINES_BEFORE:])
    suffix = "".join((row["suffix"] or "").splitlines(keepends=True)[:LINES_BEHIND])
    code = _clean(prefix + row["output"] + suffix)
    edges = (len(prefix), len(prefix) + len(row["output"]))
    return "".join(_spans(code, row["language"] or "text", edges))


def _spans(code: str, language: str, edges: tuple[int, int]) -> Iterator[str]:
    from pygments.lexers import TextLexer, get_lexer_by_name
    from pygments.styles import get_style_by_name
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language)
    except ClassNotFound:
        lexer = TextLexer()
    style = get_style_by_name("default")
    for start, kind, text in lexer.get_tokens_unprocessed(code):
        colour = style.style_for_token(kind)["color"]
        cuts = [0, *(edge - start for edge in edges if 0 < edge - start < len(text)), len(text)]
        for low, high in itertools.pairwise(cuts):
            new = _NEW if edges[0] <= start + low < edges[1] else ""
            look = ";".join(filter(None, [f"color:#{colour}" if colour else "", new]))
            part = markup.escape(text[low:high])
            yield f'<span style="{look}">{part}</span>' if look else part


def _caption(row: dict[str, Any]) -> str:
    told = [str(row["path"] or ""), f"ended: {row['ended']}" if row["ended"] else ""]
    return " · ".join(filter(None, [*told, row["reason"] or ""]))


def _score(row: dict[str, Any]) -> str:
    if row["reason"]:
        return str(row["reason"])
    return f"log-likelihood {row['log_likelihood']:.4g} of {row['tokens']} tokens"


def _box(code: str, caption: str) -> str:
    small = f"<div style='color:#6b7686;font-size:85%'>{markup.escape(_clean(caption))}</div>"
    return f"<div>{small}<pre style='{_BOX}'>{code}</pre></div>"


def _clean(text: str) -> str:
    """Models and files can hold what is no text to be shown."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(table, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=1024):
            yield from batch.to_pylist()

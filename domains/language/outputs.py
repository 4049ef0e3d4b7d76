"""Texts as people take them away: labels.csv, answers and spans as JSONL, BIO, a notebook view."""

import csv
import html as markup
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from foundation.domains.language.spans import Span, to_tags, units
from foundation.durable import replacing
from foundation.trust import provenance

if TYPE_CHECKING:
    import pyarrow

Told = dict[str, Any]
SHOWN = 20
LABEL_COLUMNS = ("id", "text", "label", "probability", "unsure", "reason")
HIDDEN = ("seed", "model", "revision", "embedding", "log_probabilities")


def write(folder: Path, task: str, table: Path) -> list[Path]:
    """Write the results' own files, streamed, in the table's order.

    classify: `labels.csv`; generate: `texts.jsonl`; tag: `spans.jsonl` and `tags.bio`. Refused rows
    stand there with their reason, but for BIO, which has no place for one and leaves them out.
    """
    paths = []
    for name, writer in _WRITERS.get(task, {}).items():
        path = folder / name
        with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
            writer(file, _rows(table), provenance.of_run(folder))
        paths.append(path)
    return paths


def html(rows: "pyarrow.Table", folder: Path) -> str:
    """A notebook's view of a result table: its first rows, everything escaped."""
    names = [name for name in rows.column_names if name not in HIDDEN]
    shown = rows.select(names).slice(0, SHOWN).to_pylist()
    head = "".join(f"<th style='text-align:left'>{markup.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td {_STYLE}>{_cell(row[name])}</td>" for name in names) + "</tr>"
        for row in shown
    )
    more = f"<p>{rows.num_rows:,} texts</p>" if rows.num_rows > SHOWN else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


_STYLE = "style='text-align:left;white-space:pre-wrap;vertical-align:top;max-width:40em'"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)
    return markup.escape(text)


def _labels(file: TextIO, rows: Iterator[dict[str, Any]], told: Told) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(LABEL_COLUMNS)
    for row in rows:
        named = {**row, "text": row["input"], "label": row["output"]}
        writer.writerow([_plain(named.get(name)) for name in LABEL_COLUMNS])


def _texts(file: TextIO, rows: Iterator[dict[str, Any]], told: Told) -> None:
    for row in rows:
        line = {"id": row["id"], "prompt": row["input"], "text": row["output"]}
        more = {name: row[name] for name in ("ended", "reason") if row.get(name) is not None}
        file.write(provenance.line({**line, **more}, told) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else value


def _rows(table: Path) -> Iterator[dict[str, Any]]:
    from pyarrow import parquet

    with parquet.ParquetFile(table, pre_buffer=False) as file:
        wanted = [name for name in file.schema_arrow.names if name not in HIDDEN]
        for batch in file.iter_batches(batch_size=1024, columns=wanted):
            yield from batch.to_pylist()


def _spans(file: TextIO, rows: Iterator[dict[str, Any]], told: Told) -> None:
    for row in rows:
        line = {"id": row["id"], "text": row["input"], "spans": None}
        if row["output"] is None:
            line["reason"] = row["reason"]
        else:
            spans = json.loads(row["output"])
            for span, chance in zip(spans, row["probabilities"], strict=True):
                span["probability"] = round(chance, 6)
            line |= {"spans": spans, "unsure": row["unsure"]}
        file.write(provenance.line(line, told) + "\n")


def _bio(file: TextIO, rows: Iterator[dict[str, Any]], told: Told) -> None:
    for row in rows:
        if row["output"] is None:
            continue
        found = zip(row["starts"], row["ends"], row["labels"], strict=True)
        spans = [Span(*each) for each in found]
        parts = units(row["input"], spans)
        for (start, end), tag in zip(parts, to_tags(parts, spans), strict=True):
            file.write(f"{row['input'][start:end]}\t{tag}\n")
        file.write("\n")


_WRITERS: dict[str, dict[str, Callable[[TextIO, Iterator[dict[str, Any]], Told], None]]] = {
    "classify": {"labels.csv": _labels},
    "generate": {"texts.jsonl": _texts},
    "tag": {"spans.jsonl": _spans, "tags.bio": _bio},
}

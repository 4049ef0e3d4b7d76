"""Code as the trainer sees it: completions of what stands before them, or whole files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from foundation.adapter import Start, Tunable
from foundation.domains.code.languages import LANGUAGES
from foundation.errors import InputError
from foundation.tuning import causal
from foundation.tuning.data import records
from foundation.tuning.leakage import Likeness
from foundation.tuning.minhash import NEAR, bands, likeness, signature

FIELDS = {
    "text": ("prefix", "prompt", "text", "code"),
    "completion": ("completion", "middle", "canonical_solution"),
    "path": ("path", "file"),
}


def read(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a table, text and perhaps a completion; or the source files of a folder, whole."""
    from foundation import tables

    completed: bool | None = None

    def check(row: dict[str, Any]) -> str | None:
        nonlocal completed
        if "\ufffd" in row["text"]:
            return "not text in UTF-8"
        completed = row["completion"] is not None if completed is None else completed
        if completed and not (row["completion"] or "").strip():
            return "no completion"
        return None

    files = sorted(p for p in path.rglob("*") if p.suffix in LANGUAGES) if path.is_dir() else []
    if path.suffix in LANGUAGES:
        files = [path]
    if not files:
        yield from records(path, FIELDS, columns, "code", {".txt": tables.lines}, check)
        return
    if columns:
        raise InputError("task.columns is for tables: source files have none")
    root = path if path.is_dir() else path.parent
    for file in files:
        text = file.read_bytes()[: tables.LONGEST].decode("utf-8", "replace")
        # Told from the data on, so that where the data lies does not change what is held out.
        place = file.relative_to(root).as_posix()
        row: dict[str, Any] = {"text": text, "completion": None, "path": place}
        error = "an empty file" if not text.strip() else check(row)
        yield {**row, "error": f"{file.name}: {error}" if error else None}


def group(row: Mapping[str, Any]) -> str:
    """Rows of one file are never parted; those of no file are one where their beginnings are."""
    return str(row.get("path") or "".join(row["text"].split()))


def _whole(row: Mapping[str, Any]) -> str:
    return f"{row['text']}{row.get('completion') or ''}"


LIKENESSES = (
    Likeness("the same code", lambda row: "".join(_whole(row).split()), lambda text: (text,)),
    Likeness("near duplicates", lambda row: signature(_whole(row)), bands, likeness, NEAR),
)


def begin(start: Start) -> Tunable:
    """A causal model on code as it stands, without a chat template."""
    if start.method == "head":
        raise InputError("task.method=head is for labels: use task.method=lora or full")
    return merge(start)


def merge(start: Start) -> Tunable:
    """A model whose LoRA weights are merged as it is read."""
    return causal.begin(start, lambda script, text: script.tokens(text))

"""Code as the trainer sees it: completions, what is missing between two parts, or whole files."""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Start, Tunable
from foundation.domains.code.languages import LANGUAGES
from foundation.domains.code.markers import Infilling
from foundation.errors import InputError
from foundation.spec import ModelSpec
from foundation.tuning import causal
from foundation.tuning.data import records
from foundation.tuning.leakage import Likeness
from foundation.tuning.minhash import NEAR, bands, likeness, signature

if TYPE_CHECKING:
    from foundation.decoding.script import Script

FIELDS = {
    "text": ("prefix", "prompt", "text", "code"),
    "completion": ("completion", "middle", "canonical_solution"),
    "path": ("path", "file"),
    "suffix": ("suffix",),
}
SPAN = 512
"""Characters of the longest hole that is cut at random."""
SHOWN = 40
"""Characters of a suffix in an error."""


def read(path: Path, columns: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Rows of a table, text and perhaps a completion; or the source files of a folder, whole."""
    from foundation import tables

    completed: bool | None = None

    def check(row: dict[str, Any]) -> str | None:
        nonlocal completed
        if "\ufffd" in row["text"]:
            return "not text in UTF-8"
        completed = row["completion"] is not None if completed is None else completed
        wanted = completed or row["suffix"] is not None
        return "no completion" if wanted and not (row["completion"] or "").strip() else None

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
        row: dict[str, Any] = {"text": text, "completion": None, "path": place, "suffix": None}
        error = "an empty file" if not text.strip() else check(row)
        yield {**row, "error": f"{file.name}: {error}" if error else None}


def group(row: Mapping[str, Any]) -> str:
    """Rows of one file are never parted; those of no file are one where their beginnings are."""
    return str(row.get("path") or "".join(row["text"].split()))


def _whole(row: Mapping[str, Any]) -> str:
    return f"{row['text']}{row.get('completion') or ''}{row.get('suffix') or ''}"


LIKENESSES = (
    Likeness("the same code", lambda row: "".join(_whole(row).split()), lambda text: (text,)),
    Likeness("near duplicates", lambda row: signature(_whole(row)), bands, likeness, NEAR),
)


def begin(start: Start) -> Tunable:
    """A causal model on code as it stands, without a chat template."""
    if start.method == "head":
        raise InputError("task.method=head is for labels: use task.method=lora or full")
    trained = merge(start)
    first = next((row for row in start.rows if row.get("suffix") is not None), None)
    if first is not None:  # refused before the training, not in its middle
        _prompt(start.spec, trained.script, first, trained.length)
    return trained


def merge(start: Start) -> causal.CausalTraining:
    """A model whose LoRA weights are merged as it is read."""
    return causal.begin(start, partial(_prompt, start.spec), holed)


def holed(row: Mapping[str, Any], numbers: Sequence[float]) -> Mapping[str, Any]:
    """A whole file with a hole: half a time a line, with its margin and newline or without, else
    at most SPAN characters anywhere.

    Its prompt is in the model's own order, and all of it is learnt, as in Bavarian et al.,
    "Efficient Training of Language Models to Fill in the Middle" (2022). numbers: 3 in [0, 1).
    Rows with a completion are left as they are.
    """
    text = row["text"]
    if row.get("completion") is not None or not text.strip():
        return row
    kind, where, far = numbers
    if kind < 0.5:
        lines = [line for line in re.finditer(r"[^\n]+\n?", text) if not line[0].isspace()]
        line = lines[int(where * len(lines))]
        first, last = line.span()
        if far < 0.5:
            first, last = last - len(line[0].lstrip()), first + len(line[0].rstrip())
    else:
        first = int(where * len(text))
        last = first + 1 + int(far * min(SPAN, len(text) - first))
    parts = {"text": text[:first], "completion": text[first:last], "suffix": text[last:]}
    return {**row, **parts, "whole": True}


def _prompt(spec: ModelSpec, script: "Script", row: Mapping[str, Any], room: int) -> list[int]:
    """What stands before a completion, and in the model's own template what stands behind it."""
    if row.get("suffix") is None:
        return script.tokens(row["text"])[-room:]
    infilling = Infilling(script, spec.options.get("infill"))
    if infilling.template is None:
        raise InputError(
            f"{spec.name} cannot be tuned on a suffix ({_shown(row['suffix'])}): its vocabulary "
            "has no markers for a hole; name them in model.options.infill, or leave out the "
            "column suffix and recipe.augment"
        )
    begun = script.tokens("")
    return [*begun, *infilling.prompt(row["text"], row["suffix"], room - len(begun))]


def _shown(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= SHOWN else f"{line[:SHOWN]}...")

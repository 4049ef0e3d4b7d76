"""Code in from files, tables and standard input; completions out as JSONL, a patch, a page."""

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from foundation.domains.code import DOMAIN
from foundation.domains.code.files import read
from foundation.domains.code.outputs import html, write
from foundation.errors import InputError, RequestError
from foundation.requests import settings
from foundation.table import schema


def test_a_source_file_is_one_request(tmp_path: Path) -> None:
    path = tmp_path / "a.js"
    path.write_text("f(<FILL_ME>)\r\n", newline="")
    (item,) = settings(DOMAIN, "infill", {"input": str(path)}).requests()
    assert item.request.parts == ("f(", ")\r\n", "")
    assert item.request.tongue == "javascript"
    assert item.request.path == str(path)


def test_tables_have_their_columns_and_rows_may_lack_some(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [{"prefix": "a = "}, {"prefix": "b = ", "suffix": "\nc\n", "path": "x.go"}]
    path.write_text("\n".join(map(json.dumps, rows)))
    first, second = settings(DOMAIN, "complete", {"input": str(path)}).requests()
    assert (first.request.parts.suffix, first.request.tongue) == (None, "python")
    assert (second.request.parts.suffix, second.request.tongue) == ("\nc\n", "go")
    csv = tmp_path / "a.csv"
    csv.write_text("before,suffix\nx = ,\n")
    (item,) = settings(DOMAIN, "complete", {"input": str(csv), "column": "Before"}).requests()
    assert item.input == "x = "


def test_standard_input_may_mark_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"def f():\n<FILL_ME>\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    (item,) = settings(DOMAIN, "infill", {"input": "-"}).requests()
    assert item.request.parts == ("def f():\n", "\n", "")


def test_what_cannot_be_read_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"x = 1\0\1")
    with pytest.raises(RequestError, match="is not text in UTF-8"):
        list(read(tmp_path / "a.py"))
    (tmp_path / "b.py").write_bytes(b"x = '\xe9'\n")
    (row,) = read(tmp_path / "b.py")
    assert row["error"] == "record 1: not text in UTF-8"
    (tmp_path / "c.xyz").write_text("x")
    with pytest.raises(RequestError, match="is of no known kind"):
        list(read(tmp_path / "c.xyz"))
    with pytest.raises(RequestError, match="is no table and has no columns"):
        list(read(tmp_path / "a.py", "prefix"))
    with pytest.raises(InputError, match="no_such"):
        settings(DOMAIN, "complete", {"input": str(tmp_path / "no_such.py")})


def results(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "results.parquet"
    names = schema(DOMAIN.tasks["complete"].columns)
    parquet.write_table(pa.Table.from_pylist(rows, schema=names), path)
    return path


def made(**values: Any) -> dict[str, Any]:
    usual = {"id": 0, "valid": True, "prefix": "def f():", "suffix": None, "trimmed": "\n",
             "input": "def f():\n", "output": "\n    return 1\n", "language": "python",
             "ended": "function", "parses": True, "mean_log_probability": -0.5}  # fmt: skip
    return {**usual, **values}


def test_completions_are_lines_of_json(tmp_path: Path) -> None:
    ranked = {"samples": ["a", "b"], "mean_log_probabilities": [-1.0, -2.0], "times": [2, 1]}
    refused = {"id": 2, "valid": False, "input": "x" * 9, "output": None, "reason": "too long"}
    rows = [made(), made(id=1, output="a", **ranked), refused]
    (path,) = write(tmp_path, "complete", results(tmp_path, rows))
    first, second, third = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    assert first["prefix"] + first["completion"] == "def f():\n    return 1\n"
    assert "samples" not in first
    assert second["samples"][1] == {"completion": "b", "mean_log_probability": -2.0, "times": 1}
    assert "sha256" in third.pop("provenance")["seal"]
    assert third == {"id": 2, "prefix": "x" * 9, "completion": None, "suffix": None,
                     "reason": "too long"}  # fmt: skip


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs the program patch")
@pytest.mark.parametrize("end", ["\n", ""])
def test_a_patch_turns_the_files_into_the_completed_ones(tmp_path: Path, end: str) -> None:
    hole, gone_on = f"def g(x):\n<FILL_ME>\n    return y{end}", f"def f():{end}"
    files = {"src/g.py": hole, "f.py": gone_on}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    rows = [
        made(path="src/g.py", input=hole, prefix="def g(x):", trimmed="\n",
             suffix=f"\n    return y{end}", output="\n    y = x"),
        made(id=1, path="f.py", input=gone_on, trimmed=end),
        made(id=2, path="f.py", input=gone_on, trimmed=end, output="\n    return 2\n"),
        made(id=3, path="bad.py", valid=False, reason="line 1: invalid syntax"),
    ]  # fmt: skip
    _, patch = write(tmp_path, "complete", results(tmp_path, rows))
    assert patch.name == "changes.diff"
    subprocess.run(["patch", "-p1", "-i", str(patch)], cwd=tmp_path, check=True, timeout=60)
    assert (tmp_path / "src/g.py").read_text() == f"def g(x):\n    y = x\n    return y{end}"
    assert (tmp_path / "f.py").read_text() == "def f():\n    return 1\n"


def test_scores_have_no_file_of_their_own(tmp_path: Path) -> None:
    assert write(tmp_path, "score", tmp_path / "none") == []


def test_a_notebook_shows_code_as_text_with_what_is_new_marked(tmp_path: Path) -> None:
    rows = [
        made(prefix="x = '<b>' # \u202e\ndef f():", output="\n    return '<i>'\n", path="a.py"),
        made(id=1, valid=False, output=None, prefix=None, input="<u>", reason="too long"),
        made(id=2, language="klingon"),
    ]
    shown = html(parquet.read_table(results(tmp_path, rows)), tmp_path)
    assert "<b>" not in shown
    assert "<i>" not in shown
    assert "<u>" not in shown
    assert "\u202e" not in shown
    assert "too long" in shown
    assert "background:#e6f4e6" in shown
    assert "a.py" in shown

"""What a file says of where it came from, in one JSON text that every format can hold.

It begins with `made_by` and ends with the seal of the file, so that it is found in any format's
bytes without reading the format.
"""

import html
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from json.decoder import scanstring  # type: ignore[attr-defined]
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.durable import replacing
from foundation.trust.seal import BLANK, LEAD, intact, seal, sealed

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetWriter

KEY = "foundation"
"""The name it has where a format names its texts."""
_BEGIN = '{"made_by"'
_SPELLINGS: tuple[tuple[Callable[[str], str], Callable[[str], str]], ...] = (
    (str, str),
    (html.escape, html.unescape),  # XML, in which a TIFF keeps it; GDAL escapes it twice
    (
        lambda words: html.escape(html.escape(words)),
        lambda words: html.unescape(html.unescape(words)),
    ),
    (lambda words: json.dumps(words)[1:-1], lambda words: scanstring(words, 0)[0]),  # JSON in JSON
)
_LONGEST = 2**20


def of_run(place: Path) -> dict[str, Any]:
    """Model, revision, weights' digest, task and seed of the run that a place lies in.

    They are in its config.json, which is there before anything is made. Of no run, the version of
    this package alone.
    """
    told: dict[str, Any] = {"made_by": f"foundation-toolkit {_version()}"}
    for folder in (place, *place.absolute().parents):
        run = _config(folder / "config.json")
        if run:
            if "model.name" in run:  # an evaluation's
                told["model"] = run["model.name"]
            if "weights" in run:
                revision = run["revision"] or run["weights"][:16]
                told |= {"model": run["model"], "revision": revision, "weights": run["weights"]}
                told |= {name: run[name] for name in ("task", "seed")}
                if run.get("deltas"):
                    told["deltas"] = [delta["digest"] for delta in run["deltas"]]
            return told
    return told


def _config(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def text(told: Mapping[str, Any]) -> str:
    """The JSON text, its seal blank; the file that holds it must be sealed."""
    return json.dumps({**told, "seal": BLANK})


def line(row: Mapping[str, Any], told: Mapping[str, Any]) -> str:
    """A line of JSONL that carries its provenance and its own seal."""
    whole = {**row, "provenance": {**told, "seal": BLANK}}
    return sealed(json.dumps(whole, ensure_ascii=False))


def add_to_table(writer: "ParquetWriter", told: Mapping[str, Any]) -> None:
    """Have a Parquet file carry it; the file is sealed when the writer is closed."""
    writer.add_key_value_metadata({KEY: text(told)})


def add_to_png(path: Path, told: Mapping[str, Any]) -> None:
    """Give a PNG that has none a text chunk with it, before its last chunk."""
    data = path.read_bytes()
    end = data.rfind(b"\x00\x00\x00\x00IEND")
    if end < 0 or intact(data) is not None:
        return
    chunk = b"tEXt" + KEY.encode() + b"\0" + text(told).encode("latin-1")
    whole = struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
    with replacing(path) as part:
        part.write_bytes(data[:end] + whole + data[end:])
        seal(part)


def read(data: bytes) -> dict[str, Any]:
    """What the first provenance in some bytes says, empty where there is none."""
    end = data.find(LEAD.encode())
    for spelt, plain in _SPELLINGS:
        start = data.rfind(spelt(_BEGIN).encode(), 0, max(0, end))
        if start < 0 or end - start > _LONGEST:
            continue
        words = data[start : end + 256].decode("utf-8", errors="replace")
        with suppress(ValueError, RecursionError):
            found, _ = json.JSONDecoder().raw_decode(plain(words))
            return dict(found)
    return {}


def of_file(path: Path) -> dict[str, Any]:
    """What a file says, by its first bytes or its last: metadata of some formats stand at the end.

    Empty where it says nothing.
    """
    size = min(path.stat().st_size, 2**22)
    with path.open("rb") as file:
        found = read(file.read(size))
        if not found:
            file.seek(-size, 2)
            found = read(file.read(size))
    return found


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("foundation-toolkit")
    except PackageNotFoundError:
        return "unknown"

"""One page of everything in benchmarks/results: self-contained, without script and network."""

import base64
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.latency import SHARES
from benchmarks.pairs import USAGE
from benchmarks.record import RESULTS, ROOT
from benchmarks.suite import charts, peers
from benchmarks.suite.cases import Case
from benchmarks.suite.catalogue import every
from benchmarks.suite.figures import Row, read, rows
from benchmarks.suite.growth import beyond_start
from foundation.durable import write_text

DOMAINS = ("molecule", "image", "code", "geospatial", "language", "core")
LABELS = {"ratio": "speed", "metric": "quality"}
"""What a row that belongs to a model is of, by its kind."""
LATENCIES = [f"latency_p{share}" for share in SHARES]
WIDE = 1000
"""Pixels of a picture on the page."""


@dataclass(frozen=True)
class Run:
    """Medians of a side: peak of its process tree and what it read from the disk in MiB, seconds of
    all of it and of its processors, to its first result and, by percentile, to each (empty where it
    does not report them), and joules in words.
    """

    record: str
    side: str
    mib: float
    read: float
    wall: float
    processor: float
    first: float | None
    latency: Sequence[float]
    energy: str


@dataclass(frozen=True)
class Grown:
    """A fitted exponent; beyond: without what the start takes (of times, not of memory)."""

    title: str
    measure: str
    size: str
    work: Sequence[int]
    exponent: float
    low: float
    high: float
    usual: Sequence[float]
    beyond: float | None


@dataclass(frozen=True)
class Group:
    """Rows of one model: its speed first, its quality right below. lacks: which of the two no row
    is of, empty if none or if the rows are of no model.
    """

    title: str
    rows: Sequence[Row]
    lacks: str


@dataclass(frozen=True)
class Picture:
    """A file of docs/ that the README shows, as a data address."""

    alt: str
    address: str


def write(results: Path = RESULTS, name: str = "index.html") -> Path:
    """Make the page from a folder of records."""
    path = results / name
    write_text(path, text(results))
    return path


def text(results: Path = RESULTS) -> str:
    """The page."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    engine = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    engine.filters["code"] = _code
    return engine.get_template("page.html.j2").render(**contents(results)) + "\n"


def contents(results: Path) -> dict[str, Any]:
    """What the template shows."""
    cases = sorted(every(), key=lambda each: DOMAINS.index(each.domain))
    found = [row for case in cases for row in rows(case, results)]
    ratios = [row for row in found if row.kind == "ratio"]
    grown = [each for case in cases for each in _grown(case, results)]
    records = {path.stem: read(path.stem, results) or {} for path in _files(results)}
    return {
        "rows": found,
        "models": list(_models(found)),
        "labels": LABELS,
        "headline": [row for row in found if row.readme],
        "lost": [row for row in found if row.lost],
        "ratio_chart": charts.ratios([row for row in ratios if row.interval]),
        "runs": [each for name, body in records.items() for each in _runs(name, body)],
        "growth": grown,
        "growth_chart": charts.growth(grown),
        "pictures": list(_pictures()),
        "unmeasured": [case for case in cases if case.shown and read(case.record, results) is None],
        "peers": peers.states(results),
        "records": records,
    }


def _files(results: Path) -> list[Path]:
    return [path for path in sorted(results.glob("*.json")) if path.stem != peers.RECORD]


def _runs(name: str, record: Mapping[str, Any]) -> Iterator[Run]:
    """Every side in a record that was run as a process of its own."""
    inner = {f"{name}, {case}": body for case, body in record.get("cases", {}).items()}
    for title, part in {name: record, **inner}.items():
        seen: dict[str, list[Mapping[str, Any]]] = {}
        for sample in part.get("samples", []):
            if sample["usage"].get("memory") and not sample.get("disturbed"):
                seen.setdefault(sample["side"], []).append(sample["usage"])
        for side, usages in seen.items():
            usual = {key: median(u.get(key, 0) for u in usages) for key in USAGE}
            reports = [usage["report"] for usage in usages]
            told = [_reported(reports, key) for key in ("first_result", *LATENCIES)]
            yield Run(
                title, side, usual["memory"] / 2**20, usual["read"] / 2**20, usual["wall"],
                usual["cpu"], told[0], [value for value in told[1:] if value is not None],
                _energy(usages),
            )  # fmt: skip


def _reported(reports: Sequence[Mapping[str, Any]], key: str) -> float | None:
    found = [report[key] for report in reports if key in report]
    return median(found) if found else None


def _energy(usages: Sequence[Mapping[str, Any]]) -> str:
    """Joules of all counters; empty where the record is older than they are."""
    if not all("energy" in usage for usage in usages):
        return ""
    if not all(usage["energy"] for usage in usages):
        return "not readable here"
    return f"{median(sum(usage['energy'].values()) for usage in usages):,.0f}"


def _models(rows: Sequence[Row]) -> Iterator[Group]:
    """Ratios and metrics by model, in the order of the domains; those of no model come last."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        if row.kind in LABELS:
            found.setdefault(row.model, []).append(row)
    last = len(DOMAINS)
    place = {name: DOMAINS.index(name.split("/")[0]) if name else last for name in found}
    for name in sorted(found, key=lambda each: (place[each], each)):
        ordered = sorted(found[name], key=lambda row: list(LABELS).index(row.kind))
        kinds = {row.kind for row in ordered}
        lacking = [label for kind, label in LABELS.items() if name and kind not in kinds]
        yield Group(name or "core, whatever the model", ordered, ", ".join(lacking))


def _grown(case: Case, results: Path) -> Iterator[Grown]:
    record = read(case.record, results) or {}
    for measure, found in record.get("growth", {}).items():
        usual = [median(values) for values in found["values"]]
        numbers = (found["exponent"], found["low"], found["high"])
        beyond = None if measure == "memory" else beyond_start(found["work"], usual)
        yield Grown(case.title, measure, found["size"], found["work"], *numbers, usual, beyond)


def _pictures(root: Path = ROOT) -> Iterator[Picture]:
    """Smaller where they are wider than the page."""
    from PIL import Image

    readme = (root / "README.md").read_text(encoding="utf-8")
    for alt, name in re.findall(r"!\[([^\]]+)\]\((docs/[^)]+\.png)\)", readme):
        picture = Image.open(root / name).convert("RGB")
        picture.thumbnail((WIDE, 10 * WIDE))
        data = io.BytesIO()
        picture.save(data, "WEBP", quality=80, method=6)
        coded = base64.b64encode(data.getvalue()).decode()
        yield Picture(alt, f"data:image/webp;base64,{coded}")


def _code(words: str) -> Any:
    """`words` in backquotes as code."""
    from markupsafe import Markup, escape

    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(words))))


__all__ = ["Row", "contents", "text", "write"]

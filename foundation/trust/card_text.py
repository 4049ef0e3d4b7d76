"""A card that others wrote: Markdown with the Hub's front matter, read as text and nothing else."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.spec import EMPTY

NAMES = ("CARD.md", "README.md")
LARGEST = 2**20
"""Bytes of a card; what lies behind them is not read."""
QUOTED = 3000
"""Characters of a section that are quoted."""
DATA = re.compile(r"\bdata(sets?)?\b|trained on", re.IGNORECASE)
FIGURES = re.compile(r"measured|evaluat|results|benchmark|performance|figures", re.IGNORECASE)
LIMITS = re.compile(r"limit|bias|risk|out.of.scope|safety", re.IGNORECASE)
_HEADING = re.compile(r"(#{1,6})\s+(.+?)\s*#*$")
_ROW = re.compile(r"^\|[ \t]*([^|\n]+?)[ \t]*\|[ \t]*([^|\n]+?)[ \t]*\|[ \t]*$", re.MULTILINE)
_HEAD = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)


@dataclass(frozen=True)
class CardText:
    """head: the front matter. sections: heading -> what stands below it, up to the next of its
    level; then the rows of tables of two columns."""

    head: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    sections: Mapping[str, str] = field(default_factory=lambda: EMPTY)

    def told(self, about: re.Pattern[str]) -> str | None:
        """What the first section about something says, cut after QUOTED characters."""
        for title, text in self.sections.items():
            if about.search(title) and text.strip():
                text = text.strip()
                return text if len(text) <= QUOTED else f"{text[:QUOTED].rstrip()} [...]"
        return None

    def named(self, key: str) -> str | None:
        """A value of the front matter, lists joined by commas; None where there is none."""
        value = self.head.get(key)
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        return str(value) if isinstance(value, str | int | float) and str(value).strip() else None

    def results(self) -> Iterator[tuple[str, str, str]]:
        """Data set, metric and value of each figure in the front matter's model-index."""
        for entry in _mappings(self.head.get("model-index")):
            for result in _mappings(entry.get("results")):
                data = result.get("dataset")
                name = str(data.get("name", "?")) if isinstance(data, Mapping) else "?"
                for metric in _mappings(result.get("metrics")):
                    kind = metric.get("name") or metric.get("type") or "?"
                    yield name, str(kind), str(metric.get("value", "?"))


def in_folder(folder: Path) -> CardText | None:
    """The card of a model's folder, None where it has none."""
    for name in NAMES:
        path = folder / name
        if path.is_file():
            with path.open("rb") as file:
                return parse(file.read(LARGEST).decode("utf-8", errors="replace"))
    return None


def parse(text: str) -> CardText:
    """Front matter and sections; front matter that cannot be read is taken for none."""
    text = "".join(
        c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text.replace("\r", "")
    )
    found = _HEAD.match(text)
    head: Any = None
    if found is not None:
        import yaml

        try:
            head = yaml.safe_load(found[1])
        except (yaml.YAMLError, ValueError, RecursionError):
            head = None
        text = text[found.end() :]
    rows = {found[1]: found[2] for found in _ROW.finditer(text)}
    return CardText(head if isinstance(head, dict) else {}, {**dict(_sections(text)), **rows})


def _sections(text: str) -> Iterator[tuple[str, str]]:
    lines = text.split("\n")
    heads: list[tuple[int, int, str]] = []
    fenced = False
    for number, line in enumerate(lines):
        fenced ^= line.lstrip().startswith("```")
        found = None if fenced else _HEADING.match(line)
        if found is not None:
            heads.append((number, len(found[1]), found[2]))
    for place, (number, level, title) in enumerate(heads):
        after = (other for other, deep, _ in heads[place + 1 :] if deep <= level)
        yield title, "\n".join(lines[number + 1 : next(after, len(lines))])


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (each for each in value if isinstance(each, Mapping))

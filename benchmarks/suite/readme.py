"""The README's figures: a table between two marks, made from the records."""

from pathlib import Path

from benchmarks.record import RESULTS, ROOT
from benchmarks.suite.catalogue import every
from benchmarks.suite.figures import Row, rows
from benchmarks.suite.page import DOMAINS
from foundation.durable import write_text
from foundation.errors import InputError

BEGIN, END = "<!-- figures: python -m benchmarks 'write=[readme]' -->", "<!-- end of figures -->"
README = ROOT / "README.md"


def write(readme: Path = README, results: Path = RESULTS) -> Path:
    """Put the table of the records between the marks."""
    write_text(readme, filled(readme.read_text(encoding="utf-8"), results))
    return readme


def filled(text: str, results: Path = RESULTS) -> str:
    """The README's text with the table as the records have it."""
    if BEGIN not in text or END not in text:
        raise InputError(f"README.md lacks the lines {BEGIN} and {END}; figures stand between")
    before, rest = text.split(BEGIN, 1)
    return f"{before}{BEGIN}\n{table(results)}{END}{rest.split(END, 1)[1]}"


def table(results: Path = RESULTS) -> str:
    cases = sorted(every(), key=lambda each: DOMAINS.index(each.domain))
    found = [row for case in cases for row in rows(case, results) if row.readme]
    head = "| what | ours | beside it | ratio | answer |\n|---|---|---|---|---|\n"
    return head + "".join(map(_line, found))


def _line(row: Row) -> str:
    beside = "; ".join(f"{each.name} {each.value}" for each in row.beside)
    record = f"[record](benchmarks/results/{row.record}.json)"
    told = f"{_answer(row)} {record}".strip()
    return f"| {row.what} | {row.ours} | {beside} | {row.ratio} | {told} |\n"


def _answer(row: Row) -> str:
    """Against its target, and which of those beside it are better."""
    parts = [f"{row.target}: {row.verdict.word}"] if row.target else [row.verdict.word]
    parts += [
        f"{each.name} is better" for each in row.beside if each.verdict.word == "ours is worse"
    ]
    return "; ".join(filter(None, parts))

"""What a terminal shows of a result table, where the domain has no view of its own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

ROWS, WIDTH = 10, 48


def text(rows: "pyarrow.Table") -> str:
    """The first rows: what was asked, and what came of it or why nothing did."""
    shown = [
        (str(row["id"]), _cell(row["input"]), _cell(_answer(row)))
        for row in rows.select(["id", "input", "output", "reason"]).slice(0, ROWS).to_pylist()
    ]
    if not shown:
        return ""
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    lines = [
        f"{number:>{widths[0]}}  {asked:<{widths[1]}}  {answer}".rstrip()
        for number, asked, answer in shown
    ]
    more = rows.num_rows - len(shown)
    return "\n".join([*lines, f"and {more:,} more" if more else ""]).rstrip()


def _answer(row: dict[str, Any]) -> str | None:
    """The output, and the reason where there is one."""
    reason = f"({row['reason']})" if row["reason"] else None
    return " ".join(filter(None, (row["output"], reason))) or None


def _cell(value: str | None) -> str:
    """In one line; what is no text to be shown is replaced."""
    one = " ".join(str("" if value is None else value).split())
    clean = "".join(letter if letter.isprintable() else "\ufffd" for letter in one)
    return clean if len(clean) <= WIDTH else clean[: WIDTH - 1] + "…"

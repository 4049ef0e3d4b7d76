"""The card of a tuned model: README.md with the Hub's front matter."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def card(
    facts: Mapping[str, Any], curve: Sequence[Mapping[str, Any]], rows: int, held_out: int
) -> str:
    """What the model is of, what it was trained on and how, and what was measured."""
    head = ["---", f"base_model: {facts['model']}", f"license: {_licence(facts['licence'])}"]
    head += ["tags: [foundation-toolkit]", "---"]
    licence = facts["data_licence"] or "not stated"
    last = curve[-1]
    body = [
        f"# {facts['model']}, tuned ({facts['method']})",
        "",
        f"From `{facts['source'] or 'fresh weights'}`"
        + (f", revision `{facts['revision']}`" if facts["revision"] else "")
        + f" (licence {facts['licence']}), seed {facts['seed']}.",
        "",
        "## Data",
        "",
        f"{rows:,} rows trained on, {held_out:,} measured on. Licence of the data: {licence}.",
        "",
        *(f"- `{name}`: sha256 `{digest}`" for name, digest in _few(facts["data"])),
        "",
        "## Held-out figures",
        "",
        *_table(
            [
                ("loss of training", last["loss"]),
                ("held-out loss", last["held_out"]),
                ("held-out loss before", facts["before"]),
            ]
        ),
        *(f"| {name} | {value:.4g} |" for name, value in facts["figures"].items()),
        "",
        "Shared between training and held-out rows: "
        + (_leaks(facts["leaks"]) or "not looked at."),
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(facts["recipe"], indent=2, default=str),
        "```",
        "",
        "## Curve",
        "",
        "| step | loss | held out |",
        "|---|---|---|",
        *(
            f"| {r['step']:,} | {_number(r['loss'])} | {_number(r['held_out'])} |"
            for r in curve[-20:]
        ),
        "",
        "## Limits",
        "",
        "Tuned and measured on the data above alone; the limits of the model it comes from hold.",
        "",
    ]
    if facts["labels"]:
        shown = ", ".join(map(str, facts["labels"][:100]))
        body[2:2] = ["", f"Labels: {shown}"]
    return "\n".join([*head, "", *body])


def _table(rows: Sequence[tuple[str, float | None]]) -> list[str]:
    return ["| figure | value |", "|---|---|", *(f"| {n} | {_number(v)} |" for n, v in rows)]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _few(digests: Mapping[str, str], most: int = 20) -> list[tuple[str, str]]:
    return list(digests.items())[:most]


def _licence(name: str) -> str:
    return name.lower() if name != "unknown" else "other"


def _leaks(leaks: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{leak['name']}: {leak['share']:.2%}" for leak in leaks)

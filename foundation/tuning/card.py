"""The card of a tuned model: README.md with the Hub's front matter."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def card(
    facts: Mapping[str, Any], curve: Sequence[Mapping[str, Any]], rows: int, held_out: int
) -> str:
    """What the model is of, what it was trained on and how, and what was measured."""
    licence = facts["data_licence"] or "not stated"
    last = curve[-1]
    body = [
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
        *_recipe(facts),
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
        body[:0] = [f"Labels: {shown}", ""]
    return "\n".join([*_head(facts, f"tuned ({facts['method']})"), *body])


def steered_card(facts: Mapping[str, Any], calls: int) -> str:
    """What the model is of, what it was steered towards, and what that brought."""
    body = [
        "## What it was steered towards",
        "",
        f"{calls:,} of its outputs were scored, each once, by:",
        "",
        "```json",
        json.dumps(facts["objective"], indent=2, default=str),
        "```",
        "",
        "## The scores",
        "",
        *_table(list(facts["figures"].items())),
        "",
        *_recipe(facts),
        "## Limits",
        "",
        "What scores well is good by this score alone; the limits of the model it comes from hold.",
        "",
    ]
    return "\n".join([*_head(facts, "steered"), *body])


def _head(facts: Mapping[str, Any], done: str) -> list[str]:
    """The Hub's front matter, the title and where the model comes from."""
    return [
        "---",
        f"base_model: {facts['model']}",
        f"license: {_licence(facts['licence'])}",
        "tags: [foundation-toolkit]",
        "---",
        "",
        f"# {facts['model']}, {done}",
        "",
        f"From `{facts['source'] or 'fresh weights'}`"
        + (f", revision `{facts['revision']}`" if facts["revision"] else "")
        + f" (licence {facts['licence']}), seed {facts['seed']}.",
        "",
    ]


def _recipe(facts: Mapping[str, Any]) -> list[str]:
    shown = json.dumps(facts["recipe"], indent=2, default=str)
    return ["## Recipe", "", "```json", shown, "```", ""]


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

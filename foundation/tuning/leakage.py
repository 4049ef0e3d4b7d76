"""What held-out rows share with those that are trained on: looked for before training."""

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.durable import write_json
from foundation.errors import InputError, RequestError
from foundation.registry import resolve
from foundation.spec import Tuning
from foundation.tuning.data import Data
from foundation.tuning.rows import Row

LEAST = 0.05
"""The share of held-out rows beyond which a likeness that refuses refuses."""
SHOWN = 5


@dataclass(frozen=True)
class Likeness:
    """One way in which a held-out row can be like one that is trained on.

    look: a row -> what is compared of it; None where there is nothing. keys: rows that are alike
    share one of these of what was looked at. alike: two of them -> 0 to 1, a likeness from `least`
    on. refuses: whether too many of them end the training before it begins.
    """

    name: str
    look: Callable[[Row], Any]
    keys: Callable[[Any], Iterable[Hashable]]
    alike: Callable[[Any, Any], float] = lambda one, other: 1.0
    least: float = 1.0
    refuses: bool = True


def checked(tuning: Tuning, data: Data, allowed: float, folder: Path) -> list[dict[str, Any]]:
    """Each of the domain's likenesses with its share of held-out rows, kept in `leakage.json`.

    allowed: the share up to which nothing is refused, 0 to 1; InputError above it.
    """
    if isinstance(allowed, bool) or not isinstance(allowed, int | float) or not 0 <= allowed <= 1:
        raise RequestError(f"task.leakage must lie between 0 and 1, got '{allowed}'")
    path = folder / "leakage.json"
    if tuning.likenesses is None or not len(data.held_out):
        return []
    if path.exists():
        found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    else:
        found = [_found(likeness, data) for likeness in resolve(tuning.likenesses)]
        write_json(path, found)
    for leak in found:
        if leak["refuses"] and leak["share"] > allowed:
            raise InputError(_refusal(leak, allowed, len(data.held_out), folder))
    return found


def _refusal(leak: Mapping[str, Any], allowed: float, count: int, folder: Path) -> str:
    shown = leak["examples"][0]
    return (
        f"{leak['rows']:,} of {count:,} held-out rows are in the training data "
        f"({leak['name']}; e.g. held-out row {shown['held_out']:,} and row {shown['row']:,}), "
        f"above task.leakage={allowed:g}: take them out, or allow it with task.leakage=1"
    )


def _found(likeness: Likeness, data: Data) -> dict[str, Any]:
    """One pass over the training rows; in memory is what is looked at of the held-out ones."""
    looked: list[Any] = []
    homes: dict[Hashable, list[int]] = defaultdict(list)
    for place, row in enumerate(data.held_out):
        value = likeness.look(row)
        looked.append(value)
        for key in set(likeness.keys(value)) if value is not None else ():
            homes[key].append(place)
    leaked: dict[int, int] = {}
    for number, row in enumerate(data.rows):
        value = likeness.look(row)
        if value is None:
            continue
        near = {place for key in set(likeness.keys(value)) for place in homes.get(key, ())}
        for place in near - leaked.keys():
            if likeness.alike(looked[place], value) >= likeness.least:
                leaked[place] = number
    return {
        "name": likeness.name,
        "rows": len(leaked),
        "share": len(leaked) / len(looked),
        "refuses": likeness.refuses,
        "examples": _examples(leaked),
    }


def _examples(leaked: Mapping[int, int]) -> Sequence[dict[str, int]]:
    return [{"held_out": place, "row": row} for place, row in sorted(leaked.items())[:SHOWN]]

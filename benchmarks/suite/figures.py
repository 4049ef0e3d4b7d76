"""What a case's `shown` takes from its record, as rows that the page and the README both use.

A row is a ratio, a metric beside its baselines, or a fact. Paths into a record are keys joined by
" > ". `what`, `fact` and `holds` are Jinja templates over `record`.

    {what: ..., ratio: ratios > steady, claim: 5, ours: speeds > api, beside: {loop: speeds > loop}}
    {what: ..., metric: metrics > accuracy, better: high, beside: {bag of words: ...}}
    {what: ..., fact: "{{ record.lost }} of {{ record.trials }} lost", holds: record.lost == 0}

`model` is another than the case's. `at_most` is a claim from above: a ratio of what ours takes over
what the plain way takes.
`published: {name: number}` are figures of others, not measured here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.interval import Ratio
from benchmarks.record import RESULTS
from benchmarks.suite.cases import Case
from benchmarks.suite.running import DISTURBED

GOOD, BAD, UNSURE, PLAIN = "good", "bad", "unsure", "plain"


@dataclass(frozen=True)
class Verdict:
    """word: as it is written. state: GOOD, BAD, UNSURE or PLAIN."""

    word: str = ""
    state: str = PLAIN


@dataclass(frozen=True)
class Beside:
    """What stands beside ours: a baseline, a peer, a published figure."""

    name: str
    value: str
    verdict: Verdict = Verdict()


@dataclass(frozen=True)
class Row:
    """kind: ratio, metric or fact. model: `<domain>/<name>`, empty where a row is of none.
    interval: middle, low and high of a ratio, for the chart.
    """

    case: str
    domain: str
    model: str
    kind: str
    what: str
    ours: str
    beside: tuple[Beside, ...]
    ratio: str
    target: str
    verdict: Verdict
    record: str
    readme: bool = False
    interval: tuple[float, float, float] | None = None

    @property
    def lost(self) -> bool:
        """Whether a target is missed or something that stands beside ours is better."""
        return BAD in {self.verdict.state, *(each.verdict.state for each in self.beside)}


def rows(case: Case, folder: Path = RESULTS) -> list[Row]:
    """A case's rows; none where there is no record of it."""
    record = read(case.record, folder)
    return [] if record is None else [_row(case, shown, record) for shown in _shown(case, record)]


def read(name: str, folder: Path = RESULTS) -> dict[str, Any] | None:
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def at(record: Any, path: str) -> Any:
    """The value at a path; KeyError names the path."""
    found = record
    for key in path.split(" > "):
        try:
            found = found[int(key)] if isinstance(found, list) else found[key]
        except (KeyError, IndexError, TypeError, ValueError):
            raise KeyError(path) from None
    return found


def _shown(case: Case, record: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """What the case names; else all ratios of a record of sides."""
    if case.shown or not case.sides:
        return case.shown
    return [
        {"what": f"{case.title}: {name.split(':', 1)[0]}", "ratio": f"ratios > {name}"}
        for name in record["ratios"]
    ]


def _row(case: Case, shown: Mapping[str, Any], record: Mapping[str, Any]) -> Row:
    kind = next(kind for kind in ("ratio", "metric", "fact") if kind in shown)
    parts = {"ratio": _ratio, "metric": _metric, "fact": _fact}[kind](case, shown, record)
    model = shown.get("model", case.model)
    about = {"case": case.name, "domain": case.domain, "model": model, "record": case.record}
    readme, what = bool(shown.get("readme")), _filled(shown["what"], record)
    return Row(**about, kind=kind, what=what, readme=readme, **parts)


def _ratio(case: Case, shown: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    values = at(record, shown["ratio"])
    found = Ratio(**{key: values[key] for key in Ratio.__dataclass_fields__})
    told = record.get("answers", {})
    disturbed = DISTURBED in str(told.get(shown["ratio"].rsplit(" > ", 1)[-1], ""))
    claim, most = shown.get("claim"), shown.get("at_most")
    target = f"at least {claim:g}" if claim else f"at most {most:g}" if most else ""
    verdict = Verdict("cannot tell", UNSURE) if disturbed else _of_ratio(found, claim, most, case)
    unit = shown.get("unit", "")
    return {
        "ours": _valued(record, shown["ours"], unit) if "ours" in shown else "",
        "beside": tuple(
            Beside(name, _valued(record, path, unit))
            for name, path in shown.get("beside", {}).items()
        ),
        "ratio": "" if disturbed else spread(found.ratio, found.low, found.high),
        "target": target,
        "verdict": verdict,
        "interval": None if disturbed else (found.ratio, found.low, found.high),
    }


def _of_ratio(found: Ratio, claim: float | None, most: float | None, case: Case) -> Verdict:
    """Against its target; without one against 1."""
    if claim or most:
        where = found.says(float(claim or most or 1))
        if where == "cannot tell":
            return Verdict(f"cannot tell whether {'least' if claim else 'most'}", UNSURE)
        reached = where == ("above" if claim else "below")
        return Verdict("reached", GOOD) if reached else Verdict("missed", BAD)
    words = {"above": ("ours takes less", GOOD), "below": ("ours takes more", BAD)}
    words |= {"same": ("the same", PLAIN)}
    return Verdict(*words.get(found.differs(case.margin), ("cannot tell", UNSURE)))


def _metric(case: Case, shown: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    ours = _spread_of(at(record, shown["metric"]))
    high, digits = shown.get("better", "high") == "high", shown.get("digits", 3)
    beside = []
    for name, path in shown.get("beside", {}).items():
        gain = None
        if isinstance(path, Mapping):
            path, gain = path["value"], _spread_of(at(record, path["gain"]))
        other = _spread_of(at(record, path))
        verdict = _better((gain[1], gain[2], 0, 0) if gain else (*ours[1:], *other[1:]), high)
        beside.append(Beside(name, number(other[0], digits), verdict))
    for name, value in shown.get("published", {}).items():
        text = f"{number(value, digits)} (published)"
        beside.append(Beside(name, text, _better((*ours[1:], value, value), high)))
    least = shown.get("claim")
    reached = least is not None and (ours[0] >= least if high else ours[0] <= least)
    verdict = Verdict("reached", GOOD) if reached else Verdict("missed", BAD)
    return {
        "ours": spread(*ours, digits),
        "beside": tuple(beside),
        "ratio": "",
        "target": "" if least is None else f"at {'least' if high else 'most'} {least:g}",
        "verdict": Verdict() if least is None else verdict,
    }


def _better(bounds: tuple[float, float, float, float], high: bool) -> Verdict:
    """Of ours (low, high) and another (low, high): who is better beyond both intervals.

    Two numbers without intervals cannot be told apart.
    """
    low, top, other_low, other_top = bounds
    if low < top and (low > other_top or top < other_low):
        ours = (low > other_top) == high
        return Verdict("ours is better", GOOD) if ours else Verdict("ours is worse", BAD)
    return Verdict("cannot tell", UNSURE)


def _fact(case: Case, shown: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    verdict = Verdict()
    if "holds" in shown:
        held = _engine().compile_expression(shown["holds"])(record=record)
        verdict = Verdict("holds", GOOD) if held else Verdict("missed", BAD)
    target = shown.get("target", "")
    text = _filled(shown["fact"], record)
    return {"ours": text, "beside": (), "ratio": "", "target": target, "verdict": verdict}


def _filled(text: str, record: Mapping[str, Any]) -> str:
    return _engine().from_string(text).render(record=record)


def _engine() -> Any:
    from jinja2 import Environment, StrictUndefined

    return Environment(undefined=StrictUndefined)


def _valued(record: Mapping[str, Any], path: str, unit: str) -> str:
    text = number(at(record, path), 3)
    return f"{text} {unit}".strip()


def _spread_of(value: Any) -> tuple[float, float, float]:
    """Middle, low and high; a number alone, or one without an interval, is all three.

    Without an interval the least and most of what was measured.
    """
    if not isinstance(value, Mapping):
        return value, value, value
    if "interval" in value:
        return (value["mean"], *value["interval"])
    if {"low", "high"} <= value.keys():
        return value["mean"], value["low"], value["high"]
    seen = value.get("values", [value["mean"]])
    return value["mean"], min(seen), max(seen)


def spread(middle: float, low: float, high: float, digits: int = 3) -> str:
    """`.852 (.848 to .856)`."""
    if low == high:
        return number(middle, digits)
    return f"{number(middle, digits)} ({number(low, digits)} to {number(high, digits)})"


def number(value: float, digits: int = 3) -> str:
    """So many decimals up to 1.1, as many figures above; thousands are marked."""
    if value == 0 or abs(value) < 1e-4:
        return f"{value:.2g}"
    if abs(value) < 1.1:
        return f"{value:.{digits}f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def growths(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Measure and exponent of a record that has them."""
    yield from record.get("growth", {}).items()

"""What became of ratios and metrics between two records, or two folders of them.

Ratios are compared, not seconds: both sides of a ratio ran on one machine at one time, so records
of different machines and days can be held against each other.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.interval import LEVEL, Ratio
from benchmarks.suite.running import DISTURBED
from foundation.errors import InputError

UNTOLD = "cannot tell (a record was disturbed)"


@dataclass(frozen=True)
class Change:
    """What a figure is in the second record over what it is in the first (metrics: the difference).

    says: `changed`, `unchanged`, `cannot tell`, or `gone` and `new` where one record lacks it.
    """

    record: str
    name: str
    says: str
    times: float = math.nan
    low: float = math.nan
    high: float = math.nan
    difference: bool = False

    @property
    def line(self) -> str:
        shown = "" if math.isnan(self.times) else self._shown()
        return f"{self.record}: {self.name}: {self.says}{shown}"

    def worse(self, gate: float) -> bool:
        """Whether a ratio has surely fallen by more than the share `gate`, or is gone."""
        return self.says == "gone" or (not self.difference and self.high < 1 - gate)

    def _shown(self) -> str:
        values = f"{self.times:+.3g} ({self.low:+.3g} to {self.high:+.3g})"
        return f", {values}" if self.difference else f", {values.replace('+', '')} times"


def compare(first: Path, second: Path, margin: float = 0.01) -> list[Change]:
    """Every figure that stands in either."""
    one, two = _records(first), _records(second)
    if first.is_file() and second.is_file():
        ((name, before),), ((_, after),) = one.items(), two.items()
        return list(_changes(name, before, after, margin))
    found = []
    for name in sorted(one.keys() | two.keys()):
        if name in one and name in two:
            found += _changes(name, one[name], two[name], margin)
        else:
            found.append(Change(name, "record", "gone" if name in one else "new"))
    return found


def _changes(
    record: str, first: Mapping[str, Any], second: Mapping[str, Any], margin: float
) -> Iterator[Change]:
    for kind in (_ratios, _metrics):
        one, two = kind(first), kind(second)
        for name in [*one, *(name for name in two if name not in one)]:
            if name not in two or name not in one:
                lacking = second if name in one else first
                left = "gone" if name in one else "new"
                yield Change(record, name, UNTOLD if _disturbed(lacking, name) else left)
            elif kind is _ratios:
                yield _of_ratios(record, name, one[name], two[name], margin)
            else:
                yield _of_metrics(record, name, one[name], two[name])


def _of_ratios(record: str, name: str, first: Any, second: Any, margin: float) -> Change:
    """Welch's interval of the difference of the logarithms' means."""
    from scipy.stats import t

    if DISTURBED in first["told"] + second["told"]:
        return Change(record, name, UNTOLD)
    one, two = first["ratio"], second["ratio"]
    parts = [each.error**2 for each in (one, two)]
    error = math.sqrt(sum(parts))
    free = sum(part**2 / (each.pairs - 1) for part, each in zip(parts, (one, two), strict=True))
    wide = t.ppf((1 + LEVEL) / 2, error**4 / free) * error if free else 0.0
    mean = math.log(two.ratio / one.ratio)
    low, times, high = map(math.exp, (mean - wide, mean, mean + wide))
    told = Ratio(one.pairs, times, low, high, times, 1.0).differs(margin)
    words = {"above": "changed", "below": "changed", "same": "unchanged"}
    return Change(record, name, words.get(told, told), times, low, high)


def _of_metrics(record: str, name: str, first: Any, second: Any) -> Change:
    """Intervals as of normal distributions; unchanged only where nothing at all differs."""
    mean = second["mean"] - first["mean"]
    wide = math.hypot(*((each["high"] - each["low"]) / 2 for each in (first, second)))
    low, high = mean - wide, mean + wide
    told = "changed" if low > 0 or high < 0 else "cannot tell" if mean else "unchanged"
    return Change(record, name, told, mean, low, high, difference=True)


def _ratios(record: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> its Ratio and answer, also of the cases inside a record."""
    found = {}
    inner = {f"{name}: ": each for name, each in record.get("cases", {}).items()}
    for before, part in {"": record, **inner}.items():
        told = part.get("answers", {})
        for name, each in part.get("ratios", {}).items():
            values = {key: each[key] for key in Ratio.__dataclass_fields__}
            answer = told.get(name, "") if isinstance(told, Mapping) else ""
            found[before + name] = {"ratio": Ratio(**values), "told": answer}
    return found


def _disturbed(record: Mapping[str, Any], name: str) -> bool:
    told = record.get("answers", {})
    return isinstance(told, Mapping) and DISTURBED in told.get(name, "")


def _metrics(record: Mapping[str, Any]) -> dict[str, Any]:
    """Name -> mean, low and high, of the metrics that have an interval."""
    found = {}
    for name, each in record.get("metrics", {}).items():
        if isinstance(each, Mapping) and "interval" in each:
            low, high = each["interval"]
            found[name] = {"mean": each["mean"], "low": low, "high": high}
        elif isinstance(each, Mapping) and {"mean", "low", "high"} <= each.keys():
            found[name] = dict(each)
    return found


def _records(path: Path) -> dict[str, Any]:
    """Name -> record, of a file or of all in a folder."""
    if not path.exists():
        raise InputError(f"no record at {path}")
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise InputError(f"no record in {path}")
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}

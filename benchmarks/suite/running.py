"""Runs a case and writes its record."""

import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.contention import devices
from benchmarks.interval import Ratio
from benchmarks.pairs import (
    USAGE,
    Calm,
    Sample,
    Side,
    compare,
    counts,
    described,
    line,
    run,
    values,
)
from benchmarks.process import CommandFailed, measure
from benchmarks.record import ROOT, save
from benchmarks.suite import commits, evaluating, growth, peers
from benchmarks.suite.cases import Case, SideSpec, missing, words
from foundation.errors import InputError

DOUBLE = str(ROOT / "benchmarks" / "double")
DISTURBED = "cannot tell: others disturbed"
SAYS = {"above": "more", "below": "less", "same": "the same", "cannot tell": "cannot tell"}
Say = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """out: the folder of records. data: what the user gave. price: of an hour of the machine."""

    out: Path
    data: Mapping[str, Any] = field(default_factory=dict)
    pairs: int | None = None
    price: float | None = None
    say: Say = lambda line: print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Outcome:
    """What came of a case: lines for the screen, and the record where there is one."""

    case: str
    lines: Sequence[str]
    record: Path | None = None
    failed: bool = False


def run_case(case: Case, options: Options) -> Outcome:
    """Measure a case; one that lacks data or fails says so and stops no other."""
    lacking, pythons = missing(case, options.data), {}
    try:
        pythons = {key: peers.python(peer) for key, peer in case.peers.items()}
    except InputError as error:
        lacking = lacking or str(error)
    if lacking:
        return Outcome(case.name, [f"{case.name}: not run: {lacking}"])
    try:
        with tempfile.TemporaryDirectory(prefix=f"{case.name}-") as folder:
            known = {**case.sizes, **pythons, **options.data, "folder": folder}
            known["out"] = str(options.out)
            how = {"sides": _sides, "script": _script, "evaluate": _evaluate}[case.kind]
            return how(case, known, options)
    except (CommandFailed, InputError) as error:
        return Outcome(case.name, [f"{case.name}: failed: {error}"], failed=True)


def _script(case: Case, known: Mapping[str, Any], options: Options) -> Outcome:
    """A benchmark that writes its own record."""
    assert case.script
    command = words(f"{{python}} -m {case.script}", known)
    measure(command, _environment(), timeout=case.timeout)
    return Outcome(case.name, [f"{case.name}: measured"], options.out / f"{case.record}.json")


def _evaluate(case: Case, known: Mapping[str, Any], options: Options) -> Outcome:
    body = evaluating.evaluate(case, known, _environment())
    return Outcome(case.name, body["answers"], save(case.record, body, options.out))


def _sides(case: Case, known: Mapping[str, Any], options: Options) -> Outcome:
    sides, refused = _ready(case, known)
    if case.setup:
        measure(words(case.setup, known), _environment(), timeout=case.timeout)
    pairs = options.pairs or case.pairs
    with devices() as seen:
        calm = Calm(repeats=case.repeats, devices=seen)
        how = {"warmups": case.warmups, "timeout": case.timeout, "say": options.say, "calm": calm}
        samples = run(sides, pairs, **how) if len(sides) > 1 else []
    found = ratios(case, samples)
    told = answers(case, samples, found, pairs)
    body = described(
        sides, samples, found, case=_about(case), refused=refused, answers=told,
        settings={**case.sizes, "pairs": pairs, "limits": asdict(calm.limits)},
        usual={side.name: usual(samples, side.name) for side in sides},
    )  # fmt: skip
    if options.price:
        body["price_an_hour"] = options.price
        body["price_per_1000"] = prices(body["usual"], options.price)
    if case.growth:
        body["growth"] = grown = growth.measured(case, case.growth, known, _side, options.say)
        told |= {f"growth of {name}": growth.says(name, each) for name, each in grown.items()}
    lines = [f"{case.name}: {name} is left out: {why}" for name, why in refused.items()]
    lines += [f"{case.name}: {text}" for text in told.values()]
    return Outcome(case.name, lines, save(case.record, body, options.out))


def _ready(case: Case, known: Mapping[str, Any]) -> tuple[list[Side], dict[str, str]]:
    """The sides that can be run, and why the others cannot."""
    sides, refused = [], {}
    for name, spec in case.sides.items():
        try:
            sides.append(_side(name, spec, known))
        except InputError as error:
            refused[name] = str(error)
    return sides, refused


def _side(name: str, spec: SideSpec, known: Mapping[str, Any]) -> Side:
    """A side as a command; InputError where its peer is not installed or its commit unknown."""
    environment = _environment() | dict(spec.environment)
    python = sys.executable
    if spec.peer:
        python = str(peers.python(spec.peer))
        environment["PYTHONPATH"] = None
    if spec.commit:
        environment["PYTHONPATH"] = f"{commits.checkout(spec.commit)}:{DOUBLE}"
        environment["PYTHONSAFEPATH"] = "1"  # or the working directory, our own tree, comes first
    return Side(name, words(spec.command, known, python), environment)


def _environment() -> dict[str, str | None]:
    return {"PYTHONPATH": f"{ROOT}:{DOUBLE}"}


def ratios(case: Case, samples: Sequence[Sample]) -> dict[str, Ratio]:
    """`measure: other/ours` -> what the other takes over what ours takes, where two pairs count."""
    found = {}
    for name, (measured, other) in _names(case, samples).items():
        try:
            with suppress(ValueError):  # fewer than two pairs
                found[name] = compare(samples, other, case.ours, measured)
        except KeyError as error:
            raise InputError(f"{other} or {case.ours} does not report {error}") from error
    return found


def answers(
    case: Case, samples: Sequence[Sample], found: Mapping[str, Ratio], pairs: int
) -> dict[str, str]:
    """Each ratio in a line; "cannot tell" where too few pairs were left undisturbed."""
    told = {}
    for name, (measured, _) in _names(case, samples).items():
        counted = len({sample.pair for sample in samples if counts(sample, measured)})
        if counted < pairs:
            told[name] = f"{name}: {DISTURBED} all but {counted} of {pairs} pairs"
        elif measured in case.claims:
            told[name] = line(name, found[name], case.claims[measured])
        else:
            shown = line(name, found[name]).rsplit(": ", 1)[0]
            told[name] = f"{shown}: {SAYS[found[name].differs(case.margin)]}"
    return told


def _names(case: Case, samples: Sequence[Sample]) -> dict[str, tuple[str, str]]:
    """The name of each ratio -> its measure and the side that is not ours."""
    others = dict.fromkeys(sample.side for sample in samples if sample.side != case.ours)
    return {
        f"{measured}: {other}/{case.ours}": (measured, other)
        for measured in case.measures
        for other in others
    }


def usual(samples: Sequence[Sample], side: str) -> dict[str, float]:
    """The median of everything a side was measured by or reported."""
    own = [sample.usage for sample in samples if sample.side == side]
    numbers = [key for key, value in own[0].report.items() if _number(value)] if own else []
    read = [*USAGE, *(["energy"] if own and all(usage.energy for usage in own) else [])]
    measures = [*read, *numbers] if own else []
    return {name: median(found) for name in measures if (found := values(samples, side, name))}


def prices(usual_: Mapping[str, Mapping[str, float]], hour: float) -> dict[str, float]:
    """What 1,000 results cost on each side that reports `seconds_each`."""
    each = {name: found.get("seconds_each") for name, found in usual_.items()}
    return {name: took * 1000 / 3600 * hour for name, took in each.items() if took}


def _about(case: Case) -> dict[str, Any]:
    kept = ("title", "domain", "ours", "measures", "claims", "margin")
    return {key: getattr(case, key) for key in kept}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

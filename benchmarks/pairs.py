"""Two or more commands against each other, in interleaved pairs.

    python -m benchmarks.pairs --name startup --side "bare=python -c pass" \
        --side "help=foundation --help" --pairs 20

Each side is a process with an environment of its own. A pair (a round, with more than two sides)
runs every side once, in random order, after warm-ups that are not counted. The first side is the
reference: a ratio is what it takes over what another side takes, pair by pair, so 5 means that the
other takes a fifth. The same command on both sides shows what the machine's unrest alone does.
What others took of the machine during each run is in its sample.
"""

import argparse
import os
import random
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmarks.contention import Devices, Foreign, Limits, Meter
from benchmarks.interval import FEW, Ratio, ratio, ratio_of_turns
from benchmarks.process import Usage, measure
from benchmarks.record import RESULTS, save
from benchmarks.turns import staying

PROCESSOR = ("cpu", "cpu_each", "processor")
"""Measures that waiting for a core does not lengthen (benchmarks.aa_trial shows what they tell)."""
USAGE = ("wall", "cpu", "memory", "read")
"""Measures that every side has."""
STILL = 1.05
"""A side that is faster than a round before by more than this is still warming up."""


@dataclass(frozen=True)
class Side:
    """A command; `{pair}` in its words becomes the pair's number.

    environment: variables set, or removed where None.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One run of a side in a pair; place: its turn there. load: the machine's, just before.

    disturbed: why the pair's wall time does not count, empty if it does.
    """

    side: str
    pair: int
    place: int
    load: float
    usage: Usage
    foreign: Foreign | None = None
    disturbed: str = ""

    def value(self, measure: str) -> float:
        """`wall`, `cpu`, `memory`, `read`, `energy` (of all parts; KeyError where none could be
        read), or a number of the side's own report by its name.
        """
        if measure in USAGE:
            return float(getattr(self.usage, measure))
        if measure == "energy" and self.usage.energy:
            return sum(self.usage.energy.values())
        return float(self.usage.report[measure])


Say = Callable[[str], None]


@dataclass(frozen=True)
class Calm:
    """A pair that others disturb beyond the limits is run again, up to `repeats` times in all."""

    limits: Limits = field(default_factory=Limits)
    repeats: int = 0
    devices: Devices | None = None


def run(
    sides: Sequence[Side],
    pairs: int,
    *,
    seed: int = 0,
    warmups: int | None = 1,
    timeout: float = 600.0,
    say: Say = lambda line: None,
    calm: Calm | None = None,
) -> list[Sample]:
    """Every side's samples in the order they were taken.

    warmups: rounds that are not counted; None: until no side gets faster. calm: which pairs are
    repeated; those that were disturbed stay among the samples, marked. None: all count.
    """
    chance, samples = random.Random(seed), []
    devices = calm.devices if calm else None

    def one(pair: int) -> list[Sample]:
        found = []
        for place, side in enumerate(chance.sample(sides, len(sides))):
            command = [word.replace("{pair}", str(pair)) for word in side.command]
            load, meter = os.getloadavg()[0], Meter(devices)
            usage = measure(command, side.environment, timeout=timeout)
            say(f"{'warm-up' if pair < 0 else f'pair {pair + 1}'}: {side.name} {usage.wall:.3f} s")
            found.append(Sample(side.name, pair, place, load, usage, meter.foreign(usage.cpu)))
        return found

    _warm(one, warmups)
    counted = done = 0
    while counted < pairs and done < pairs + (calm.repeats if calm else 0):
        found = one(done)
        reasons = [s.foreign.disturbs(calm.limits) for s in found if s.foreign] if calm else []
        why = next(filter(None, reasons), "")
        if why:
            say(f"pair {done + 1} is not counted: {why}")
        samples += [replace(sample, disturbed=why) for sample in found]
        done, counted = done + 1, counted + (not why)
    return samples


def run_turns(
    sides: Sequence[Side], pairs: int, turns: int, *, seed: int = 0, timeout: float = 600.0
) -> list[Sample]:
    """The same of sides that stay and take turns (benchmarks.turns); a sample's place is its turn.

    Each pair has processes of its own: two of equal code can differ by more than their turns do, by
    where they and their memory happen to lie. The first turn of each is not counted.
    """
    chance, samples = random.Random(seed), []
    commands = {side.name: (side.command, side.environment) for side in sides}
    for pair in range(pairs):
        began = dict(chance.sample(list(commands.items()), len(sides)))
        with staying(began, timeout) as takers:
            for turn in range(-1, turns):
                for name in chance.sample(list(commands), len(sides)):
                    load, usage = os.getloadavg()[0], takers[name].turn()
                    samples += [Sample(name, pair, turn, load, usage)] if turn >= 0 else []
    return samples


def compare_turns(
    samples: Sequence[Sample], reference: str, side: str, measure: str = "wall"
) -> Ratio:
    """`compare` of what `run_turns` took; at least interval.FEW pairs."""
    found: dict[str, dict[int, list[float]]] = {reference: {}, side: {}}
    for sample in sorted(samples, key=lambda each: each.place):
        if sample.side in found:
            found[sample.side].setdefault(sample.pair, []).append(sample.value(measure))
    first, second = ([taken[pair] for pair in sorted(taken)] for taken in found.values())
    return ratio_of_turns(first, second)


def _warm(one: Callable[[int], list[Sample]], rounds: int | None, most: int = 5) -> None:
    """Run so many rounds, or until no side is faster than before by STILL."""
    before: dict[str, float] = {}
    count = most if rounds is None else rounds
    for number in range(count):
        took = {sample.side: sample.usage.wall for sample in one(number - count)}
        faster = not before or any(before[name] > STILL * wall for name, wall in took.items())
        if rounds is None and not faster:
            return
        before = took


def compare(samples: Sequence[Sample], reference: str, side: str, measure: str = "wall") -> Ratio:
    """What the reference takes over what a side takes."""
    return ratio(values(samples, reference, measure), values(samples, side, measure))


def values(samples: Sequence[Sample], side: str, measure: str) -> list[float]:
    """A side's measurements in the order of the pairs that count."""
    own = [s for s in samples if s.side == side and counts(s, measure)]
    return [sample.value(measure) for sample in sorted(own, key=lambda sample: sample.pair)]


def counts(sample: Sample, measure: str) -> bool:
    """Whether a measure may be taken from a sample: processor time from disturbed pairs, too."""
    return not sample.disturbed or measure in PROCESSOR


def described(
    sides: Sequence[Side], samples: Sequence[Sample], found: Mapping[str, Ratio], **more: Any
) -> dict[str, Any]:
    """What a record says of pairs: commands, ratios by name and every raw sample."""
    ratios = {name: {**asdict(r), "against_1": r.says()} for name, r in found.items()}
    return {
        **more,
        "sides": [asdict(side) for side in sides],
        "ratios": ratios,
        "samples": [asdict(sample) for sample in samples],
    }


def line(name: str, found: Ratio, claim: float | None = None) -> str:
    """`name: 5.31 (5.02 to 5.60), at least 5: yes`."""
    shown = f"{name}: {found.ratio:.3g} ({found.low:.3g} to {found.high:.3g}, {found.pairs} pairs)"
    if claim is None:
        told = found.says()
        seen = f"; a ratio of {found.smallest:.3g} would have been seen"
        return f"{shown}: {told if told == 'cannot tell' else f'{told} 1'}{seen}"
    answer = {"above": "yes", "below": "no"}.get(found.says(claim), "cannot tell")
    return f"{shown}, at least {claim:g}: {answer}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pairs",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--name", required=True, help="the record is <out>/<name>.json")
    parser.add_argument(
        "--side",
        action="append",
        required=True,
        metavar="NAME=COMMAND",
        help="the first is the reference; {pair} becomes the pair's number",
    )
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME:KEY=VALUE",
        help="a variable for one side; without a value it is removed",
    )
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--warmups", type=int, default=1, help="of each side, not counted")
    parser.add_argument(
        "--measure",
        default="wall",
        help="wall, cpu, memory, or a key of the JSON each side prints last",
    )
    parser.add_argument("--at-least", type=float, help="the ratio that is claimed")
    parser.add_argument("--seed", type=int, default=0, help="of the order within pairs")
    parser.add_argument(
        "--turns", type=int, help="sides stay and take so many turns a pair (benchmarks.turns)"
    )
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one run")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if given.pairs < 2 or len(given.side) < 2:
        parser.error("at least two sides and two pairs")
    if given.turns and given.pairs < FEW:
        parser.error(f"turns need at least {FEW} pairs")
    sides = _sides(parser, given.side, given.env)
    settings = {"pairs": given.pairs, "seed": given.seed}
    if given.turns:
        settings["turns"], comparing = given.turns, compare_turns
        samples = run_turns(sides, given.pairs, given.turns, seed=given.seed, timeout=given.timeout)
    else:
        settings["warmups"], comparing = given.warmups, compare
        samples = run(
            sides, given.pairs, seed=given.seed, warmups=given.warmups, timeout=given.timeout,
            say=lambda text: print(text, file=sys.stderr),
        )  # fmt: skip
    first, *others = (side.name for side in sides)
    found = {
        f"{first}/{other}": comparing(samples, first, other, given.measure) for other in others
    }
    body = described(sides, samples, found, settings=settings, measure=given.measure)
    path = save(given.name, {**body, "at_least": given.at_least}, given.out)
    for name, each in found.items():
        print(line(name, each, given.at_least))
    print(path)
    return 0


def _sides(
    parser: argparse.ArgumentParser, typed: Sequence[str], variables: Sequence[str]
) -> list[Side]:
    environments: dict[str, dict[str, str | None]] = {}
    for text in variables:
        name, _, setting = text.partition(":")
        key, given, value = setting.partition("=")
        environments.setdefault(name, {})[key] = value if given else None
    commands = dict(text.split("=", 1) for text in typed if "=" in text)
    if len(commands) < len(typed) or not environments.keys() <= commands.keys():
        parser.error("a side is NAME=COMMAND with a name of its own, and --env names one of them")
    return [Side(n, tuple(shlex.split(c)), environments.get(n, {})) for n, c in commands.items()]


if __name__ == "__main__":
    raise SystemExit(main())

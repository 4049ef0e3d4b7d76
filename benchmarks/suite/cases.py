"""A case of the suite: what is run against what, or which script or evaluation measures it.

A case is a file in conf/case/, of one of three kinds, told apart by the key it has:

    sides      commands against each other in pairs (benchmarks.pairs)
    script     one of the benchmarks in this folder, which writes its own record
    evaluate   a suite of `foundation task=evaluate`, whose metrics become the record

`{python}`, `{foundation}`, `{folder}` (of the case, emptied after it), `{pair}` and the names of
`sizes` and `data` are filled into commands.
"""

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from foundation.errors import InputError

KINDS = ("sides", "script", "evaluate")


@dataclass(frozen=True)
class SideSpec:
    """peer: the environment it runs in (benchmarks/peers/). commit: the code it runs, of ours."""

    command: str
    environment: Mapping[str, str | None] = field(default_factory=dict)
    peer: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Growth:
    """size: the key of `sizes` that is multiplied. side: the one that is run at each of `times`."""

    size: str
    side: str
    times: tuple[int, ...] = (1, 4, 16)
    rounds: int = 3
    measures: tuple[str, ...] = ("wall", "memory")


@dataclass(frozen=True)
class Case:
    """name: of the file. record: its name, the case's if empty. domain: or `core`. model: whose
    speed or quality it is, as `<domain>/<name>`; empty: that of `evaluate`, else none's.

    ours: a side; a ratio is what another side takes over what ours takes. measures: of each side.
    claims: the least ratio aimed at, by measure. setup: run once before the sides. pairs: that must
    count; repeats: how many more are run for those that others disturb. margin: differences below
    it are none. data: what the user must give (name -> what it is), as `data.<name>=...`. peers: of
    a script, the name of a Python in its words -> the peer whose it is. shown: see figures.py.
    """

    name: str
    title: str
    domain: str = "core"
    model: str = ""
    sides: Mapping[str, SideSpec] = field(default_factory=dict)
    ours: str = "ours"
    measures: tuple[str, ...] = ("wall",)
    claims: Mapping[str, float] = field(default_factory=dict)
    sizes: Mapping[str, Any] = field(default_factory=dict)
    pairs: int = 6
    repeats: int = 6
    warmups: int | None = None
    margin: float = 0.01
    timeout: float = 900.0
    growth: Growth | None = None
    setup: str | None = None
    script: str | None = None
    evaluate: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    peers: Mapping[str, str] = field(default_factory=dict)
    shown: Sequence[Mapping[str, Any]] = ()
    record: str = ""

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if getattr(self, kind))


def case(name: str, values: Mapping[str, Any]) -> Case:
    """A case from its configuration; InputError where that says what no case has."""
    made = dict(values)
    try:
        made["sides"] = {
            each: SideSpec(**({"command": side} if isinstance(side, str) else side))
            for each, side in made.get("sides", {}).items()
        }
        if made.get("growth"):
            grown = made["growth"]
            listed = {k: tuple(v) if isinstance(v, list) else v for k, v in grown.items()}
            made["growth"] = Growth(**listed)
        found = Case(name=name, **{k: tuple(v) if k == "measures" else v for k, v in made.items()})
    except TypeError as error:
        raise InputError(f"case {name}: {error}; see benchmarks/suite/cases.py") from error
    if sum(bool(getattr(found, kind)) for kind in KINDS) != 1:
        raise InputError(f"case {name} needs exactly one of {', '.join(KINDS)}")
    named = re.search(r"\bmodel=(\S+)", found.evaluate or "")
    model = found.model or (named[1] if named else "")
    found = replace(found, record=found.record or name, model=model)
    if found.sides and found.ours not in found.sides:
        raise InputError(f"case {name}: ours is '{found.ours}', which is none of its sides")
    return found


def words(command: str, values: Mapping[str, Any], python: str = sys.executable) -> tuple[str, ...]:
    """A command's words, with everything filled in but `{pair}`."""
    command = command.replace("{foundation}", "{python} -m foundation")
    found = shlex.split(command)
    for name, value in {"python": python, **values}.items():
        found = [word.replace(f"{{{name}}}", str(value)) for word in found]
    return tuple(found)


def missing(case: Case, given: Mapping[str, Any]) -> str:
    """Which data must be given; empty if none."""
    lacking = [f"data.{name}=... ({what})" for name, what in case.data.items() if name not in given]
    absent = [str(given[name]) for name in case.data if name in given]
    gone = [path for path in absent if not Path(path).exists()]
    return f"give {', '.join(lacking)}" if lacking else f"no such file: {gone[0]}" if gone else ""

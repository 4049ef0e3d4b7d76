"""`task=status`: how far a run is, seen from another shell; answered without Hydra."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.errors import InputError, RunFolderError, UnknownName
from foundation.progress import span, speed
from foundation.runs import STATUS, holder, read_mapping

KEY = "task.run="


@dataclass(frozen=True)
class _State:
    """One run: its rows, its rate a second since it was begun or gone on with, and its last line.

    total: None where no one knows. seconds: until it ends at this rate; None where that is unknown.
    """

    name: str
    done: int
    valid: int
    total: int | None
    rate: float
    how: str
    seconds: float | None = None


def answer(typed: Sequence[str]) -> str:
    """A line for the run in the folder `task.run`, or one for each run of a sweep and their sum."""
    named = [word.removeprefix(KEY) for word in typed if word.startswith(KEY)]
    for word in typed:
        if not word.startswith(KEY):
            raise UnknownName("setting", word.partition("=")[0], ["task.run"])
    if not named:
        raise InputError("task=status needs task.run=<a run folder, or that of a sweep>")
    root = Path(named[-1]).expanduser()
    inner = sorted(path.parent for path in root.glob("*/config.json"))
    joined = (root / "record.json").is_file()
    if inner and not joined:
        states = [_state(folder) for folder in inner]
        return "\n".join([*map(_line, states), _line(_sum(root, states))])
    if not joined and not (root / "config.json").is_file():
        raise InputError(f"there is no run in {root}")
    return _line(_state(root))


def _state(folder: Path) -> _State:
    try:
        return _told(folder)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise RunFolderError(
            f"{folder} holds files that no run writes: they are damaged"
        ) from error


def _told(folder: Path) -> _State:
    record = _read(folder / "record.json")
    if record:
        counts = record.get("counts", {})
        rows = counts.get("rows", 0)
        seconds = record.get("seconds", {}).get("run") or 0
        rate = rows / seconds if seconds else 0.0
        return _State(folder.name, rows, counts.get("valid", 0), rows, rate, "finished", 0)
    status = _read(folder / STATUS)
    who = holder(folder)
    done, total = status.get("done", 0), status.get("total")
    rate = 0.0
    if status and status["updated"] > status["began"]:
        rate = (done - status["before"]) / (status["updated"] - status["began"])
    how = f"stopped: foundation resume={folder}"
    if who is not None:
        ago = f", last part {span(time.time() - status['updated'])} ago" if status else ""
        how = f"running: {who}{ago}"
    events = status.get("events", 0)
    if events:
        how += f"; {events} event{'s' * (events != 1)}, the last: {status['last_event'][0]}"
    left = (total - done) / rate if who and total is not None and rate else None
    return _State(folder.name, done, status.get("valid", 0), total, rate, how, left)


def _sum(root: Path, states: list[_State]) -> _State:
    done, valid = sum(s.done for s in states), sum(s.valid for s in states)
    totals = [state.total for state in states]
    total = None if None in totals else sum(filter(None, totals))
    running = [state for state in states if state.how.startswith("running")]
    left = [state.seconds for state in running]
    longest = None if None in left else max(filter(None, left), default=None)
    rate = sum(state.rate for state in running)
    ended = sum(state.how == "finished" for state in states)
    how = f"{len(states)} runs: {ended} finished, {len(running)} running"
    return _State("", done, valid, total, rate, how, longest)


def _line(state: _State) -> str:
    """`a: 412 of 1,000 rows, 2.3% not valid, 103/s, 6 s left; running: process 1 on host`."""
    of = "" if state.total is None else f" of {state.total:,}"
    parts = [f"{state.done:,}{of} rows"]
    if state.done:
        parts.append(f"{1 - state.valid / state.done:.1%} not valid")
    if state.rate:
        parts.append(speed(state.rate))
    if state.seconds:
        parts.append(f"{span(state.seconds)} left")
    name = f"{state.name}: " if state.name else ""
    return f"{name}{', '.join(parts)}; {state.how}"


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return read_mapping(path)

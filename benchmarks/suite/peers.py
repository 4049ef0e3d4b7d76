"""Peers: packages others use for the same, each in an environment of its own.

An environment is made once by one command from `benchmarks/peers/<name>.txt`, whose lines are
pinned requirements. One that does not install keeps its error, which the page shows.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, ROOT, save
from foundation.durable import write_json
from foundation.errors import InputError, UnknownName

PINS = ROOT / "benchmarks" / "peers"
KEPT = ROOT / ".cache" / "benchmarks" / "peers"
STATE = "state.json"
RECORD = "peers"


def names(pins: Path = PINS) -> list[str]:
    return sorted(path.stem for path in pins.glob("*.txt"))


def python(name: str, pins: Path = PINS, kept: Path = KEPT) -> Path:
    """The interpreter of a peer. InputError: it is not installed, or could not be, and why."""
    if name not in names(pins):
        raise UnknownName("peer", name, names(pins))
    state = kept / name / STATE
    if not state.exists():
        raise InputError(f"not installed: python -m benchmarks install=[{name}]")
    found = json.loads(state.read_text(encoding="utf-8"))
    if found["requirements"] != _read(pins / f"{name}.txt"):
        raise InputError(f"its requirements have changed: python -m benchmarks install=[{name}]")
    if found["error"]:
        raise InputError(f"does not install: {found['error']}")
    return kept / name / "bin" / "python"


def install(
    name: str,
    results: Path = RESULTS,
    pins: Path = PINS,
    kept: Path = KEPT,
    timeout: float = 1800.0,
) -> str:
    """Make a peer's environment; the error in a line, empty if it went well; both are recorded."""
    if name not in names(pins):
        raise UnknownName("peer", name, names(pins))
    folder, listed = kept / name, pins / f"{name}.txt"
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")]
    made = [sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)]
    error = ""
    for step in (made, [*pip, "install", "--quiet", "-r", str(listed)]):
        error = error or _failure(step, timeout)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / STATE, {"requirements": _read(listed), "error": error})
    known = _recorded(results) | {name: {"error": error, "requirements": _read(listed).split()}}
    save(RECORD, {"peers": dict(sorted(known.items()))}, results)
    return error


def states(results: Path = RESULTS, pins: Path = PINS) -> dict[str, Any]:
    """Peer -> {error: ...}: empty if it installs, None if that was not tried."""
    return {name: {"error": None} for name in names(pins)} | _recorded(results)


def _recorded(results: Path) -> dict[str, Any]:
    path = results / f"{RECORD}.json"
    found: dict[str, Any] = json.loads(_read(path))["peers"] if path.exists() else {}
    return found


def _failure(command: Sequence[str], timeout: float) -> str:
    """The last line that says what went wrong; empty if nothing did."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        return f"not done after {timeout:.0f} s"
    if not done.returncode:
        return ""
    said = [line for line in done.stderr.strip().splitlines() if line.strip()]
    told = [line for line in said if line.lower().startswith("error")] or said
    return told[-1].strip() if told else "no reason given"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")

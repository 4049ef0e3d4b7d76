"""A suite of `foundation task=evaluate` as a case: its metrics and what they took."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.process import measure
from benchmarks.suite.cases import Case, words

KEPT = ("metrics", "seed", "revision", "peak_memory")


def evaluate(
    case: Case, known: Mapping[str, Any], environment: Mapping[str, str | None]
) -> dict[str, Any]:
    """The body of the record: the run's metrics as they are in its record.json."""
    assert case.evaluate
    folder = Path(known["folder"]) / "run"
    typed = f"{{foundation}} task=evaluate {case.evaluate}"
    command = words(f"{typed} hydra.run.dir={{folder}}/run", known)
    used = measure(command, environment, timeout=case.timeout)
    found = json.loads((folder / "record.json").read_text(encoding="utf-8"))
    body = {key: found[key] for key in KEPT if key in found}
    body["command"] = " ".join(words(f"foundation task=evaluate {case.evaluate}", known))
    body["run_seconds"] = found["seconds"]
    body["usage"] = {key: value for key, value in asdict(used).items() if key != "report"}
    body["answers"] = [f"{case.name}: {len(found['metrics'])} metrics"]
    return body

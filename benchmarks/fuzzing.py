"""How many mutated files each entry reads, and what came of it.

    python -m benchmarks.fuzzing --cases 8700 [--only csv png] [--seed 1] [--go-on]

Writes benchmarks/results/fuzzing.json. Entries that pass are noted at once, in runs/fuzzing.jsonl,
so that --go-on leaves them out after any end; one that ends the process is the first that lacks.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from typing import Any

from benchmarks.record import ROOT, save

NAME = "fuzzing"
TEST = "tests/fuzz/test_strangers_files.py"
NOTED = ROOT / "runs" / f"{NAME}.jsonl"


def entries() -> list[str]:
    """The names of the entries, as pytest collects them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "--collect-only", "-m", "long", TEST],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return re.findall(r"test_many\[(.+)\]", done.stdout)


def noted() -> dict[str, dict[str, Any]]:
    """What was read so far, by entry."""
    lines = NOTED.read_text(encoding="utf-8").splitlines() if NOTED.is_file() else []
    return {told.pop("entry"): told for told in map(json.loads, lines)}


def summed(found: dict[str, dict[str, Any]], names: list[str]) -> dict[str, Any]:
    """Sums over all entries; those of `names` that are missing did not pass."""
    values = found.values()
    return {
        "files": sum(told["cases"] for told in values),
        "different": sum(told["different"] for told in values),
        "slowest_seconds": max((told["slowest_seconds"] for told in values), default=0),
        "largest_bytes": max((told["largest_bytes"] for told in values), default=0),
        "not_passed": [name for name in names if name not in found],
        "entries": found,
    }


def main() -> int:
    """0 where every entry passed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, required=True, help="of slow entries a twentieth")
    parser.add_argument("--only", nargs="+", help="entries; all where none is named")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--go-on", action="store_true")
    asked = parser.parse_args()
    NOTED.parent.mkdir(exist_ok=True)
    names = entries()
    if not asked.go_on:
        NOTED.unlink(missing_ok=True)
    left = [name for name in asked.only or names if name not in noted()]
    code = 0
    if left:
        code = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n", "0", "-m", "long",
             f"--hypothesis-seed={asked.seed}", *(f"{TEST}::test_many[{name}]" for name in left)],
            cwd=ROOT, check=False,
            env={**os.environ, "FUZZ_CASES": str(asked.cases), "FUZZ_RECORD": str(NOTED)},
        ).returncode  # fmt: skip
    command = f"python -m benchmarks.fuzzing --cases {asked.cases} --seed {asked.seed}"
    save(NAME, {"command": command, **summed(noted(), names)})
    return code


if __name__ == "__main__":
    sys.exit(main())

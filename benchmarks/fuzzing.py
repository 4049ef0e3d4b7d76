"""How many mutated files each entry reads, and what came of it, an entry to a process.

    python -m benchmarks.fuzzing --cases 8700 [--only csv png] [--seed 1] [--go-on]

A process that dies of a signal or fails is an entry that failed. Adds the entries read to
benchmarks/results/fuzzing.json; the sums are of all that stand there. --go-on leaves out entries
that passed already.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

from benchmarks.record import RESULTS, ROOT, save

NAME = "fuzzing"
TEST = "tests/fuzz/test_strangers_files.py"


def entries() -> list[str]:
    """The names of the entries, as pytest collects them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", "long", TEST],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return re.findall(r"test_many\[(.+)\]", done.stdout)


def read(name: str, cases: int, seed: int) -> dict[str, Any]:
    """Cases of an entry read by a process of its own, or how that process failed."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        began = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "long", f"{TEST}::test_many[{name}]",
             "-n", "0", f"--hypothesis-seed={seed}", f"--junit-xml={report}",
             "-o", "junit_family=xunit1"],
            cwd=ROOT, env={**os.environ, "FUZZ_CASES": str(cases)}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
        seconds = round(time.monotonic() - began, 1)
        if done.returncode:
            died = signal.Signals(-done.returncode).name if done.returncode < 0 else "failed"
            print(done.stdout[-6000:])
            return {"state": died, "seconds": seconds, "seed": seed, "cases": 0}
        found = ElementTree.parse(report).iter("property")
        told = {str(one.get("name")): json.loads(str(one.get("value"))) for one in found}
        return {"state": "passed", "seconds": seconds, "seed": seed, **told}


def main() -> int:
    """The exit code is the number of entries that failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, required=True, help="of slow entries a twentieth")
    parser.add_argument("--only", nargs="+", help="entries; all where none is named")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--go-on", action="store_true")
    asked = parser.parse_args()
    path = RESULTS / f"{NAME}.json"
    everything = json.loads(path.read_text())["entries"] if path.is_file() else {}
    failed = 0
    for name in asked.only or entries():
        if asked.go_on and everything.get(name, {}).get("state") == "passed":
            continue
        everything[name] = told = read(name, asked.cases, asked.seed)
        failed += told["state"] != "passed"
        print(f"{name}: {told}", flush=True)
        passed = [one for one in everything.values() if one["state"] == "passed"]
        sums = {
            "cases": sum(one["cases"] for one in passed),
            "different": sum(one["different"] for one in passed),
            "slowest_seconds": max((one["slowest_seconds"] for one in passed), default=0),
            "largest_bytes": max((one["largest_bytes"] for one in passed), default=0),
            "entries": len(everything),
            "failed": len(everything) - len(passed),
        }
        command = "python -m benchmarks.fuzzing --cases <n> --seed <seed>"
        save(NAME, {"command": command, **sums, "entries": everything})
    return failed


if __name__ == "__main__":
    sys.exit(main())

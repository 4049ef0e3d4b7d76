"""What placement adds: to a start, in milliseconds, and to a run, as a ratio of pairs.

    python -m benchmarks.placement_overhead --save

The start: naming the device, planning (facts, costs, memory), and keeping the calibration, in
processes of their own, after the imports that a run has anyway. The run: 10 ms batches of a model
double through the stream, with the ladder counting rows against the same stream without it: by the
clock, and by processor time beside the 10 ms, which a busy machine's sleeps do not blur.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
START = """
import json, sys, time
from dataclasses import replace
import foundation.hub, foundation.model, foundation.record
from foundation import registry
from foundation.requests import settings
spec = registry.spec(sys.argv[1])
adapter = registry.resolve(spec.adapter)
made = settings(registry.domain(spec.domain), spec.tasks[0], json.loads(sys.argv[2]))
began, cpu = time.perf_counter(), time.process_time()
from foundation.placement import place
from foundation.placement.plan import plan
placement = replace(place("cpu", spec.dtype), dtype="float32")
planned = plan(spec, adapter, spec.tasks[0], made.requests(), 32, placement)
told = planned.line
planned.keep(32, 1.0)
print(1000 * (time.perf_counter() - began), 1000 * (time.process_time() - cpu))
"""
MODELS = {
    "molecule/starter": {"count": 1000},
    "language/minilm": {"texts": ["a text"] * 100},
    "language/smollm2-135m": {"prompts": ["a prompt"] * 100},
}


def start(model: str, given: dict[str, Any]) -> tuple[float, float]:
    """Milliseconds on the clock and of the processor, in a process of its own."""
    command = [sys.executable, "-c", START, model, json.dumps(given)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    clock, cpu = done.stdout.split()
    return float(clock), float(cpu)


def run(counts: bool, rows: int = 320, batch: int = 8, delay: float = 0.01) -> tuple[float, float]:
    """Seconds of a stream of 10 ms batches, with the ladder's counting or without.

    By the clock, and the waits with the processor time between them.
    """
    from foundation.requests import Item
    from foundation.stream import Stream
    from foundation.testing.double import Request, Whole

    adapter = Whole()
    adapter.options = {"delay": delay}
    stream = Stream(adapter, "generate", batch, 0)
    if not counts:
        stream._ladder.finished = lambda rows: None  # type: ignore[method-assign]
    items = (Item(n, Request()) for n in range(rows))
    began, cpu = time.perf_counter(), time.process_time()
    for _ in stream.outputs(items):
        pass
    waits = delay * rows / batch
    return time.perf_counter() - began, waits + time.process_time() - cpu


def _pair(number: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """With counting and without, each first in its turn."""
    first, second = run(number % 2 == 0), run(number % 2 == 1)
    return (first, second) if number % 2 == 0 else (second, first)


def _medians(measured: list[tuple[float, float]]) -> dict[str, float]:
    clock, cpu = zip(*measured, strict=True)
    return {
        "clock": round(statistics.median(clock), 1),
        "most": round(max(clock), 1),
        "processor": round(statistics.median(cpu), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--save", action="store_true")
    given = parser.parse_args()
    from dataclasses import asdict

    from benchmarks.interval import ratio

    starts = {name: [start(name, values) for _ in range(5)] for name, values in MODELS.items()}
    run(True), run(False)  # what is done once
    pairs = [_pair(number) for number in range(given.rounds)]
    clock, processor = (
        asdict(ratio(*zip(*((one[n], other[n]) for one, other in pairs), strict=True)))
        for n in (0, 1)
    )
    figures = {
        "start_milliseconds": {k: _medians(v) for k, v in starts.items()},
        "run": clock,
        "run_processor": processor,
    }
    print(json.dumps(figures, indent=2))
    if given.save:
        from benchmarks.record import save

        save("placement_overhead", {"command": "python -m benchmarks.placement_overhead --save",
                                    **figures})  # fmt: skip


if __name__ == "__main__":
    main()

"""The trainer against a loop written by hand for the same model, and its memory over much data.

    python -m benchmarks.tuning_loop                 tokens a second, interleaved
    python -m benchmarks.tuning_loop --memory        memory over 20 MB and 200 MB of rows

The hand-written loop is what one would write for this model alone: tokens prepared in a thread, the
same batches, AdamW (fused), clipping, the rate of each step, the loss read at each step.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.interval import ratio
from benchmarks.record import RESULTS, save

STEPS, BATCH = 20, 64


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    if given.one:
        print(json.dumps(_one(given.one)))
        return 0
    if given.memory:
        return _memory(given.out)
    rows = _smiles(STEPS * BATCH * 2)
    sides = {"ours": _ours, "by_hand": _by_hand}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    losses: dict[str, float] = {}
    chance = random.Random(0)
    for pair in range(-1, given.pairs):
        for name in chance.sample(list(sides), 2):
            took, used, losses[name] = sides[name](rows)
            if pair >= 0:
                seconds[name].append(took)
                cpu[name].append(used)
    found = ratio(seconds["by_hand"], seconds["ours"])
    busy = ratio(cpu["by_hand"], cpu["ours"])  # what a machine that others use does not change
    body = {
        "seconds": seconds, "processor_seconds": cpu, "last_losses": losses, "at_least": 0.95,
        "ratio": asdict(found), "ratio_of_processor_time": asdict(busy),
    }  # fmt: skip
    print(f"processor time: {busy.ratio:.4f} ({busy.low:.4f} to {busy.high:.4f})")
    print(f"ours over by hand: {found.ratio:.4f} ({found.low:.4f} to {found.high:.4f}), "
          f"at least 0.95: {found.says(0.95)}; last losses {losses}")  # fmt: skip
    print(save("tuning_loop", body | {"steps": STEPS, "batch": BATCH}, given.out))
    return 0


def _smiles(count: int) -> list[str]:
    chance = random.Random(1)
    parts = ["CC", "c1ccccc1", "C(=O)N", "OC", "N", "C(C)", "c1ccncc1", "S(=O)(=O)"]
    return ["C" + "".join(chance.choices(parts, k=chance.randint(2, 8))) for _ in range(count)]


def _network() -> Any:
    from foundation.domains.molecule import training

    return training.SmilesTraining.begin(
        _smiles(2000), {"width": 512, "layers": 3, "vocabulary": 320}, 0
    )


def _ours(rows: list[str]) -> tuple[float, float, float]:
    from foundation.tuning.recipe import Recipe
    from foundation.tuning.trainer import Trainer

    recipe = Recipe(steps=STEPS, batch=BATCH, log=STEPS, checkpoint=10**6, validate=10**6)
    with tempfile.TemporaryDirectory() as folder:
        made = Trainer(_network(), rows, (), recipe, Path(folder))
        made.save = lambda: None  # type: ignore[method-assign]
        began, used = time.perf_counter(), time.process_time()
        made.run()
        took, used = time.perf_counter() - began, time.process_time() - used
        return took, used, float(made.curve[-1]["loss"])


def _by_hand(rows: list[str]) -> tuple[float, float, float]:
    from concurrent.futures import ThreadPoolExecutor

    import torch
    from torch.nn import functional

    from foundation.domains.molecule.tokenizer import BEGIN, pad
    from foundation.tuning.order import Order
    from foundation.tuning.recipe import Recipe

    made = _network()
    network, tokenizer = made.network, made.tokenizer
    recipe = Recipe(steps=STEPS, batch=BATCH)
    order = Order([len(row) for row in rows], BATCH, 0).batches()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True
    )

    def batch() -> Any:
        some = [rows[int(number)] for number in next(order)]
        return torch.tensor(pad(tokenizer, some, [BEGIN] * len(some)))

    total, units = 0.0, 0
    began, used = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(1) as ahead:
        pending = ahead.submit(batch)
        for step in range(STEPS):
            tokens, pending = pending.result(), ahead.submit(batch)
            logits = network.logits(network(tokens[:, :-1])).flatten(0, 1).float()
            wanted = tokens[:, 1:].flatten()
            loss = functional.cross_entropy(logits, wanted, ignore_index=0, reduction="sum")
            count = int((wanted != 0).sum())
            (loss / count).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total, units = total + loss.item(), units + count
    return time.perf_counter() - began, time.process_time() - used, total / units


def _memory(out: Path) -> int:
    """Peak memory of reading and training on few and on many rows, each in a process of its own."""
    found = {}
    for count in (20_000, 200_000):
        words = [sys.executable, "-m", "benchmarks.tuning_loop", "--one", str(count)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        found[str(count)] = json.loads(done.stdout.splitlines()[-1])
        print(count, found[str(count)])
    few, many = found.values()
    grown = many["peak_mib"] - few["peak_mib"]
    print(f"{many['data_mib'] - few['data_mib']:.0f} MiB more data, {grown:.0f} MiB more memory")
    print(save("tuning_memory", {"by_rows": found, "more_memory_mib": grown}, out))
    return 0


def _one(count: int) -> dict[str, float]:
    import resource

    from foundation.spec import Tuning
    from foundation.tuning.data import Wanted, gather
    from foundation.tuning.field import OneField
    from foundation.tuning.recipe import Recipe
    from foundation.tuning.trainer import Trainer

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "rows.jsonl"
        filler = "c" * 950
        with path.open("w") as file:
            for number in range(count):
                file.write(json.dumps({"text": f"{number} {filler}"}) + "\n")
        tuning = Tuning(begin="", read="benchmarks.tuning_loop:read", fields=("text",))
        data = gather(tuning, Wanted(str(path), validation=0.001), folder / "data")
        recipe = Recipe(steps=5, batch=8, log=5, checkpoint=10**6, validate=10**6)
        made = Trainer(OneField(_network(), "text"), data.rows, (), recipe, folder / "c")
        made.run()
        return {
            "rows": len(data.rows),
            "data_mib": path.stat().st_size / 2**20,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }


def read(path: Path, columns: dict[str, str]) -> Any:
    from foundation.tuning.data import records

    return records(path, {"text": ("text",)}, columns, "texts")


if __name__ == "__main__":
    raise SystemExit(main())

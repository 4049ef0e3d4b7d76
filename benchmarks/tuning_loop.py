"""The trainer against a loop written by hand for the same model: tokens a second, interleaved.

    python -m benchmarks.tuning_loop

The hand-written loop is what one would write for this model alone: tokens prepared in a thread, the
same batches, AdamW (fused), clipping, the rate of each step, the loss read at each step.
"""

import argparse
import random
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
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args(arguments)
    rows = smiles(STEPS * BATCH * 2)
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


def smiles(count: int) -> list[str]:
    chance = random.Random(1)
    parts = ["CC", "c1ccccc1", "C(=O)N", "OC", "N", "C(C)", "c1ccncc1", "S(=O)(=O)"]
    return ["C" + "".join(chance.choices(parts, k=chance.randint(2, 8))) for _ in range(count)]


def network() -> Any:
    from foundation.domains.molecule import training

    return training.SmilesTraining.begin(
        smiles(2000), {"width": 512, "layers": 3, "vocabulary": 320}, 0
    )


def _ours(rows: list[str]) -> tuple[float, float, float]:
    from foundation.tuning.recipe import Recipe
    from foundation.tuning.trainer import Trainer

    recipe = Recipe(steps=STEPS, batch=BATCH, log=STEPS, checkpoint=10**6, validate=10**6)
    with tempfile.TemporaryDirectory() as folder:
        made = Trainer(network(), rows, (), recipe, Path(folder))
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

    made = network()
    trained, tokenizer = made.network, made.tokenizer
    recipe = Recipe(steps=STEPS, batch=BATCH)
    order = Order([len(row) for row in rows], BATCH, 0).batches()
    optimizer = torch.optim.AdamW(
        trained.parameters(), lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True
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
            logits = trained.logits(trained(tokens[:, :-1])).flatten(0, 1).float()
            wanted = tokens[:, 1:].flatten()
            loss = functional.cross_entropy(logits, wanted, ignore_index=0, reduction="sum")
            count = int((wanted != 0).sum())
            (loss / count).backward()
            torch.nn.utils.clip_grad_norm_(trained.parameters(), 1.0)
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate_at(step)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total, units = total + loss.item(), units + count
    return time.perf_counter() - began, time.process_time() - used, total / units


if __name__ == "__main__":
    raise SystemExit(main())

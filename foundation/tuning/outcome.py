"""What a training leaves: the model's folder with its card, the curve, the refused rows."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.adapter import Tunable
from foundation.durable import replacing, replacing_folder, write_json
from foundation.model import TUNED
from foundation.tuning.card import card
from foundation.tuning.measuring import measured
from foundation.tuning.picture import picture
from foundation.tuning.prepare import Prepared

if TYPE_CHECKING:
    from foundation.tuning.trainer import Trainer

READY = ".data-ready"
"""Tells other processes of a training that the data is read."""


def figures(trainer: "Trainer", prepared: Prepared) -> dict[str, float]:
    """Figures of a head on the held-out rows; none without a head or rows."""
    from foundation.adapter import Predicts

    if not isinstance(prepared.tunable, Predicts) or not len(prepared.held_out):
        return {}
    wanted = [prepared.tunable.wanted(row) for row in prepared.held_out]
    given = trainer.predict(prepared.held_out).numpy()
    return measured(given, wanted, bool(prepared.tunable.labels))


def before(trainer: "Trainer", folder: Path) -> float | None:
    """The held-out loss before the first step, measured once; None where nothing is measured on.

    With LoRA and completions that is the untuned model's, with a head what knows nothing.
    """
    path = folder / "before.json"
    if path.exists():
        found: float | None = json.loads(path.read_text(encoding="utf-8"))
        return found
    if trainer.step or not len(trainer.held_out):
        return None
    found = trainer.evaluate(trainer.held_out)
    if trainer.accelerator.is_main_process:
        write_json(path, found)
    return found


def save(trainer: "Trainer", prepared: Prepared, folder: Path, facts: Mapping[str, Any]) -> None:
    """Write `model/` with its card, and why rows were refused."""
    text = card(facts, trainer.curve, len(prepared.rows), len(prepared.held_out))
    save_model(prepared.tunable, folder, facts, text)
    write_refused(prepared, folder)


def save_model(tunable: Tunable, folder: Path, facts: Mapping[str, Any], text: str) -> None:
    """Write `model/` with `text` as its card, whole or not at all."""
    with replacing_folder(folder / "model") as part:
        tunable.save(part)
        if facts["source"] is not None:
            kept = ("model", "source", "revision", "method", "labels")
            write_json(part / TUNED, {name: facts[name] for name in kept})
        (part / "README.md").write_text(text, encoding="utf-8")
    (folder / READY).unlink(missing_ok=True)


def write_curve(curve: list[dict[str, Any]], folder: Path) -> None:
    """`curve.parquet`, a row for each of the curve, and `curve.png`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = {"step": pa.int64()} | dict.fromkeys(
        ("loss", "held_out", "rate", "units_per_second"), pa.float64()
    )
    with replacing(folder / "curve.parquet") as part:
        pq.write_table(pa.Table.from_pylist(curve, schema=pa.schema(names.items())), part)
    with replacing(folder / "curve.png") as part:
        part.write_bytes(picture(curve))


def write_refused(prepared: Prepared, folder: Path) -> None:
    """`refused.csv`: why rows were left out."""
    if not prepared.reasons:
        return
    with replacing(folder / "refused.csv") as part, part.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["reason"])
        rows.writerows([reason] for reason in prepared.reasons)

"""What a training will need: weights, gradients, the optimizer's state, what is kept for backward.

A model that is not trained yet is made afresh by its recipe and one small batch of its data is
passed forward: what autograd keeps of it is counted and scaled to the recipe's batch.
"""

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from foundation.adapter import Placement, Tunable
from foundation.draws import Draws
from foundation.errors import InputError
from foundation.placement import calibration
from foundation.placement.amounts import shown
from foundation.placement.device import Device
from foundation.placement.estimate import PROCESS, Estimate, beside
from foundation.placement.plan import room_of
from foundation.registry import configured
from foundation.spec import ModelSpec
from foundation.tuning.prepare import NEEDED, NO_ROW, opened_source

if TYPE_CHECKING:
    from foundation.commands import Job

ROWS = (4, 12)
"""Rows of the two batches whose difference is what a row needs."""
LEARNT_FROM = 2048
"""Rows that a tokenizer is learnt from here; the training takes more, for the same size."""
OPTIMIZER = 2
"""Numbers that AdamW keeps of a parameter, in float32 (Loshchilov and Hutter 2019)."""


def estimate_training(
    job: "Job", spec: ModelSpec, placement: Placement, device: Device
) -> Estimate:
    """What `task=tune` of the chosen recipe needs on a device."""
    recipe = job.group("recipe")
    if any(key not in recipe for key in NEEDED):
        raise InputError("task.of=tune needs a recipe: give recipe=<name>")
    rows = _rows(job, recipe, spec)
    tunable: Tunable = configured(recipe["tunable"]).begin(rows, dict(recipe["shape"]), 0)
    batch, steps = int(recipe.get("batch", 256)), int(recipe.get("steps", 1000))
    dtype = recipe.get("precision", "auto")
    dtype = placement.dtype if dtype == "auto" else dtype
    small, large = (kept(tunable, rows, count, dtype) for count in ROWS)
    row = max(0, large - small) // (ROWS[1] - ROWS[0])
    fixed = max(0, small - ROWS[0] * row)
    weights = sum(p.numel() * p.element_size() for p in tunable.module().parameters())
    trained = sum(p.numel() for p in tunable.module().parameters() if p.requires_grad)
    state = (1 + OPTIMIZER) * 4 * trained
    extra = beside(device)
    seconds, basis = calibration.seconds(
        calibration.machine_name(device),
        str(recipe["name"]),
        "tune",
        device.kind,
        dtype,
        batch,
        0.0,
    )
    peak = weights + state + fixed + batch * row + extra
    made = Estimate(
        model=f"recipe {recipe['name']}",
        task="tune",
        device=device.name or device.key,
        dtype=dtype,
        rows=batch,
        disk=(1 + OPTIMIZER) * 4 * trained * (1 + int(recipe.get("keep", 2))),
        here=True,
        parameters=sum(p.numel() for p in tunable.module().parameters()),
        weights=weights,
        mapped=0,
        batch=peak - extra - weights,
        peak=peak,
        host=PROCESS + (peak if device.kind == "cpu" else weights),
        room=room_of(placement, replace(device, free=device.total)),
        seconds=seconds,
        basis=basis
        if seconds is None
        else f"{basis}; all {steps:,} steps {seconds / 1000 * steps * batch / 3600:.3g} h",
    )
    return replace(made, advice=_advice(made, state, row, fixed, extra))


def _advice(made: Estimate, state: int, row: int, fixed: int, extra: int) -> tuple[str, ...]:
    if made.fits:
        return ()
    left = made.room - made.weights - state - fixed - extra
    if left >= row > 0:
        return (f"recipe.batch={left // row}: {shown(made.room)}",)
    return (f"a device with {shown(made.weights + state + fixed + row + extra)}, batch 1",)


def kept(tunable: Tunable, rows: list[Any], count: int, dtype: str) -> int:
    """Bytes that a batch holds between forward and backward, each storage once."""
    import torch

    chosen = [rows[n % len(rows)] for n in range(count)]
    batch = tunable.collate(chosen, Draws(0, list(range(count))), 0.0)
    own = {p.untyped_storage().data_ptr() for p in tunable.module().parameters()}
    found = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in batch.values()}

    def hold(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            found[storage.data_ptr()] = storage.nbytes()
        return tensor

    tunable.module().train()
    with (
        torch.autograd.graph.saved_tensors_hooks(hold, lambda tensor: tensor),
        torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"),
    ):
        loss, _ = tunable.loss(batch)
    del loss
    return sum(found.values())


def _rows(job: "Job", recipe: Mapping[str, Any], spec: ModelSpec) -> list[Any]:
    """The first rows of the data that the training would take."""
    opened = opened_source(spec, recipe, job.task(), "data")
    found = () if opened is None else opened[1]
    usable = (row[recipe["field"]] for row in found if row.get(recipe["field"]) is not None)
    rows = list(islice(usable, LEARNT_FROM))
    if not rows:
        raise InputError(NO_ROW)
    return rows

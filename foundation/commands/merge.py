"""`task=merge`: a model with LoRA weights -> a folder of plain weights that needs no other."""

from foundation import hub, registry
from foundation.adapter import Start, Tunable
from foundation.commands import Job
from foundation.durable import replacing_folder, write_json
from foundation.errors import InputError, UnknownName
from foundation.model import TUNED, Model
from foundation.placement import place
from foundation.registry import resolve
from foundation.sources import model_source


def run(job: Job) -> str:
    """Write `model/` in the run folder; `model.path=` loads it."""
    for key in job.task():
        raise UnknownName("setting", f"task.{key}", [], "(task=merge has none of its own)")
    spec = registry.spec_from(job.group("model"))
    tuning = registry.domain(spec.domain).tuning
    if not spec.deltas:
        raise InputError(
            "task=merge needs LoRA weights: give model.path=<run folder>/model of them"
        )
    if tuning is None or tuning.merge is None:
        raise InputError(f"{spec.domain} merges no LoRA weights")
    told = Model(spec, place("cpu")).tuned
    final = job.folder / "model"
    merged: Tunable = resolve(tuning.merge)(
        Start(spec, hub.fetch([model_source(spec)])[0].path, "full", ())
    )
    with replacing_folder(final) as part:
        merged.save(part)
        write_json(part / TUNED, {**told, "method": "merged"})
    job.remember()
    return f"merged: {final}"

"""`task=fetch`: bring all that the chosen configuration needs, for a machine without network."""

from pathlib import Path

from foundation import hub, registry
from foundation.commands import Job
from foundation.errors import UnknownName
from foundation.hub import Source
from foundation.sources import model_source, source


def run(job: Job) -> str:
    """Fetch the model, and the data of a suite and a recipe where they are chosen."""
    found = hub.fetch(wanted(job))
    files = {_inside(local, name) for local in found for name in local.files}
    size = sum(path.stat().st_size for path in files)
    places = ", ".join(sorted({str(local.path) for local in found}))
    return f"{len(files):,} files ({size / 1e6:,.1f} MB) are here and verified: {places}"


def wanted(job: Job) -> list[Source]:
    """The sources of a model with its LoRA weights, and of a suite and a recipe."""
    task = job.group("task")
    for key in job.task():
        raise UnknownName(
            "setting", f"task.{key}", [], f"(task={task['name']} has none of its own)"
        )
    spec = registry.spec_from(job.group("model"))
    found = [model_source(spec), *(Source(delta.path) for delta in spec.deltas)]
    for group in ("suite", "recipe"):
        named = job.group(group).get("sources") or {}
        found += [source(value, f"{group}.sources.{name}") for name, value in named.items()]
    return found


def _inside(local: hub.Local, name: str) -> Path:
    return local.path / name if local.path.is_dir() else local.path

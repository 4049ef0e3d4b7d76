"""`task=fetch`: bring all that the chosen configuration needs, for a machine without network."""

from pathlib import Path

from foundation import hub, registry
from foundation.commands import Job
from foundation.errors import UnknownName
from foundation.sources import model_source, source


def run(job: Job) -> str:
    """Fetch the model, and the data of a suite and a recipe where they are chosen."""
    for key in job.task():
        raise UnknownName("setting", f"task.{key}", [], "(task=fetch has none of its own)")
    wanted = [model_source(registry.spec_from(job.group("model")))]
    for group in ("suite", "recipe"):
        named = job.group(group).get("sources") or {}
        wanted += [source(value, f"{group}.sources.{name}") for name, value in named.items()]
    found = hub.fetch(wanted)
    files = {_inside(local, name) for local in found for name in local.files}
    size = sum(path.stat().st_size for path in files)
    places = ", ".join(sorted({str(local.path) for local in found}))
    return f"{len(files):,} files ({size / 1e6:,.1f} MB) are here and verified: {places}"


def _inside(local: hub.Local, name: str) -> Path:
    return local.path / name if local.path.is_dir() else local.path

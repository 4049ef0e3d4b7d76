"""`task=lock`: pin what the configuration needs by the digests of its files, in foundation.lock."""

from pathlib import Path

from foundation import hub
from foundation.commands import Job
from foundation.commands.fetch import wanted
from foundation.hub.lock import NAME, pin


def run(job: Job) -> str:
    """Fetch the model, its LoRA weights, and the data of a suite and a recipe, and pin them."""
    sources = wanted(job)
    found = dict(
        zip((source.address for source in sources), hub.fetch(sources, locked=False), strict=True)
    )
    pin(Path(NAME), found)
    return f"{len(found)} source{'s' * (len(found) != 1)} pinned in {NAME}: {', '.join(found)}"

"""`task=card`: what is known of a model, from its files, its own card and evaluations of it."""

from typing import Any

from foundation import registry
from foundation.commands import Job
from foundation.durable import write_text
from foundation.errors import InputError, UnknownName

SETTINGS = ("source", "revision", "records")


def run(job: Job) -> str:
    """Write CARD.md into the run folder; the same on the screen."""
    from foundation.trust.card import of_model, of_source

    given = job.task()
    for key in given:
        if key not in SETTINGS:
            raise UnknownName("setting", f"task.{key}", [f"task.{name}" for name in SETTINGS])
    records = _records(given.get("records"))
    if given.get("source") is not None:
        card = of_source(str(given["source"]), given.get("revision"), records)
    elif given.get("revision") is not None:
        raise InputError("task.revision is that of task.source: otherwise give model.revision")
    else:
        card = of_model(registry.spec_from(job.group("model")), records)
    job.remember()
    path = job.folder / "CARD.md"
    write_text(path, f"{card.markdown()}\n")
    return f"{card.markdown()}\n\nthe card of {card.name}: {path}"


def _records(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]

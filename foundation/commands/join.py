"""`task=join`: the ranges of a run, made apart, become one run folder."""

from pathlib import Path

from foundation import registry
from foundation.commands import Job
from foundation.engines.ranges import gather, members
from foundation.errors import InputError, UnknownName
from foundation.model import Model
from foundation.placement import place
from foundation.runs import finished


def run(job: Job) -> str:
    """Check the ranges in the folder `task.run` and write what one run would have written there."""
    given = job.task()
    for key in given:
        if key != "run":
            raise UnknownName("setting", f"task.{key}", ["task.run"])
    if given.get("run") is None:
        raise InputError("task=join needs task.run=<the folder that holds the ranges>")
    root = Path(str(given["run"])).expanduser()
    ended = finished(root)
    if ended is not None:
        return ended.line
    found = members(root)
    first = found[0]
    gather(root, found)
    identity = first.manifest["identity"]
    # The record has the digests of what was loaded beside the model, not in it.
    told = {**first.record["model"], "sha256": first.record["digests"]}
    spec = registry.spec_from(told)
    model = Model(spec, place("cpu", identity["dtype"]))
    results = model.results(
        identity["task"], identity["settings"], seed=identity["seed"], folder=root,
        config={"ranges": [member.record["config"] for member in found]},
    )  # fmt: skip
    results.run.columns = first.manifest["columns"]
    for member in found:
        results.events += member.record["events"]
        for name, amount in member.record["usage"].items():
            results.usage[name] = results.usage.get(name, 0) + amount
    return results.finish().line

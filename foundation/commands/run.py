"""A task of a model: requests -> results, written as they come."""

from contextlib import closing
from typing import Any

from foundation import registry
from foundation.commands import Job
from foundation.engines.ranges import chosen
from foundation.errors import InputError
from foundation.failures import say, tell
from foundation.model import Model
from foundation.placement import place
from foundation.progress import progress
from foundation.signals import Stop

ONLY_FOR = {
    "suite": ("evaluate", "fetch"),
    "recipe": ("tune", "adapt", "steer", "fetch", "estimate"),
    "objective": ("steer",),
}


def run(job: Job) -> str:
    """Run the task the configuration names; the last line of the screen."""
    _refuse_unused(job)
    spec = registry.spec_from(job.group("model"))
    model = Model(spec, place(job.group("placement"), spec.dtype), job.engine())
    model.say = tell
    task = str(job.group("task")["name"])
    try:
        with Stop() as stop:
            results = model.results(
                task,
                job.task(),
                seed=job.config["seed"],
                folder=job.folder,
                config=job.config,
                stop=stop,
                part=chosen(job.group("engine")),
                trust=job.group("trust"),
                output=job.group("engine").get("output"),
            )
            with closing(results.run):
                if results.run.finished:
                    return results.finish().line
                job.remember()
                if model.plan is not None:
                    tell(model.plan.line)
                _follow(results, model.domain.noun, shown=bool(job.task().get("stream")))
                line = results.finish().line
                for note in results.notes:
                    say(note)
                return line
    finally:
        model.close()


def _follow(results: Any, noun: str, shown: bool = False) -> None:
    """Run to the end, or to a signal, and show how far it is unless the outputs are shown."""
    if shown:
        for _ in results:
            pass
        return
    done, valid = len(results.run.done), results.run.valid
    with progress(results.total, noun, done=done) as report:
        for result in results:
            done, valid = done + 1, valid + result.valid
            report(done, valid=f"{valid / done:.1%}")


def _refuse_unused(job: Job) -> None:
    """A suite or a recipe that nothing would read is a mistake worth a word."""
    for group, tasks in ONLY_FOR.items():
        if job.group(group):
            raise InputError(f"{group}=... is for {' and '.join(f'task={t}' for t in tasks)}")

"""`task=models`: what is here, what it can do and what it needs; no model code is imported."""

import inspect
import textwrap
from collections.abc import Sequence
from dataclasses import MISSING, Field, fields
from importlib.resources import files

from foundation import registry
from foundation.errors import UnknownName
from foundation.spec import ModelSpec

HEADER = ("model", "tasks", "parameters", "licence", "source", "needs")
BYTES_A_PARAMETER = 4


def answer(words: Sequence[str]) -> str:
    """The table of all models; with `model=<name>`, one model and the settings of its tasks."""
    for word in words:
        if not word.startswith("model="):
            raise UnknownName("setting", word.partition("=")[0], ["model"], "of task=models")
    if words:
        return _one(words[-1].removeprefix("model="))
    return table([HEADER, *(_row(registry.spec(name)) for name in sorted(registry.models()))])


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows as aligned columns, the first one being the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def task_settings(model: str | None, task: str | None) -> list[tuple[str, str]]:
    """The settings of a model's task with their defaults; None for what no one has named."""
    from foundation.requests import RUN_LEVEL

    spec = registry.spec(model or default_model())
    chosen = registry.domain(spec.domain).tasks[task or spec.tasks[0]]
    request = registry.resolve(chosen.request)
    own = [(field.name, _default(field)) for field in fields(request) if field.name != chosen.item]
    if chosen.item is not None:
        own.insert(0, (chosen.item + "s" * (not chosen.item.endswith("s")), "[...]"))
    run_level = {name: "" for name in RUN_LEVEL if name != "name"} | {"count": str(chosen.count)}
    return [*own, *run_level.items()]


def default_model() -> str:
    """The model that runs when none is named."""
    import yaml

    defaults = yaml.safe_load((registry.conf_folders()[0] / "config.yaml").read_text())["defaults"]
    return str(next(entry["model"] for entry in defaults if "model" in entry))


def _row(spec: ModelSpec) -> tuple[str, ...]:
    kind, _, where = spec.source.partition(":")
    count = f"{spec.parameters / 1e6:,.1f} M" if spec.parameters else "?"
    source = spec.source
    if kind == "embedded":
        source = kind
    elif kind == "wheel":  # the file inside matters to no one here
        source = f"{kind}:{where.partition('/')[0]}"
    return (spec.name, ", ".join(spec.tasks), count, spec.licence, source, _needs(spec))


def _needs(spec: ModelSpec) -> str:
    needs = ["nothing" if spec.source.startswith(("embedded:", "path:")) else "download"]
    if not _here(spec.source):
        needs = ["training (task=tune): no weights in this version"]
    if "gated" in spec.capabilities:
        needs.append("a Hub account (HF_TOKEN)")
    if spec.parameters:
        needs.append(f"{spec.parameters * BYTES_A_PARAMETER / 1e6:,.0f} MB of memory in float32")
    return ", ".join(needs).removeprefix("nothing, ")


def _here(address: str) -> bool:
    """Whether an embedded model's folder is there; any other source is taken to be."""
    if not address.startswith("embedded:"):
        return True
    package, _, inside = address.removeprefix("embedded:").partition("/")
    return files(package).joinpath(inside).is_dir()


def _one(name: str) -> str:
    spec = registry.spec(name)
    lines = [table([HEADER, _row(spec)])]
    for task in spec.tasks:
        lines += ["", f"task={task}"]
        lines += [f"  task.{key}={value}" for key, value in task_settings(name, task)]
        lines += ["", textwrap.indent(_meaning(spec, task), "  ")]
    return "\n".join(lines)


def _meaning(spec: ModelSpec, task: str) -> str:
    """What the settings mean, their units and ranges: the docstring of the request."""
    request = registry.resolve(registry.domain(spec.domain).tasks[task].request)
    return inspect.getdoc(request) or ""


def _default(field: "Field[object]") -> str:
    if field.default is MISSING:
        return "<needed>" if field.default_factory is MISSING else ""
    return "" if field.default is None else str(field.default)

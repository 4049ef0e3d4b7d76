"""From what was asked to what is trained: by a starter's own recipe, or on a user's data."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from foundation import hub, registry
from foundation.adapter import Layered, Placement, Predicts, Start, Tunable
from foundation.errors import InputError, RequestError, UnknownName
from foundation.hub import Local
from foundation.registry import configured, resolve
from foundation.sources import model_source, source
from foundation.spec import ModelSpec, Tuning
from foundation.tuning import lora
from foundation.tuning.data import Data, Wanted, gather
from foundation.tuning.recipe import Recipe

METHODS = ("head", "lora", "full", "pretrain")
NEEDED = ("tunable", "field", "shape", "sources")
OWN = ("name", *NEEDED, "read", "held_out_rows", "epochs", "least_steps", "options")
TRAINING = tuple(field.name for field in fields(Recipe))
NO_ROW = "there is no row to train on: give task.data=<file>"
MEASURED = 10
"""Measurements on held-out rows in a training whose recipe counts epochs."""


@dataclass(frozen=True)
class Prepared:
    """A Tunable and what it is trained and measured on.

    frozen: parameters that stay the model's own. reasons: why rows were refused. labels: what a
    tuned head tells apart.
    """

    tunable: Tunable
    rows: Sequence[Any]
    held_out: Sequence[Any]
    training: Recipe
    refused: int = 0
    reasons: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    frozen: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(self.tunable.labels) if isinstance(self.tunable, Predicts) else ()


def columns_of(given: Mapping[str, Any]) -> Mapping[str, str]:
    """Which column is which field, as `task.columns` says; RequestError where it is no mapping."""
    columns = given.get("columns") or {}
    if not isinstance(columns, Mapping):
        raise RequestError("task.columns must name a column for a field, e.g. {text: question}")
    return columns


def precision_of(training: Recipe, placement: Placement) -> str:
    """The recipe's precision; of "auto" the placement's, or what is measured to be fast there."""
    from foundation.precision import fastest

    if training.precision != "auto":
        return training.precision
    return fastest(placement.device) if placement.dtype == "auto" else placement.dtype


def recipe_of(
    chosen: Mapping[str, Any], method: str | None, tuning: Tuning | None
) -> dict[str, Any]:
    """The recipe that was chosen, or else that of the method, with nothing unknown in it."""
    import yaml

    recipe = dict(chosen)
    if "tunable" not in recipe:
        if tuning is None:
            raise InputError(
                "task=tune needs a recipe: give recipe=<name>; foundation --help has them"
            )
        if method is None:
            known = ", ".join(tuning.methods)
            raise InputError(f"task=tune needs task.method=<one of {known}>, or recipe=<name>")
        if method not in tuning.methods:
            raise UnknownName("method", method, tuning.methods, "(task.method)")
        path = registry.conf_folders()[0] / "recipe" / f"{method}.yaml"
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        recipe = {**plain, **tuning.recipes.get(method, {}), **recipe}
    for key in recipe:
        if key not in (*OWN, *TRAINING):
            raise UnknownName("setting", f"recipe.{key}", [f"recipe.{k}" for k in TRAINING])
    return recipe


def training_of(recipe: Mapping[str, Any], rows: int) -> Recipe:
    """The Recipe; `epochs` become steps, measured MEASURED times and saved as often."""
    given = {key: recipe[key] for key in TRAINING if key in recipe}
    epochs = recipe.get("epochs")
    if "steps" not in given and epochs is not None:
        if not isinstance(epochs, int | float) or isinstance(epochs, bool) or not epochs > 0:
            raise RequestError(f"recipe.epochs must be a number above 0, got '{epochs}'")
        batch = min(int(given.get("batch", Recipe.batch)), rows)
        steps = math.ceil(epochs * (rows // batch))
        given["steps"] = max(int(recipe.get("least_steps") or 1), steps)
    if "steps" in given and epochs is not None and isinstance(given["steps"], int):
        often = max(1, given["steps"] // MEASURED)
        given = {"checkpoint": often, "validate": often, "log": often, **given}
    if isinstance(given.get("warmup"), int) and isinstance(given.get("steps"), int):
        given["warmup"] = min(given["warmup"], given["steps"] // 5)
    return Recipe(**given)


def from_data(
    spec: ModelSpec,
    method: str,
    recipe: Mapping[str, Any],
    wanted: Wanted,
    folder: Path,
    rank: int,
) -> tuple[Prepared, Data]:
    """A model of the registry on a user's data, read as a stream into `folder`."""
    tuning = registry.domain(spec.domain).tuning
    assert tuning is not None
    data = gather(tuning, wanted, folder)
    training = training_of(recipe, len(data.rows))
    tunable, frozen = begin(tuning, spec, method, recipe, data.rows, wanted.seed, rank)
    prepared = Prepared(
        tunable, data.rows, data.held_out, training, data.refused, data.reasons, data.digests,
        frozen,
    )  # fmt: skip
    return prepared, data


def begin(
    tuning: Tuning,
    spec: ModelSpec,
    method: str,
    recipe: Mapping[str, Any],
    rows: Sequence[Any],
    seed: int,
    rank: int,
) -> tuple[Tunable, tuple[str, ...]]:
    """The domain's Tunable, with LoRA laid on where that is the method; what stays frozen."""
    import torch

    torch.manual_seed(seed)
    options = {"shape": dict(recipe.get("shape") or {}), **dict(recipe.get("options") or {})}
    folder = hub.fetch([model_source(spec)])[0].path
    tunable: Tunable = resolve(tuning.begin)(Start(spec, folder, method, rows, seed, rank, options))
    if method != "lora":
        return tunable, ()
    if not isinstance(tunable, Layered) or not tunable.targets():
        raise InputError(f"{spec.name} has no layers that LoRA adapts: use task.method=full")
    tunable.adapted = lora.lay(tunable.base(), tunable.targets(), rank)
    return tunable, tuple(lora.frozen(tunable.module()))


def from_recipe(
    spec: ModelSpec,
    recipe: Mapping[str, Any],
    given: Mapping[str, Any],
    seed: int,
) -> Prepared:
    """A starter by its own recipe; `task.start=model` goes on from the chosen model's weights."""
    lacking = next((key for key in NEEDED if key not in recipe), None)
    if lacking is not None:
        raise InputError(f"recipe '{recipe.get('name')}' lacks {lacking}")
    found, refused, digests = _recipe_rows(spec, recipe, given)
    rows = found["data"]
    if given.get("start") == "model":
        if "read" not in recipe:
            raise InputError(f"recipe '{recipe.get('name')}' cannot start from a model's weights")
        tunable: Tunable = configured(recipe["read"])(hub.fetch([model_source(spec)])[0].path)
    else:
        tunable = configured(recipe["tunable"]).begin(rows, dict(recipe["shape"]), seed)
    training = training_of(recipe, len(rows))
    return Prepared(tunable, rows, found["held_out"], training, refused, (), digests)


def _recipe_rows(
    spec: ModelSpec, recipe: Mapping[str, Any], given: Mapping[str, Any]
) -> tuple[dict[str, list[Any]], int, dict[str, str]]:
    found: dict[str, list[Any]] = {"data": [], "held_out": []}
    digests: dict[str, str] = {}
    refused = 0
    limits = {"data": None, "held_out": recipe.get("held_out_rows")}
    for name, limit in limits.items():
        opened = opened_source(spec, recipe, given, name)
        if opened is None:
            continue
        local, rows = opened
        digests |= local.files
        for row in itertools.islice(rows, limit):
            if row.get("error") or row.get(recipe["field"]) is None:
                refused += 1
            else:
                found[name].append(row[recipe["field"]])
    if not found["data"]:
        raise InputError(NO_ROW)
    return found, refused, digests


def opened_source(
    spec: ModelSpec, recipe: Mapping[str, Any], given: Mapping[str, Any], name: str
) -> tuple[Local, Iterator[Mapping[str, Any]]] | None:
    """The files and rows of a starter's `data` or `held_out`, given or the recipe's own."""
    read = registry.domain(spec.domain).read
    if read is None:
        raise InputError(f"{spec.domain} reads no files to train on")
    value, where = given.get(name), f"task.{name}"
    if value is None:
        value, where = recipe["sources"].get(name), f"recipe.sources.{name}"
    if value is None:
        return None
    local = hub.fetch([source(value, where)])[0]
    return local, resolve(read)(local.path, given.get("column"))

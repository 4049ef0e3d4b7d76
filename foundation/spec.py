"""What a model, a task and a domain are, as data: nothing here imports one."""

import copyreg
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

EMPTY: Mapping[str, Any] = MappingProxyType({})


def _frozen(values: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(values)


# Specs travel to workers in other processes.
copyreg.pickle(MappingProxyType, lambda proxy: (_frozen, (dict(proxy),)))


@dataclass(frozen=True)
class Delta:
    """Weights added to a model's own, such as a LoRA: `scale` multiplies them."""

    path: str
    scale: float = 1.0
    sha256: str | None = None


@dataclass(frozen=True)
class ModelSpec:
    """A model as its YAML in conf/model/<domain>/ describes it.

    source: `embedded:<package>/<folder>`, `path:<folder>`, `hub:<org>/<name>` or
        `wheel:<name>==<version>/<path>`; a Hub source is pinned by `revision`.
    adapter: `module:Class`, resolved only when the model is loaded.
    options: what this architecture needs to know and the core does not, e.g. its notation.
    bits: 8 or 4, to which the weights are quantised while they are loaded, where `capabilities`
        has "bits"; a checkpoint that is quantised already says so itself.
    sha256: digests that the files at the source must have, by relative path.
    files: patterns of the files brought from the source, where it holds more than the model needs;
        none: all that a model may need.
    data: what its authors say it was trained on, where its files do not tell.
    facts: what its own files say before they are loaded; see foundation.hub.facts.
    """

    name: str
    domain: str
    adapter: str
    source: str
    revision: str | None = None
    tasks: tuple[str, ...] = ()
    dtype: str = "auto"
    bits: int | None = None
    licence: str = "unknown"
    data: str | None = None
    parameters: int | None = None
    capabilities: tuple[str, ...] = ()
    deltas: tuple[Delta, ...] = ()
    sha256: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    files: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=lambda: EMPTY)
    facts: Mapping[str, Any] = field(default_factory=lambda: EMPTY, repr=False)


@dataclass(frozen=True)
class Task:
    """One verb of a domain.

    request: `module:Class`, a frozen dataclass whose fields are the settings of one request and
        whose constructor raises RequestError for a value out of range.
    item: the request's field that a row of an input file fills, and the column it is read from.
    read: reads the files of this task, as the domain's `read` does those of the others.
    count: how many requests are made of each row, or of no row at all, unless the user says.
    check: `module:function(values, columns) -> list of dicts with "valid", "reason" and checks`;
        run in processes beside the model. None: every value is valid.
    columns: the checks' names and Arrow types, in the order of the table.
    unique_by: the check whose first bearer, by id, is marked in a column `unique` at the end.
    files: the request's fields that name files; a resumed run must find the same content in them.
    """

    request: str
    item: str | None = None
    read: str | None = None
    count: int = 1
    check: str | None = None
    columns: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    unique_by: str | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Tuning:
    """How a domain's models are tuned on a user's data.

    begin: `module:function(Start) -> Tunable`.
    read: `module:function(path, columns) -> rows`, each with `fields` as text, or an `error`.
    fields: names of a row's fields; `label` is what a row is told by.
    methods: of head, lora, full and pretrain those there are.
    group: `module:function(row) -> text`; rows of one group are never parted between what is
        trained on and what is measured on.
    apart: `module:function(row) -> bool`, whether it is known which rows lie near a row; None: of
        all. Where it is not, folds flatter ways that train much of a model, and task=adapt
        recommends those only where they are clearly better.
    likenesses: `module:NAME` of a tuple of foundation.tuning.leakage.Likeness.
    baselines: name -> `module:function(model, rows, asked, labels)`, what task=adapt tries beside
        the methods; gives probabilities [asked, labels], or values where there are no labels.
    commands: baseline -> the settings that do it for good, `{data}` standing for the labelled rows.
    recipes: method -> settings in which its recipe differs here.
    merge: `module:function(Start) -> Tunable`, whose `save` writes the model of `start.spec` with
        its LoRA weights merged in; None where there are none to merge.
    """

    begin: str
    read: str
    fields: tuple[str, ...]
    methods: tuple[str, ...] = ("head", "lora", "full")
    group: str | None = None
    apart: str | None = None
    likenesses: str | None = None
    baselines: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    commands: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    recipes: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: EMPTY)
    merge: str | None = None


@dataclass(frozen=True)
class Steering:
    """How a domain's models are steered towards what a score rewards (task=steer).

    The model's own are two things: how a score is made of the group `objective`, and a Tunable
    whose loss draws outputs, has them scored, and learns from what it was told. The core never
    sees an output but as a text; what is paid for, kept, resumed and ended is the core's, and the
    trainer trains this Tunable as any other.

    score: `module:function(objective) -> foundation.adapter.Score`.
    begin: `module:function(Start, Oracle) -> Tunable`, see foundation.tuning.oracle; each row of a
        step's batch stands for one draw. Its random choices depend on the seed and the step alone,
        so that a resumed training draws again what its last steps drew, and finds it scored.
    task: whose checks and files the best outputs have.
    recipe: the recipe when none is chosen.
    """

    score: str
    begin: str
    task: str
    recipe: str


@dataclass(frozen=True)
class Domain:
    """One modality; the object an entry point in the group `foundation.domains` names.

    default: the model used when none is named.
    read: `module:function(path, column) -> rows` turning a file into fields of requests.
    keep: `module:function(folder, result) -> result`, writing what is too heavy for a table as a
        file, before its row is written.
    write: `module:function(folder, task, table path) -> paths` writing the domain's own files.
    view: `module:function(table, folder) -> html` for notebooks; the folder is the run's.
    text: `module:function(table) -> text` for terminals; None: the first rows as they are.
    records: suffix -> `module:function(data: bytes) -> list of bytes`, the records of files in
        which each is sealed by itself; see foundation.trust.seal.
    redraws: suffix -> `module:function(path, other path) -> bool`, whether two files show the same,
        of files that hold the whole request they were made by and are read as it.
    screens: name -> `module:Class` of a foundation.trust.screens.Screen, made with its settings.
    suites: suite name -> `module:function`, what is measured.
    tuning: how its models are tuned on a user's data. steering: how towards a score.
    """

    name: str
    default: str
    tasks: Mapping[str, Task]
    noun: str = "results"
    read: str | None = None
    keep: str | None = None
    write: str | None = None
    view: str | None = None
    text: str | None = None
    records: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    redraws: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    screens: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    suites: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    tuning: Tuning | None = None
    steering: Steering | None = None

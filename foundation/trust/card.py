"""The card of a model: what is known of it, with what is not known written "unknown"."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from foundation.errors import InputError, SourceError
from foundation.hub import ALLOW, Local, resolve
from foundation.spec import EMPTY, ModelSpec
from foundation.trust import card_text
from foundation.trust.card_text import CardText
from foundation.trust.licences import allows

UNKNOWN = "unknown"
SHOWN = 40
"""Files whose digests are shown."""


@dataclass(frozen=True)
class Card:
    """What is known of a model.

    digests: path -> sha256. digests_by: who says so. data, figures, limits: Markdown.
    """

    name: str
    source: str
    revision: str = UNKNOWN
    digest: str = UNKNOWN
    digests: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    digests_by: str = UNKNOWN
    licence: str = UNKNOWN
    allows: str = UNKNOWN
    architecture: str = UNKNOWN
    parameters: str = UNKNOWN
    tasks: str = UNKNOWN
    made_from: str = UNKNOWN
    data: str = UNKNOWN
    figures: str = UNKNOWN
    limits: str = UNKNOWN

    def markdown(self) -> str:
        """The card as Markdown."""
        rows = (
            ("source", f"`{self.source}`"), ("revision", self.revision),
            ("digest of the files", self.digest), ("licence", self.licence),
            ("which allows", self.allows), ("architecture", self.architecture),
            ("parameters", self.parameters), ("tasks here", self.tasks),
            ("made from", self.made_from),
        )  # fmt: skip
        table = [f"| {name} | {_cell(value)} |" for name, value in rows]
        return "\n".join(
            [
                *(f"# {self.name}", "", "| | |", "|---|---|", *table, ""),
                *("## Training data", "", self.data, "", "## Measured figures", "", self.figures),
                *("", "## Known limits", "", self.limits, "", "## Files", "", *self._files()),
            ]
        )

    def _files(self) -> Iterator[str]:
        if not self.digests:
            yield f"sha256 {UNKNOWN}."
            return
        yield f"sha256, {self.digests_by}:"
        yield ""
        for name in sorted(self.digests)[:SHOWN]:
            yield f"- `{name}` `{self.digests[name]}`"
        if len(self.digests) > SHOWN:
            yield f"- and {len(self.digests) - SHOWN:,} more"


def of_source(source: str, revision: str | None, records: Sequence[str] = ()) -> Card:
    """The card of a folder or of `hub:<org>/<name>` that no YAML describes."""
    kind = source.partition(":")[0]
    address = source if kind in ("hub", "path", "embedded") else f"path:{source}"
    name = address.partition(":")[2]
    return of_model(ModelSpec(name, "", "", address, revision), records)


def of_model(spec: ModelSpec, records: Sequence[str] = ()) -> Card:
    """The card of a model; nothing of a Hub model is fetched but its card and its configs.

    records: run folders of task=evaluate, whose figures are told with their commands; InputError
    for one that measured another model.
    """
    from foundation.hub.facts import config, described

    spec = described(spec)
    local, listed, problem = _files(spec)
    text = _text(spec, local)
    revision = spec.revision or (local.revision if local else None) or listed.get("")
    digests = dict(local.files) if local else {n: d for n, d in listed.items() if n}
    digests = digests or dict(spec.sha256)
    licence = _licence(spec, text)
    known = config(spec) or config(spec, "transformer")
    kinds = known.get("architectures") or [known.get("_class_name") or known.get("model_type")]
    return Card(
        name=spec.name,
        source=spec.source,
        revision=revision or f"none: pinned by the digest {local.digest[:16] if local else '?'}",
        digest=local.digest if local else (problem or "unknown: the files are not on this machine"),
        digests=digests,
        digests_by="read on this machine" if local else _said_by(spec, listed),
        licence=licence,
        allows=allows(licence.partition(" (")[0]),
        architecture=", ".join(map(str, kinds)) if kinds[0] else spec.adapter or UNKNOWN,
        parameters=f"{spec.parameters:,}" if spec.parameters else UNKNOWN,
        tasks=", ".join(spec.tasks) or "none: no YAML of conf/model/ describes it",
        made_from=_made_from(spec, text),
        data=_data(spec, text),
        figures=_figures(
            spec, text, records, spec.revision or (local.digest[:16] if local else None)
        ),
        limits=_quoted(text, card_text.LIMITS, spec) or UNKNOWN,
    )


def _files(spec: ModelSpec) -> tuple[Local | None, Mapping[str, str], str | None]:
    """The files here, or else what the Hub lists of them, the commit under ""; and why not."""
    if spec.facts.get("here") or not spec.source.startswith(("hub:", "wheel:")):
        allow = (*(spec.files or ALLOW),)
        found = resolve(spec.source, revision=spec.revision, sha256=spec.sha256, allow=allow)
        return found, {}, None
    if not spec.source.startswith("hub:"):
        return None, {}, None
    try:
        return None, _listed(spec), None
    except Exception as error:  # gated, unknown or no network
        return None, {}, f"unknown: the Hub told nothing ({type(error).__name__})"


def _listed(spec: ModelSpec) -> dict[str, str]:
    """Path -> sha256 of the large files as the Hub lists them."""
    from huggingface_hub import HfApi, RepoFile

    from foundation.hub.cache import offline
    from foundation.hub.facts import ANSWER

    if offline():
        raise SourceError("FOUNDATION_OFFLINE=1")
    name, api = spec.source.removeprefix("hub:"), HfApi()
    commit = api.model_info(name, revision=spec.revision, timeout=ANSWER).sha or ""
    tree = api.list_repo_tree(name, recursive=True, revision=spec.revision)
    large = {f.path: f.lfs.sha256 for f in tree if isinstance(f, RepoFile) and f.lfs}
    return {"": commit, **large}


def _said_by(spec: ModelSpec, listed: Mapping[str, str]) -> str:
    return "as the Hub lists its large files" if listed else "as the model's YAML pins them"


def _text(spec: ModelSpec, local: Local | None) -> CardText:
    """The card beside the weights, or that on the Hub; an empty one where there is none."""
    folder = local.path if local else None
    if spec.source.startswith("hub:"):
        try:
            folder = resolve(spec.source, revision=spec.revision, allow=("README.md",)).path
        except SourceError:
            folder = None
    found = card_text.in_folder(folder) if folder is not None and folder.is_dir() else None
    return found or CardText()


def _licence(spec: ModelSpec, text: CardText) -> str:
    """That of its YAML and that of its own card; weights laid in its place have their own."""
    stated = text.named("license_name") or text.named("license")
    ours = spec.licence if spec.licence not in ("none stated", "") else UNKNOWN
    if spec.source.startswith("path:"):
        ours = UNKNOWN
    if ours == UNKNOWN:
        return stated or UNKNOWN
    if stated and stated not in ("other", ours) and stated.lower() != ours.lower():
        return f"{ours} (its own card says {stated})"
    return ours


def _made_from(spec: ModelSpec, text: CardText) -> str:
    made = [f"`{text.named('base_model')}`"] if text.named("base_model") else []
    made += [f"LoRA weights `{delta.path}` at {delta.scale:g}" for delta in spec.deltas]
    return ", ".join(made) or UNKNOWN


def _data(spec: ModelSpec, text: CardText) -> str:
    sets = text.named("datasets")
    told = [f"Data sets named by its card: {sets}."] if sets else []
    if spec.data and not spec.source.startswith("path:"):
        told.append(spec.data)
    quoted = _quoted(text, card_text.DATA, spec)
    return "\n\n".join(filter(None, [*told, quoted])) or UNKNOWN


def _quoted(text: CardText, about: Any, spec: ModelSpec) -> str | None:
    """A section of the model's own card, quoted unless it is our own."""
    found = text.told(about)
    if found is None or spec.source.startswith("embedded:"):
        return found
    lines = "\n".join(f"> {line}".rstrip() for line in found.split("\n"))
    return f"Its own card says, which was not checked here:\n\n{lines}"


def _figures(spec: ModelSpec, text: CardText, records: Sequence[str], revision: str | None) -> str:
    parts = [_measured(spec, revision, Path(folder).expanduser()) for folder in records]
    stated = [f"| {_cell(data)} | {_cell(name)} | {_cell(value)} |"
              for data, name, value in text.results()]  # fmt: skip
    if stated:
        head = ["Stated by its authors, not measured here:", "", "| data | figure | value |"]
        parts.append("\n".join([*head, "|---|---|---|", *stated[:SHOWN]]))
    quoted = _quoted(text, card_text.FIGURES, spec)
    return "\n\n".join(filter(None, [*parts, quoted])) or UNKNOWN


def _measured(spec: ModelSpec, revision: str | None, folder: Path) -> str:
    """The figures of one evaluation as a table below its command."""
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        metrics, model = dict(record["metrics"]), dict(record["model"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"task.records: {folder} is no run folder of task=evaluate: give one that finished"
        ) from error
    source = f"path:{model['path']}" if model.get("path") else model.get("source")
    if source != spec.source:
        raise InputError(f"task.records: {folder} measured {model.get('name')}, not {spec.name}")
    if revision is not None and record.get("revision") != revision:
        raise InputError(
            f"task.records: {folder} measured revision {record.get('revision')} of {spec.name}, "
            f"not {revision}: measure it again"
        )
    typed: list[str] = []
    if (folder / "overrides.json").is_file():
        typed = json.loads((folder / "overrides.json").read_text(encoding="utf-8"))
    rows = [f"| {_cell(name)} | {shown} |" for name, value in metrics.items()
            if (shown := _value(value))]  # fmt: skip
    command = f"`foundation {shlex.join(word.lstrip('+') for word in typed)}`"
    return "\n".join([f"{command}:", "", "| figure | value |", "|---|---|", *rows])


def _value(value: Any) -> str | None:
    """A figure, with its interval where it has one; None for what is no figure."""
    if isinstance(value, Mapping):
        mean = value.get("mean")
        low, high = value.get("interval") or (value.get("low"), value.get("high"))
        if not isinstance(mean, int | float):
            return None
        inside = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
        return f"{mean:.4g}{inside}"
    return f"{value:.4g}" if isinstance(value, int | float) else None


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")

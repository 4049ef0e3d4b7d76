"""What a model's files say of its size and shape before a byte of its weights is read.

The headers of its safetensors and its JSON files, from this machine or, of a model on the Hub that
is not here, from the Hub: some kilobytes of gigabytes.
"""

import json
import struct
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatch
from math import prod
from pathlib import Path
from typing import Any

from foundation.hub.cache import cache_folder, offline
from foundation.hub.source import ALLOW
from foundation.spec import ModelSpec

ANSWER = 10.0
"""Seconds in which the Hub must answer at first."""
LARGEST = 2**20
"""Bytes of a JSON file that tells a model's shape; a vocabulary is larger and tells nothing."""


def described(spec: ModelSpec, network: bool = True) -> ModelSpec:
    """The spec with `facts` and, from the headers, the number of its parameters.

    facts: `configs`, path -> JSON; `parameters`, path of a safetensors file -> its parameters;
    `bytes`, of all files the model needs; `here`, whether they are on this machine. Empty where
    nothing is known. network: whether the Hub may be asked.
    """
    folder = _folder(spec)
    facts: Mapping[str, Any] = {}
    if folder is not None:
        facts = _local(folder, spec)
    elif network and spec.source.startswith("hub:") and not offline():
        with suppress(Exception):  # gated, unknown or no network: told when it is loaded
            facts = _remote(spec)
    counted = sum(facts.get("parameters", {}).values())
    ours = spec.parameters and spec.source.startswith(("embedded:", "wheel:"))  # counted once
    return replace(
        spec, facts=facts, parameters=spec.parameters if ours or not counted else counted
    )


def config(spec: ModelSpec, folder: str = "") -> Mapping[str, Any]:
    """The config.json of a folder of the model, empty where it is not known."""
    path = f"{folder}/config.json" if folder else "config.json"
    found: Mapping[str, Any] = spec.facts.get("configs", {}).get(path, {})
    return found


def _folder(spec: ModelSpec) -> Path | None:
    """Where a model's files are, if they are on this machine."""
    kind, _, where = spec.source.partition(":")
    if kind == "embedded":
        from importlib.resources import files

        package, _, inside = where.partition("/")
        with suppress(ModuleNotFoundError, TypeError, ValueError):
            path = Path(str(files(package).joinpath(inside)))
            return path if path.is_dir() else None
        return None
    if kind == "wheel":
        return _unpacked(spec)
    if kind == "hub":
        return _cached(spec)
    path = Path(where if kind == "path" else spec.source).expanduser()
    return path if path.exists() else None


def _unpacked(spec: ModelSpec) -> Path | None:
    from foundation.hub.wheel import parse
    from foundation.sources import model_source

    wheel = parse(model_source(spec))
    path = wheel.folder / wheel.path
    if path.suffix == ".gguf":
        digest = next(iter(wheel.members.values()))
        path = cache_folder() / "gguf" / digest[:32]
    return path if path.exists() else None


def _cached(spec: ModelSpec) -> Path | None:
    """The Hub's folder of a pinned model that was downloaded whole."""
    from huggingface_hub import snapshot_download

    name = spec.source.removeprefix("hub:")
    with suppress(Exception):
        patterns = [*(spec.files or ALLOW)]
        folder = Path(snapshot_download(name, revision=spec.revision, allow_patterns=patterns,
                                        local_files_only=True))  # fmt: skip
        if any(folder.rglob("*.safetensors")):
            return folder
    return None


def _local(folder: Path, spec: ModelSpec) -> dict[str, Any]:
    names = sorted(path for path in folder.rglob("*") if path.is_file())
    inside = {path: str(path.relative_to(folder)) for path in names}
    wanted = {p: n for p, n in inside.items() if not spec.files or _matches(n, spec.files)}
    configs, parameters = {}, {}
    for path, name in wanted.items():
        if name.endswith("config.json") and path.stat().st_size < LARGEST:
            with suppress(OSError, ValueError, RecursionError):
                found = json.loads(path.read_text(encoding="utf-8"))
                if isinstance(found, dict):
                    configs[name] = found
        elif path.suffix == ".safetensors":
            with suppress(OSError, ValueError, TypeError, LookupError, AttributeError,
                          RecursionError, struct.error):  # fmt: skip
                parameters[name] = _count(_header(path))
    size = sum(path.stat().st_size for path in wanted)
    return {"configs": configs, "parameters": parameters, "bytes": size, "here": True}


def _header(path: Path) -> dict[str, Any]:
    """Format: github.com/huggingface/safetensors, "Format": a length, then JSON."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(min(length, 100 * LARGEST)))
    return header


def _count(header: Mapping[str, Any]) -> int:
    return sum(prod(t["shape"]) for name, t in header.items() if name != "__metadata__")


def _remote(spec: ModelSpec) -> dict[str, Any]:
    from huggingface_hub import HfApi, RepoFile, hf_hub_download

    name, api = spec.source.removeprefix("hub:"), HfApi()
    api.model_info(
        name, revision=spec.revision, timeout=ANSWER
    )  # the tree alone would ask for long
    tree = api.list_repo_tree(name, recursive=True, revision=spec.revision)
    found = {file.path: file.size for file in tree if isinstance(file, RepoFile)}
    sizes = {p: size for p, size in found.items() if _matches(p, spec.files or ALLOW)}
    configs, parameters = {}, {}
    for path, size in sizes.items():
        if path.endswith("config.json") and size < LARGEST:
            local = hf_hub_download(name, path, revision=spec.revision)
            configs[path] = json.loads(Path(local).read_text(encoding="utf-8"))
        elif path.endswith(".safetensors"):
            header = api.parse_safetensors_file_metadata(name, path, revision=spec.revision)
            parameters[path] = sum(header.parameter_count.values())
    total = sum(sizes.values())
    return {"configs": configs, "parameters": parameters, "bytes": total, "here": False}


def _matches(name: str, patterns: Any) -> bool:
    return any(fnmatch(name, pattern) for pattern in patterns)

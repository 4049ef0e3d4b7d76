"""Data that a suite or a recipe names in its YAML -> sources that can be fetched."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from foundation.errors import UnknownName
from foundation.hub import ALLOW, Source
from foundation.spec import ModelSpec

KEYS = ("address", "revision", "sha256", "weights_only")


def source(value: str | Mapping[str, Any], where: str) -> Source:
    """A source from its address alone or from a mapping of `KEYS`.

    sha256 is one digest where the source is one file, else a mapping of relative paths.
    """
    given = {"address": value} if isinstance(value, str) else dict(value)
    for key in given:
        if key not in KEYS:
            raise UnknownName("setting", f"{where}.{key}", [f"{where}.{k}" for k in KEYS])
    digests = given.pop("sha256", None) or {}
    if isinstance(digests, str):
        digests = {PurePosixPath(given["address"]).name: digests}
    return Source(**given, sha256=digests)


def model_source(spec: ModelSpec) -> Source:
    """Where a model's own weights come from."""
    return Source(spec.source, spec.revision, spec.sha256, spec.files or ALLOW)

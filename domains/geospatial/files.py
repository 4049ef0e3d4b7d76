"""Files -> rows: a collection to train on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.domains.geospatial import collection


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """The windows of a collection's YAML."""
    yield from collection.read(path)

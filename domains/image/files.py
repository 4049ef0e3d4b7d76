"""Files -> rows: a plan of scenes to train on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.domains.image import plan


def read(path: Path, column: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a plan's YAML."""
    yield from plan.read(path)

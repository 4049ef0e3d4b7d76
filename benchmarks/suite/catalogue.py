"""The cases there are, read from conf/case/ as Hydra would compose them one by one."""

from collections.abc import Iterator
from pathlib import Path

import yaml

from benchmarks.suite.cases import Case, case

CASES = Path(__file__).parents[1] / "conf" / "case"


def every(folder: Path = CASES) -> Iterator[Case]:
    """All cases, by name."""
    for path in sorted(folder.glob("*.yaml")):
        yield case(path.stem, yaml.safe_load(path.read_text(encoding="utf-8")))

"""How many scenes of each skill an epoch has: a YAML, since the pictures need no file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from foundation.domains.image.scenes import SKILLS, SPLITS
from foundation.errors import RequestError


def read(path: Path) -> Iterator[dict[str, Any]]:
    """Rows `{"scene": "<split>/<skill>"}` of a plan: `split`, and `skills` with their numbers."""
    import yaml

    try:
        plan = yaml.safe_load(path.read_text(encoding="utf-8"))
        split, skills = plan["split"], dict(plan["skills"])
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise RequestError(f"{path} is no plan of scenes: give `split` and `skills`") from error
    if split not in SPLITS or not set(skills) <= set(SKILLS):
        raise RequestError(
            f"{path}: split is one of {', '.join(SPLITS)}, skills are of {', '.join(SKILLS)}"
        )
    for skill, count in skills.items():
        for _ in range(int(count)):
            yield {"scene": f"{split}/{skill}"}

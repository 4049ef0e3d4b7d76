"""Which way is recommended, of predictions that lie in the comparison's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from foundation.spec import Tuning
from foundation.tuning.comparing import Comparison, Outcome

ROWS: Any = [{"label": "ab"[n % 2], "text": str(n), "place": None} for n in range(60)]


def placed(row: Mapping[str, Any]) -> bool:
    return bool(row["place"])


def recommended(folder: Path, right: Mapping[str, int], apart: str | None) -> str:
    """right: of 60 rows how many a way tells."""
    tuning = Tuning("", "", ("text", "label", "place"), apart=apart)
    made = Comparison(
        None, tuning, ROWS, folder, folds=2, seed=0, rank=8, recipe={}, deadline=None  # type: ignore[arg-type]
    )  # fmt: skip
    for way, count in right.items():
        told = np.eye(2)[[(n + (n >= count)) % 2 for n in range(60)]]
        for fold in range(2):
            given = told[made.fold == fold]
            np.savez(folder / f"{way}-{fold}.npz", given=given, seconds=1.0, trained=1)
    found = made.compared([Outcome(way, score=count / 60) for way, count in right.items()])
    assert sorted(each.way for each in found) == sorted(right)
    return found[0].way


@pytest.mark.parametrize(
    ("right", "apart", "wanted"),
    [
        ({"head": 50, "lora": 52}, None, "lora"),
        ({"head": 50, "lora": 52}, f"{__name__}:placed", "head"),
        ({"head": 40, "lora": 52}, f"{__name__}:placed", "lora"),
        ({"statistics": 50, "head": 48, "lora": 49}, f"{__name__}:placed", "statistics"),
        ({"statistics": 51, "head": 50, "full": 52}, f"{__name__}:placed", "statistics"),
    ],
)
def test_what_trains_more_must_be_clearly_better_where_neighbours_are_not_known(
    tmp_path: Path, right: Mapping[str, int], apart: str | None, wanted: str
) -> None:
    assert recommended(tmp_path / "folds", right, apart) == wanted

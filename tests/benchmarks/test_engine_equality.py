"""What the comparison of two runs' rows finds."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.engine_equality import compare


def written(folder: Path, **changed: list[Any]) -> Path:
    vectors = pa.array([[1.0, 0.0]] * 4, pa.list_(pa.float32(), 2))
    columns = {"id": [0, 1, 2, 3], "output": list("abcd"), "tpsa": [0.5, None, 2.0, 3.0]}
    folder.mkdir()
    pq.write_table(
        pa.table({**columns, "embedding": vectors, **changed}), folder / "results.parquet"
    )
    return folder


def test_equal_rows_are_told_as_equal(tmp_path: Path) -> None:
    told = compare(written(tmp_path / "a"), written(tmp_path / "b"))
    assert (told["rows"], told["ids"], told["equal"], told["discrete"]) == (4, True, 1.0, 1.0)
    assert told["least_cosine"] == {"embedding": pytest.approx(1.0)}


def test_what_differs_is_told_by_its_kind(tmp_path: Path) -> None:
    one = written(tmp_path / "a")
    turned = pa.array([[1.0, 0.0]] * 3 + [[0.0, 1.0]], pa.list_(pa.float32(), 2))
    told = compare(one, written(tmp_path / "b", output=list("abcx"), tpsa=[0.5, None, 2.25, 3.0]))
    assert (told["equal"], told["discrete"]) == (0.5, 0.75)
    assert told["largest_difference"] == {"tpsa": 0.25}
    told = compare(one, written(tmp_path / "c", embedding=turned))
    assert (told["equal"], told["discrete"]) == (0.75, 1.0)
    assert told["least_cosine"] == {"embedding": 0.0}


def test_other_ids_are_no_equal_rows(tmp_path: Path) -> None:
    told = compare(written(tmp_path / "a"), written(tmp_path / "b", id=[0, 1, 2, 2]))
    assert (told["ids"], told["equal"]) == (False, 0.0)

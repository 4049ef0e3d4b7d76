"""Parts, in any order and overlapping, -> one table by id."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from foundation import join

SCHEMA = pa.schema([("id", pa.int64()), ("key", pa.string())])
KEYS = st.one_of(st.none(), st.sampled_from(["a", "b", "c", "\u00e9", ""]))


def write_part(folder: Path, number: int, ids: list[int], keys: list[str | None]) -> Path:
    path = folder / f"{min(ids):012d}-{max(ids):012d}-{number:08x}.parquet"
    pq.write_table(pa.table({"id": ids, "key": keys}, schema=SCHEMA), path)
    return path


@st.composite
def parts(draw) -> list[list[int]]:
    """Ids in parts: out of order, with holes, and some of them twice."""
    ids = draw(st.lists(st.integers(0, 60), unique=True, max_size=50))
    again = draw(st.lists(st.sampled_from(ids), max_size=10)) if ids else []
    dealt: list[list[int]] = [[] for _ in range(draw(st.integers(1, 6)))]
    for number in [*ids, *again]:
        dealt[draw(st.integers(0, len(dealt) - 1))].append(number)
    return [part for part in dealt if part]


@given(parts())
def test_any_parts_become_sorted_unique_rows(tmp_path_factory, dealt) -> None:
    folder = tmp_path_factory.mktemp("parts")
    paths = [write_part(folder, n, ids, [f"k{i}" for i in ids]) for n, ids in enumerate(dealt)]
    rows = [row for batch in join.ordered(paths, SCHEMA) for row in batch.to_pylist()]
    expected = sorted({number for part in dealt for number in part})
    assert rows == [{"id": number, "key": f"k{number}"} for number in expected]


def test_a_part_is_read_when_it_is_due_and_not_before(tmp_path: Path) -> None:
    paths = [tmp_path / f"{n:012d}-{n:012d}-0.parquet" for n in range(20)]
    rows = join.ordered(paths, SCHEMA)
    for number in range(20):
        write_part(tmp_path, 0, [number], [""]).rename(paths[number])
        assert next(rows)["id"].to_pylist() == [number]


@given(st.lists(KEYS, max_size=80))
def test_unique_marks_the_first_bearer_of_each_key(tmp_path_factory, keys) -> None:
    folder = tmp_path_factory.mktemp("unique")
    table = pa.table({"id": list(range(len(keys))), "key": keys}, schema=SCHEMA)
    join.write(table.to_batches(7), SCHEMA, folder / "results.parquet", "key")
    first: dict[str, int] = {}
    for number, key in enumerate(keys):
        if key is not None:
            first.setdefault(key, number)
    expected = [None if k is None else first[k] == n for n, k in enumerate(keys)]
    assert pq.read_table(folder / "results.parquet")["unique"].to_pylist() == expected
    assert [path.name for path in folder.iterdir()] == ["results.parquet"]


def test_without_a_key_the_table_has_no_such_column(tmp_path: Path) -> None:
    table = pa.table({"id": [0], "key": ["a"]}, schema=SCHEMA)
    join.write(table.to_batches(), SCHEMA, tmp_path / "t.parquet", None)
    assert pq.read_table(tmp_path / "t.parquet").column_names == ["id", "key"]

"""Results as Arrow, there and back."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.results import Result
from foundation.table import arrow_type, schema, storing, to_results, to_table

COLUMNS = {"good": "bool", "weight": "float64", "alerts": "list<string>", "count": "int64"}
TEXT = st.one_of(st.none(), st.text(st.characters(exclude_categories=["Cs"]), max_size=8))
CHECKS = st.fixed_dictionaries(
    {
        "good": st.one_of(st.none(), st.booleans()),
        "weight": st.one_of(st.none(), st.floats(allow_nan=False)),
        "alerts": st.one_of(st.none(), st.lists(st.text("abc"))),
        "count": st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    }
)
RESULT = st.builds(
    Result,
    id=st.integers(0, 2**40),
    input=TEXT,
    output=TEXT,
    valid=st.booleans(),
    reason=TEXT,
    seed=st.integers(0, 2**64 - 1),
    model=st.just("m"),
    revision=TEXT,
    checks=CHECKS,
)


@given(st.lists(RESULT, max_size=5))
def test_results_come_back_as_they_were(results) -> None:
    table = to_table(results, COLUMNS)
    back = [result for batch in table.to_batches() for result in to_results(batch)]
    assert back == results


def test_a_check_that_a_result_lacks_is_null_and_one_unasked_for_is_left_out() -> None:
    table = to_table([Result(0, None, "a", True, checks={"extra": 1, "count": 2})], COLUMNS)
    assert table.to_pylist()[0] | {"count": 2, "good": None} == table.to_pylist()[0]
    assert table.column_names == ["id", "input", "output", "valid", "reason", "seed", "model",
                                  "revision", *COLUMNS]  # fmt: skip


def test_vectors_have_a_fixed_width() -> None:
    columns = {"embedding": "vector<3>"}
    vector = np.array([1, 2, 3], np.float32)
    row = to_table([Result(0, None, None, True, checks={"embedding": vector})], columns)
    assert row["embedding"].to_pylist() == [[1.0, 2.0, 3.0]]
    assert schema(columns).field("embedding").type == pa.list_(pa.float32(), 3)
    with pytest.raises(pa.ArrowInvalid):
        to_table([Result(0, None, None, True, checks={"embedding": vector[:2]})], columns)


def test_nested_types_have_names() -> None:
    assert arrow_type("list<list<int32>>") == pa.list_(pa.list_(pa.int32()))


def test_the_largest_seed_fits() -> None:
    row = to_table([Result(0, None, None, True, seed=2**64 - 1)], {}).to_pylist()[0]
    assert row["seed"] == 2**64 - 1


def test_words_are_stored_by_a_dictionary_and_numbers_of_vectors_as_they_are(tmp_path) -> None:
    columns = {"alerts": "list<string>", "embedding": "vector<4>", "logs": "list<float32>"}
    checks = {"alerts": ["a"], "embedding": np.ones(4, np.float32), "logs": [0.5]}
    rows = to_table([Result(0, "in", "out", True, checks=checks)], columns)
    pq.write_table(rows, tmp_path / "x.parquet", **storing(rows.schema))
    group = pq.ParquetFile(tmp_path / "x.parquet").metadata.row_group(0)
    kept = [group.column(place) for place in range(group.num_columns)]
    dictionary = {c.path_in_schema.split(".")[0]: c.has_dictionary_page for c in kept}
    assert not dictionary["embedding"]
    assert not dictionary["logs"]
    assert dictionary["alerts"]
    assert dictionary["output"]

"""Results as Arrow: the columns every table has, then the domain's own."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foundation.results import Result

if TYPE_CHECKING:
    import pyarrow as pa

COMMON = {
    "id": "int64",
    "input": "string",
    "output": "string",
    "valid": "bool",
    "reason": "string",
    "seed": "uint64",
    "model": "string",
    "revision": "string",
}


def arrow_type(name: str) -> "pa.DataType":
    """An Arrow type from its name; `list<...>` and `vector<width>` (fixed-size float32) too."""
    import pyarrow as pa

    if name.startswith("list<"):
        return pa.list_(arrow_type(name[5:-1]))
    if name.startswith("vector<"):
        return pa.list_(pa.float32(), int(name[7:-1]))
    return pa.type_for_alias(name)


def schema(columns: Mapping[str, str]) -> "pa.Schema":
    """The table's schema: COMMON, then `columns`."""
    import pyarrow as pa

    return pa.schema([(name, arrow_type(kind)) for name, kind in {**COMMON, **columns}.items()])


def storing(schema: "pa.Schema") -> dict[str, Any]:
    """How Parquet keeps a table: packed, and with a dictionary of what may come again.

    The numbers of vectors hardly do; a dictionary of them costs four times the writing and a third
    of the file.
    """
    named = [_leaf(field) for field in schema]
    return {"compression": "zstd", "use_dictionary": [name for name in named if name]}


def _leaf(field: "pa.Field") -> str | None:
    """Where Parquet keeps a column's values; None for the numbers of a list."""
    import pyarrow as pa

    name, kind = field.name, field.type
    while pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        name, kind = f"{name}.list.element", kind.value_type
        if pa.types.is_floating(kind):
            return None
    return str(name)


def to_table(results: Sequence[Result], columns: Mapping[str, str]) -> "pa.Table":
    """Results -> table; a check that a result lacks is null."""
    import pyarrow as pa

    values: dict[str, list[Any]] = {
        name: [getattr(result, name) for result in results] for name in COMMON
    }
    for name in columns:
        values[name] = [result.checks.get(name) for result in results]
    return pa.table(values, schema=schema(columns))


def to_results(rows: "pa.RecordBatch") -> Iterator[Result]:
    """The inverse of `to_table`."""
    for row in rows.to_pylist():
        common = {name: row.pop(name) for name in COMMON}
        yield Result(**common, checks=row)

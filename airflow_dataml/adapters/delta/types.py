"""Column types: what PostgreSQL calls them, and what a Delta table has for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load
from airflow_dataml.core.schemas import normal_type

if TYPE_CHECKING:
    from collections.abc import Sequence

_PLAIN = {
    "boolean": "bool_", "smallint": "int16", "integer": "int32", "bigint": "int64", "real": "float32",
    "double precision": "float64", "date": "date32", "bytea": "binary", "text": "string",
}  # fmt: skip
# Kept as the text PostgreSQL writes and reads; the ledger remembers what they are.
_AS_TEXT = frozenset({
    "character varying", "character", "name", "uuid", "json", "jsonb", "xml", "inet", "cidr", "macaddr",
    "macaddr8", "interval", "time without time zone", "time with time zone", "bit", "bit varying", "citext",
})  # fmt: skip
_TIMES = {"timestamp with time zone": "UTC", "timestamp without time zone": None}
_BACK = {
    "bool": "boolean", "int8": "smallint", "int16": "smallint", "int32": "integer", "int64": "bigint",
    "float": "real", "double": "double precision", "date32[day]": "date", "binary": "bytea",
    "large_binary": "bytea", "string": "text", "large_string": "text", "string_view": "text",
    "binary_view": "bytea",
}  # fmt: skip
_MOST_DIGITS = 38


def arrow_type(column: Column) -> Any:
    """Return the Arrow type a Delta table keeps a column in.

    :raises SpecError: there is none that keeps every value, named with the column.
    """
    pyarrow = load("pyarrow", extra="delta")
    base, sizes, array = normal_type(column.type)
    if not array and base in _PLAIN:
        return getattr(pyarrow, _PLAIN[base])()
    if not array and base in _TIMES:
        return pyarrow.timestamp("us", tz=_TIMES[base])
    if not array and base in _AS_TEXT:
        return pyarrow.string()
    if not array and base == "numeric" and sizes:
        digits, scale = (*sizes, 0)[:2]
        if digits <= _MOST_DIGITS and scale <= digits:
            return pyarrow.decimal128(digits, scale)
    hint = (
        "cast it to numeric(precision, scale) of at most 38 digits, or to double precision"
        if base == "numeric" and not array
        else "cast it to text, or leave it out"
    )
    msg = f"column {column.name!r} is {column.type}, which a Delta table has no place for: {hint}."
    raise SpecError(msg)


def arrow_schema(columns: Sequence[Column]) -> Any:
    """Return the Arrow schema of some columns; every field may be null, as in PostgreSQL."""
    pyarrow = load("pyarrow", extra="delta")
    return pyarrow.schema([pyarrow.field(c.name, arrow_type(c)) for c in columns])


def carried(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return the columns as PostgreSQL shall hand them over: what is kept as text, as text."""
    return tuple(Column(c.name, "text") if normal_type(c.type)[0] in _AS_TEXT else c for c in columns)


def postgres_columns(schema: Any) -> tuple[Column, ...]:
    """Return the Postgres columns of a Delta table's Arrow schema.

    :raises SpecError: a field, such as a struct or a list, has no column type here.
    """
    return tuple(Column(field.name, _postgres_type(field)) for field in schema)


def _postgres_type(field: Any) -> str:
    text = str(field.type)
    if text in _BACK:
        return _BACK[text]
    if text.startswith("timestamp"):
        return "timestamp with time zone" if "tz=" in text else "timestamp without time zone"
    if text.startswith("decimal"):
        return f"numeric({field.type.precision},{field.type.scale})"
    msg = f"column {field.name!r} of the Delta table is {text}, which PostgreSQL has no column type for here."
    raise SpecError(msg)

"""Rows from files, queries, other systems and Arrow into one new table."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load as load_extra
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.stores import Arrow, CsvFile, Query, Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from airflow_dataml.adapters.postgres.warehouse import PostgresWarehouse
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.stores import OnProgress, Source

_BLOCK = 1 << 18
_ARROW = {
    "bool": "boolean", "int8": "smallint", "int16": "smallint", "int32": "integer", "int64": "bigint",
    "uint8": "smallint", "uint16": "integer", "uint32": "bigint", "uint64": "numeric(20,0)",
    "halffloat": "real", "float": "real", "double": "double precision", "string": "text",
    "large_string": "text", "string_view": "text", "date32[day]": "date", "date64[ms]": "date",
    "binary": "bytea", "large_binary": "bytea", "null": "text",
}  # fmt: skip


def load(
    warehouse: PostgresWarehouse,
    relation: Relation,
    source: Source,
    *,
    on_progress: OnProgress,
    defaults: Mapping[str, str] | None = None,
) -> None:
    """Create a table and fill it; in memory there is never more than one block, batch or Arrow batch.

    :param defaults: column -> SQL expression for columns that a file leaves out.
    """
    if isinstance(source, CsvFile):
        filled = _filled(source.columns, source.header, defaults)
        warehouse.create_table(relation, source.columns, filled)
        size = source.path.stat().st_size
        warehouse.copy_rows(
            relation,
            source.header,
            _blocks(source.path),
            on_bytes=lambda done: on_progress(f"read {done >> 20} of {size >> 20} MB of {source.path.name}"),
        )
        warehouse.drop_defaults(relation, filled)
    elif isinstance(source, Query):
        warehouse.bind(source.inputs)
        warehouse.create_from_select(relation, source.sql, source.parameters)
    elif isinstance(source, Rows):
        warehouse.create_table(relation, source.columns)
        names = [c.name for c in source.columns]
        warehouse.copy_batches(relation, names, _counted(source.batches, on_progress))
    else:
        columns = source.columns or arrow_columns(source.reader.schema)
        names = list(source.reader.schema.names)
        filled = _filled(columns, names, defaults)
        warehouse.create_table(relation, columns, filled)
        warehouse.copy_rows(relation, names, _csv_blocks(source, on_progress), on_bytes=lambda _: None)
        warehouse.drop_defaults(relation, filled)


def _filled(
    columns: Sequence[Column], given: Sequence[str], defaults: Mapping[str, str] | None
) -> dict[str, str]:
    """The defaults of declared columns that the rows leave out; so each is of its declared type."""
    absent = {c.name for c in columns} - set(given)
    return {name: sql for name, sql in (defaults or {}).items() if name in absent}


def arrow_columns(schema: Any) -> tuple[Column, ...]:
    """Return the Postgres columns of an Arrow schema.

    :raises SpecError: a field is of a type that has no column type, such as a struct.
    """
    return tuple(Column(field.name, _arrow_type(field)) for field in schema)


def _arrow_type(field: Any) -> str:
    text = str(field.type)
    if text in _ARROW:
        return _ARROW[text]
    if text.startswith("timestamp"):
        return "timestamp with time zone" if "tz=" in text else "timestamp without time zone"
    if text.startswith("decimal"):
        return f"numeric({field.type.precision},{field.type.scale})"
    if text.startswith("dictionary"):
        return _arrow_type(field.with_type(field.type.value_type))
    if text.startswith("time"):
        return "time without time zone"
    msg = f"Arrow column {field.name!r} is {text}, which has no PostgreSQL column type here: cast it, or give the columns."
    raise SpecError(msg)


def _csv_blocks(source: Arrow, on_progress: OnProgress) -> Iterator[bytes]:
    pyarrow = load_extra("pyarrow", extra="delta")
    csv = load_extra("pyarrow.csv", extra="delta")
    batches = source.reader.to_batches() if isinstance(source.reader, pyarrow.Table) else source.reader
    yield (",".join(map(quote_identifier, source.reader.schema.names)) + "\n").encode()
    done = 0
    options = csv.WriteOptions(include_header=False)
    for batch in batches:
        buffer = io.BytesIO()
        csv.write_csv(_plain(pyarrow, batch), buffer, options)
        yield buffer.getvalue()
        done += batch.num_rows
        on_progress(f"read {done} rows")


def _plain(pyarrow: Any, batch: Any) -> Any:
    """Spell the types that Arrow's CSV writer does not know, as PostgreSQL reads them."""
    columns = []
    for column in batch.columns:
        text = str(column.type)
        if text.startswith("dictionary"):
            column = column.dictionary_decode()  # noqa: PLW2901 - the same column, spelled out
        elif "binary" in text:
            spelled = [None if v is None else "\\x" + v.hex() for v in column.to_pylist()]
            column = pyarrow.array(spelled, pyarrow.string())  # noqa: PLW2901
        columns.append(column)
    return pyarrow.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _counted(
    batches: Iterable[Sequence[Sequence[Any]]], on_progress: Callable[[str], None]
) -> Iterator[Sequence[Sequence[Any]]]:
    done = 0
    for batch in batches:
        yield batch
        done += len(batch)
        on_progress(f"read {done} rows")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block

"""Rows of any database Airflow has a hook for, in batches."""

from __future__ import annotations

import datetime as dt
import json
from contextlib import closing, contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.stores import Rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# Numbers PostgreSQL gives its own types; the same in every server.
_POSTGRES = {
    16: "boolean", 17: "bytea", 20: "bigint", 21: "smallint", 23: "integer", 25: "text", 114: "json", 700: "real",
    701: "double precision", 1042: "text", 1043: "text", 1082: "date", 1083: "time without time zone",
    1114: "timestamp without time zone", 1184: "timestamp with time zone", 1186: "interval", 1700: "numeric",
    2950: "uuid", 3802: "jsonb",
}  # fmt: skip
_BATCH = 10_000


@contextmanager
def rows_of(
    hook: Any, query: str, *, columns: Mapping[str, str] | None = None, batch: int = _BATCH
) -> Iterator[Rows]:
    """Yield once: the rows of a query, of which one batch is in memory at a time; then the connection closes.

    :param hook: a hook of common-sql, or any with ``get_conn``. A PostgreSQL server is asked through a
        cursor of its own; other drivers may hold the whole result, as they do for everybody.
    :param columns: PostgreSQL types of columns by name; of others it is what the driver says, else what the
        first value of the first batch looks like.
    :raises SpecError: the query returns no columns, or ``columns`` names one it does not return.
    """
    with closing(hook.get_conn()) as connection:
        with closing(_cursor(connection)) as cursor:
            cursor.execute(query)
            first = cursor.fetchmany(batch)
            if not cursor.description:
                msg = f"the query returned no columns: write a SELECT. It was {query!r}."
                raise SpecError(msg)
            found = _columns(cursor.description, first, columns or {})
            yield Rows(found, _batches(cursor, first, batch, [_spelling(c.type) for c in found]))
        # Nothing was written, and no transaction shall linger in a pool.
        connection.rollback()


def _cursor(connection: Any) -> Any:
    """A cursor that stays on the server, where the driver has such."""
    if type(connection).__module__.partition(".")[0] in ("psycopg", "psycopg2"):
        return connection.cursor(name="dataml_rows")
    return connection.cursor()


def _columns(
    description: Sequence[Sequence[Any]], first: Sequence[Sequence[Any]], given: Mapping[str, str]
) -> tuple[Column, ...]:
    names = [entry[0] for entry in description]
    if unknown := sorted(set(given) - set(names)):
        msg = f"columns {unknown} are not in the query's result: it has {', '.join(names)}."
        raise SpecError(msg)
    return tuple(
        Column(
            entry[0], given.get(entry[0]) or _POSTGRES.get(entry[1]) or _looks_like(row[i] for row in first)
        )
        for i, entry in enumerate(description)
    )


def _looks_like(values: Iterator[Any]) -> str:
    """The PostgreSQL type of the first value that is not null.

    >>> _looks_like(iter([None, 3])), _looks_like(iter([])), _looks_like(iter([True]))
    ('bigint', 'text', 'boolean')
    """
    value = next((v for v in values if v is not None), None)
    if isinstance(value, dt.datetime):
        return f"timestamp with{'' if value.tzinfo else 'out'} time zone"
    kinds: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "boolean"),
        (int, "bigint"),
        (float, "double precision"),
        (Decimal, "numeric"),
        (dt.date, "date"),
        (dt.time, "time without time zone"),
        (dt.timedelta, "interval"),
        ((bytes, bytearray, memoryview), "bytea"),
        ((dict, list), "jsonb"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "text")


def _spelling(type_: str) -> Callable[[Any], Any]:
    """How a driver's value is handed to PostgreSQL for a column of a type."""
    if type_ in ("json", "jsonb"):
        return lambda value: value if value is None or isinstance(value, str) else json.dumps(value)
    if type_ == "bytea":
        return lambda value: None if value is None else bytes(value)
    if type_ == "text":
        return lambda value: value if value is None or isinstance(value, str) else str(value)
    return lambda value: json.dumps(value) if isinstance(value, dict) else value


def _batches(
    cursor: Any, first: Sequence[Sequence[Any]], batch: int, spellings: Sequence[Callable[[Any], Any]]
) -> Iterator[Sequence[Sequence[Any]]]:
    rows = first
    while rows:
        yield [[spell(value) for spell, value in zip(spellings, row, strict=True)] for row in rows]
        rows = cursor.fetchmany(batch)

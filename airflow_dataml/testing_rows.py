"""Rows in memory as PostgreSQL would have them: typed values, their fingerprint and their profile."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column, Fingerprint
from airflow_dataml.core.errors import GateError, SpecError
from airflow_dataml.core.schemas import normal_type
from airflow_dataml.core.stores import Arrow, CsvFile, Query

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from airflow_dataml.core.stores import Source

Row = tuple[Any, ...]
_MODULUS = 1 << 64
_TOP = 256
_CELL = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|\Z)')
_DIGITS = Context(prec=1000)
_TRUE, _FALSE = ("t", "true", "yes", "on", "1"), ("f", "false", "no", "off", "0")


def rows_of(source: Source) -> tuple[tuple[Column, ...], list[Row]]:
    """Return the columns and rows of a source, every value of its column's type.

    :raises SpecError: it is a query, or Arrow without columns.
    :raises GateError: a value is not of its column's type.
    """
    if isinstance(source, Query) or (isinstance(source, Arrow) and source.columns is None):
        msg = "a store in memory takes rows, CSV files and Arrow with its columns named: it knows no SQL and no types of Arrow's."
        raise SpecError(msg)
    columns = tuple(source.columns or ())
    if isinstance(source, CsvFile):
        order = [source.header.index(c.name) if c.name in source.header else None for c in columns]
        found: Iterator[Sequence[Any]] = (
            [None if at is None else cells[at] for at in order] for cells in _csv(source.path)
        )
    elif isinstance(source, Arrow):
        batches = source.reader.to_batches() if hasattr(source.reader, "to_batches") else source.reader
        found = ([row.get(c.name) for c in columns] for batch in batches for row in batch.to_pylist())
    else:
        found = (row for batch in source.batches for row in batch)
    return columns, [tuple(value_of(c, v) for c, v in zip(columns, row, strict=True)) for row in found]


def value_of(column: Column, value: Any) -> Any:
    """Return a value, or the text of one, as its column has it.

    >>> value_of(Column("at", "timestamptz"), "2013-01-01 12:00:00+02")
    datetime.datetime(2013, 1, 1, 10, 0, tzinfo=datetime.timezone.utc)
    >>> value_of(Column("fare", "numeric(6,2)"), "3")
    Decimal('3.00')

    :raises GateError: it is not of that type.
    """
    if value is None:
        return None
    base, sizes, _ = normal_type(column.type)
    try:
        return _CASTS.get(base, lambda v, _: str(v))(value, sizes)
    except (ValueError, InvalidOperation) as err:
        msg = f"column {column.name!r}: invalid input syntax for type {base}: {value!r}"
        raise GateError(msg) from err


def fingerprint(columns: Sequence[Column], rows: Sequence[Row]) -> Fingerprint:
    """Return the fingerprint of some rows by the algorithm ``py1``: a digest of each row's values that are not null.

    Neither the order of rows nor that of columns matters, nor a column that is null throughout.

    >>> one, other = (Column("a", "integer"),), (Column("b", "text"), Column("a", "bigint"))
    >>> fingerprint(one, [(1,)]) == fingerprint(other, [(None, 1)])
    True
    """
    xor = total = 0
    for row in rows:
        said = sorted((c.name, canonical(v)) for c, v in zip(columns, row, strict=True) if v is not None)
        digest = hashlib.blake2b(repr(said).encode(errors="surrogatepass"), digest_size=8).digest()
        number = int.from_bytes(digest, "big")
        xor, total = xor ^ number, (total + number) % _MODULUS
    return Fingerprint(len(rows), xor, total, "py1")


def canonical(value: Any) -> Any:
    """Return one word for all spellings of a value: equal values have equal ones, also where NaN equals itself."""
    if isinstance(value, float):
        return "nan" if value != value else repr(value + 0.0)  # noqa: PLR0124 - only NaN differs from itself
    if isinstance(value, Decimal):
        return str(_DIGITS.plus(_DIGITS.normalize(value)))
    if isinstance(value, datetime):
        return value.isoformat()
    return value if isinstance(value, bool | int | str) else repr(value)


def profile(columns: Sequence[Column], rows: Sequence[Row]) -> dict[str, Any]:
    """Return counts, spans and top values; there are no histograms."""
    described = {c.name: _described(c, [row[at] for row in rows]) for at, c in enumerate(columns)}
    return {"rows": len(rows), "columns": described}


def _described(column: Column, values: list[Any]) -> dict[str, Any]:
    there = [v for v in values if v is not None]
    facts: dict[str, Any] = {"type": column.type, "nulls": len(values) - len(there)}
    if column.numeric:
        numbers = [float(v) for v in there if abs(float(v)) <= 1e130]
        return facts | {
            "nulls": len(values) - len(numbers),
            "min": min(numbers, default=None),
            "max": max(numbers, default=None),
            "sum": sum(numbers),
            "squares": sum(n * n for n in numbers),
            "grid": None,
            "cells": [],
        }
    counts = Counter(str(v)[:200] for v in there)
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_TOP]
    other = len(there) - sum(n for _, n in top)
    return facts | {"distinct": len(counts), "values": [[v, n] for v, n in top], "other": other}


def _csv(path: Path) -> Iterator[list[str | None]]:
    """Yield the rows of a CSV file after its header; an empty field is null unless it is quoted."""
    text = path.read_text(encoding="utf-8-sig")
    at, row, first = 0, [], True
    while at < len(text):
        found = _CELL.match(text, at)
        if found is None:
            msg = f"{path} is not CSV at character {at}."
            raise GateError(msg)
        quoted, plain, end = found.groups()
        row.append(quoted.replace('""', '"') if quoted is not None else plain or None)
        at = found.end()
        if end != ",":
            if not first:
                yield row
            row, first = [], False


def _boolean(value: Any, _: tuple[int, ...]) -> bool:
    text = str(value).lower()
    if text not in (*_TRUE, *_FALSE):
        raise ValueError(text)
    return text in _TRUE


def _decimal(value: Any, sizes: tuple[int, ...]) -> Decimal:
    number = Decimal(str(value))
    if not sizes or not number.is_finite():
        return number
    return number.quantize(Decimal(1).scaleb(-(*sizes, 0)[1]), context=_DIGITS)


def _moment(value: Any, _: tuple[int, ...]) -> datetime:
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _local(value: Any, _: tuple[int, ...]) -> datetime:
    return (value if isinstance(value, datetime) else datetime.fromisoformat(str(value))).replace(tzinfo=None)


def _binary(value: Any, _: tuple[int, ...]) -> bytes:
    return bytes.fromhex(value.removeprefix("\\x")) if isinstance(value, str) else bytes(value)


_CASTS: dict[str, Any] = {
    **dict.fromkeys(("smallint", "integer", "bigint"), lambda v, _: int(v)),
    **dict.fromkeys(("real", "double precision"), lambda v, _: float(v)),
    "numeric": _decimal,
    "boolean": _boolean,
    "date": lambda v, _: v if isinstance(v, date) else date.fromisoformat(str(v)),
    "timestamp with time zone": _moment,
    "timestamp without time zone": _local,
    "bytea": _binary,
}

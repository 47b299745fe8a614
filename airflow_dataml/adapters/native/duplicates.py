"""Distinct keys of a growing table: those that were counted before, and the new ones among the new rows.

A new segment is compared with those old ones whose range of keys meets its own. Where the ranges of all
are apart, as with rising numbers or times, the new rows alone are read. Otherwise every old segment it
may share a key with needs an ordered index that begins with the key, and there the new keys are looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_dataml.adapters.native import statements
from airflow_dataml.adapters.native.conditions import both
from airflow_dataml.adapters.native.metrics import ROWS, Metric
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.native.catalog import Table
    from airflow_dataml.adapters.native.metrics import Kind
    from airflow_dataml.adapters.native.reader import Reader
    from airflow_dataml.core.segments import Segment

_RANGED = frozenset({
    "smallint", "integer", "bigint", "numeric", "date", "timestamp with time zone", "timestamp without time zone",
})  # fmt: skip
_ENDS: tuple[Kind, Kind] = ("min", "max")
# A lookup in an index costs as much as sorting about this many rows.
_LOOKUP_ROWS = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """A segment as it is read: SQL with the columns of the whole, and its catalog entry."""

    source: str
    table: Table


def range_metrics(metric: Metric, table: Table) -> dict[str, tuple[Metric, Metric, Metric]]:
    """Return what bounds a key: least, greatest and the NULLs of each column that has an order worth keeping."""
    found = {}
    for name in metric.columns:
        if _kind(table, name) in _RANGED:
            value = quote_identifier(name)
            nulls = Metric("count", condition=both(metric.condition, f"{value} IS NULL"))
            low, high = (Metric(kind, value, metric.condition) for kind in _ENDS)
            found[name] = low, high, nulls
    return found


def worth_probing(*, met: Sequence[Segment], new: Sequence[Segment], rows: int) -> bool:
    """Whether looking every new key up in the old segments it may be in is cheaper than counting all rows."""
    return sum(map(rows_of, new)) * len(met) * _LOOKUP_ROWS <= rows


def rows_of(segment: Segment) -> int:
    """Return how many rows a measured segment has."""
    return int((segment.state or {})["values"][ROWS.key])


def added(
    reader: Reader,
    metric: Metric,
    *,
    met: Sequence[Piece],
    new: Sequence[Piece],
    where: str | None,
    whole: Table,
) -> int | None:
    """Return how many distinct keys new segments add; ``None`` where that can only be told by counting anew.

    :param met: the old segments that may hold a key of the new ones.
    """
    if any(not _indexed(piece.table, metric, whole) for piece in met):
        return None
    if not metric.argument and not all(statements.alike(name, whole) for name in metric.columns):
        return None
    names = ", ".join(map(quote_identifier, metric.columns))
    condition = both(where, metric.condition)
    rows = " UNION ALL ".join(f"SELECT {names} FROM {piece.source}{_where(condition)}" for piece in new)
    if met and len(metric.columns) > 1 and _holds_null(reader, metric, rows):
        return None
    query = f'SELECT count(*) FROM (SELECT DISTINCT {names} FROM ({rows}) AS "dataml rows") AS "dataml new"'
    absent = [_absent(piece, metric, condition) for piece in met]
    # Knowing too little about the new rows, it would read all old ones.
    with reader.planning_without("hashjoin", "mergejoin"):
        return int(reader.rows(query + _where(both(*absent)))[0][0])


def _absent(piece: Piece, metric: Metric, condition: str | None) -> str:
    columns = [quote_identifier(name) for name in metric.columns]
    old = f'(SELECT {", ".join(columns)} FROM {piece.source}{_where(condition)}) AS "dataml old"'
    equal = " AND ".join(f'"dataml old".{name} = "dataml new".{name}' for name in columns)
    return f"NOT EXISTS (SELECT 1 FROM {old} WHERE {equal})"


def _indexed(table: Table, metric: Metric, whole: Table) -> bool:
    wanted = set(metric.columns)
    same = all(_full(table, name) == _full(whole, name) is not None for name in wanted)
    return same and any(
        index.ordered and set(index.columns[: len(wanted)]) == wanted for index in table.indexes
    )


def _holds_null(reader: Reader, metric: Metric, rows: str) -> bool:
    anyone = " OR ".join(f"{quote_identifier(name)} IS NULL" for name in metric.columns)
    return bool(reader.rows(f'SELECT EXISTS (SELECT 1 FROM ({rows}) AS "dataml rows" WHERE {anyone})')[0][0])


def _kind(table: Table, name: str) -> str | None:
    column = table.column(name)
    return column.kind if column is not None else None


def _full(table: Table, name: str) -> str | None:
    column = table.column(name)
    return column.full if column is not None else None


def _where(condition: str | None) -> str:
    return f" WHERE {condition}" if condition else ""

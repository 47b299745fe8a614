"""The SQL that measures metrics: many in one scan, or one on its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.native.conditions import both, unreferenced
from airflow_dataml.adapters.native.metrics import ROWS
from airflow_dataml.adapters.native.values import plain
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.adapters.native.catalog import Table
    from airflow_dataml.adapters.native.metrics import Metric
    from airflow_dataml.adapters.native.values import Value

_FUNCTIONS = {"sum": "sum", "min": "min", "max": "max", "newest": "max"}
# Grouping pays where a regular expression would meet the same few texts millions of times.
_MOST_GROUPS = 5_000
_FEWEST_ROWS_PER_GROUP = 100
_FEWEST_ROWS = 100_000
_TEXTS = ("text", "character varying")
# Types whose values are equal exactly where their texts are.
_ALIKE = frozenset({
    "smallint", "integer", "bigint", "boolean", "date", "uuid",
    "timestamp with time zone", "timestamp without time zone",
})  # fmt: skip
# Types that PostgreSQL sorts as the machine's own numbers.
_QUICK = frozenset({
    "smallint", "integer", "bigint", "date", "timestamp with time zone", "timestamp without time zone",
})  # fmt: skip


def scan(metrics: Sequence[Metric], source: str, where: str | None, groups: Sequence[str] = ()) -> str:
    """Return one statement that measures metrics in one pass, and counts the rows before all else.

    :param groups: columns to group by first; conditions on one of them are then tested once per value.
    """
    if not groups:
        cells = [cell for metric in metrics for cell in _cells(metric, _aggregate(metric))]
        return f"SELECT {', '.join(['count(*)', *cells])} FROM {source}{_where(where)}"
    names = ", ".join(map(quote_identifier, groups))
    inner, outer = ['count(*) AS "dataml n"'], ['coalesce(sum("dataml n"), 0)::bigint']
    for index, metric in enumerate(metrics):
        if grouped(metric, groups):
            outer.append(f'coalesce(sum("dataml n"){_filter(metric.condition)}, 0)::bigint')
            continue
        inner.append(f'{_aggregate(metric)} AS "dataml {index}"')
        outer += _cells(metric, _again(metric, f'"dataml {index}"'))
    return (
        f"SELECT {', '.join(outer)} FROM (SELECT {names}, {', '.join(inner)} "
        f'FROM {source}{_where(where)} GROUP BY {names}) AS "dataml groups"'
    )


def unpack(metrics: Sequence[Metric], row: Sequence[Any]) -> dict[str, Value]:
    """Return the values in the one row a scan gives."""
    cells = iter(row)
    values: dict[str, Value] = {ROWS.key: int(next(cells))}
    for metric in metrics:
        value = next(cells)
        values[metric.key] = int(value or 0) if metric.kind == "count" else _read(value, next(cells))
    return values


def grouped(metric: Metric, groups: Sequence[str]) -> bool:
    """Whether a metric can be told from the values of some columns and how often each occurs."""
    return metric.kind == "count" and bool(metric.columns) and set(metric.columns) <= set(groups)


def choose_groups(metrics: Iterable[Metric], table: Table) -> tuple[str, ...]:
    """Choose the columns to group by; none where statistics are missing or say that it costs more.

    A wrong guess costs time alone: the statement is right for any number of groups.
    """
    found = list(metrics)
    if table.rows < _FEWEST_ROWS or any(metric.kind == "raw" for metric in found):
        return ()
    wanted = {name for metric in found if metric.costly for name in metric.columns}
    usable = sorted(
        (table.groups[column.name], column.name)
        for column in table.columns
        if column.name in wanted & table.groups.keys() and column.kind in _TEXTS and column.deterministic
    )
    chosen: list[str] = []
    product = 1
    for count, name in usable:
        product *= count + 1
        if product > min(_MOST_GROUPS, table.rows / _FEWEST_ROWS_PER_GROUP):
            break
        chosen.append(name)
    return tuple(chosen)


def alone(metric: Metric, source: str, where: str | None, table: Table) -> str:
    """Return the statement of a metric that no other can share a pass with."""
    condition = both(where, metric.condition)
    if metric.kind == "reference" and metric.reference is not None:
        relation, column = metric.reference
        condition = both(condition, unreferenced(metric.argument, column, relation))
        return f"SELECT count(*) FROM {source}{_where(condition)}"
    if metric.kind == "distinct" and not metric.argument:
        keys = ", ".join(row_key(name, table) for name in metric.columns)
        return (
            f'SELECT count(*) FROM (SELECT DISTINCT {keys} FROM {source}{_where(condition)}) AS "dataml rows"'
        )
    if metric.kind == "distinct":
        return f"SELECT count(DISTINCT {_bytewise(metric, table)}) FROM {source}{_where(condition)}"
    query = metric.argument.strip().rstrip(";")
    if metric.kind == "rows":
        return f'SELECT count(*) FROM (\n{query}\n) AS "dataml query"'
    return f'SELECT * FROM (\n{query}\n) AS "dataml query" LIMIT 1'


def sorts_well(metric: Metric, table: Table) -> bool:
    """Whether a metric's argument is a column of numbers that sort faster than they are looked up in memory."""
    return any(
        quote_identifier(column.name) == metric.argument and column.kind in _QUICK for column in table.columns
    )


def row_key(name: str, table: Table) -> str:
    """Return the SQL by which rows are told apart in a column: what its value looks like, as Soda has it."""
    quoted, column = quote_identifier(name), table.column(name)
    if column is None or column.kind in _ALIKE:
        return quoted
    return f'{quoted}::text COLLATE "C"'


def alike(name: str, table: Table) -> bool:
    """Whether a column's values are equal exactly where they look alike."""
    column = table.column(name)
    return column is not None and (column.kind in _ALIKE or (column.kind in _TEXTS and column.deterministic))


def _bytewise(metric: Metric, table: Table) -> str:
    """Sort texts by their bytes, which is several times cheaper, where that tells the same ones apart."""
    column = table.column(metric.columns[0]) if metric.columns else None
    if column is not None and column.kind in _TEXTS and column.deterministic:
        return f'{metric.argument} COLLATE "C"'
    return metric.argument


def _aggregate(metric: Metric) -> str:
    if metric.kind == "raw":
        return metric.argument
    if metric.kind == "count":
        return f"count(*){_filter(metric.condition)}"
    return f"{_FUNCTIONS[metric.kind]}({metric.argument}){_filter(metric.condition)}"


def _again(metric: Metric, name: str) -> str:
    """The aggregate of a group's aggregates."""
    if metric.kind == "count":
        return f"coalesce(sum({name}), 0)::bigint"
    return f"{_FUNCTIONS[metric.kind]}({name})"


def _cells(metric: Metric, sql: str) -> list[str]:
    return [sql] if metric.kind == "count" else [f"({sql})::text", f"pg_typeof({sql})::text"]


def _read(text: Any, kind: Any) -> Value:
    return plain(str(kind), None if text is None else str(text))


def _filter(condition: str | None) -> str:
    return f" FILTER (WHERE {condition})" if condition else ""


def _where(condition: str | None) -> str:
    return f" WHERE {condition}" if condition else ""

"""Columns in expressions, and the names of output columns that nobody named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlglot import exp

from airflow_dataml.core.column_flows import NOTHING, Flows, merged, through

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.adapters.sqlglot.clock import Clock
    from airflow_dataml.adapters.sqlglot.names import Names
    from airflow_dataml.adapters.sqlglot.scopes import Scope
    from airflow_dataml.core.column_flows import Output
    from airflow_dataml.core.column_lineage import Via

_AGGREGATES_IN_ORDER = (exp.GroupConcat, exp.ArrayAgg)
_QUERIES = (exp.Query, exp.Values)
# Parts of an expression, and whether they give or decide.
_PARTS: tuple[tuple[Any, tuple[tuple[str, Via], ...]], ...] = (
    (exp.Case, (("this", "condition"), ("ifs", "value"), ("default", "value"))),
    (exp.If, (("this", "condition"), ("true", "value"), ("false", "value"))),
    (exp.Filter, (("this", "value"), ("expression", "condition"))),
    (exp.Order, (("this", "value"), ("expressions", "sort"))),
    (exp.Cast, (("this", "value"),)),
)
_WRAPPERS = (
    exp.Subquery, exp.Window, exp.Filter, exp.WithinGroup, exp.Paren, exp.Bracket, exp.Distinct,
)  # fmt: skip


class Expressions:
    """Reads expressions; the queries in them are read by ``subquery``."""

    def __init__(self, names: Names, clock: Clock, subquery: Callable[[exp.Expr, Scope], Output]) -> None:
        self._names = names
        self._clock = clock
        self._subquery = subquery

    def flows(self, node: exp.Expr | None, scope: Scope, via: Via = "value") -> Flows:
        """Return every column of an expression, and what it is there for.

        :raises Unresolved: a name has no known origin.
        """
        found: set[Any] = set()
        stack: list[tuple[exp.Expr, Via]] = [] if node is None else [(node, via)]
        while stack:
            here, how = stack.pop()
            self._clock.tick()
            if isinstance(here, exp.Column):
                found |= through(self.column(here, scope), how)
            elif isinstance(here, _QUERIES):
                inner = self._subquery(here, scope)
                found |= through(merged(inner.columns) | inner.rows, how)
            elif isinstance(here, exp.Exists) and isinstance(here.this, _QUERIES):
                found |= through(self._subquery(here.this, scope).rows, how)
            else:
                stack.extend(self._parts(here, scope, how))
        return frozenset(found)

    def column(self, column: exp.Column, scope: Scope) -> Flows:
        """Return what a column is made from."""
        table = column.args.get("table")
        if isinstance(column.this, exp.Star):
            item = scope.item(self._names.fold(table)) if table else None
            return item.whole() if item else NOTHING
        name = self._names.fold(column.this)
        quoted = bool(column.this.args.get("quoted"))
        if table:
            return scope.qualified(self._names.fold(table), name, quoted=quoted)
        return scope.column(name, quoted=quoted)

    def _parts(self, node: exp.Expr, scope: Scope, via: Via) -> list[tuple[exp.Expr, Via]]:
        """Return the parts of an expression, and what each is there for."""
        if isinstance(node, exp.Window):
            return _pairs(via, (node.this, "value"), (self._window(node, scope), "window"))
        for class_, parts in _PARTS:
            if isinstance(node, class_) and node.this is not None:
                return _pairs(via, *((_arg(node, name), how) for name, how in parts))
        if isinstance(node, exp.WithinGroup):
            order: Via = "sort" if isinstance(node.this, _AGGREGATES_IN_ORDER) else "value"
            return _pairs(via, (node.this, "value"), (node.expression, order))
        if isinstance(node, exp.Case):
            return _pairs(via, (node.args["ifs"], "value"), (node.args.get("default"), "value"))
        if isinstance(node, exp.Lambda):
            return []
        return [(child, via) for child in node.iter_expressions()]

    def _window(self, window: exp.Window, scope: Scope) -> list[exp.Expr]:
        args = window.args
        own = [*(args.get("partition_by") or ()), args.get("order"), args.get("spec")]
        named = args.get("alias")
        base = scope.windows.get(self._names.fold(named)) if named is not None else None
        inherited = self._window(base, scope) if isinstance(base, exp.Window) and base is not window else []
        return [*inherited, *(part for part in own if isinstance(part, exp.Expr))]


def _pairs(outer: Via, *parts: tuple[Any, Via]) -> list[tuple[exp.Expr, Via]]:
    found: list[tuple[exp.Expr, Via]] = []
    for part, inner in parts:
        how = inner if outer == "value" else outer
        nodes = part if isinstance(part, list) else [part]
        found += [(node, how) for node in nodes if isinstance(node, exp.Expr)]
    return found


def _arg(node: exp.Expr, name: str) -> Any:
    return node.args.get(name)


def named(node: exp.Expr, names: Names) -> str:
    """Return the name an output column has, also where nobody gave it one: the function's, the cast column's.

    Like PostgreSQL's ``FigureColname``.
    """
    return _figured(node, names)[0] or "?column?"


def _figured(node: exp.Expr, names: Names) -> tuple[str, int]:
    """Name and how good it is: 2 is a name of the statement's, 1 what its kind is called."""
    found = ("", 0)
    if isinstance(node, exp.Alias):
        found = names.fold(node.args["alias"]), 2
    elif isinstance(node, exp.Column):
        found = names.fold(node.this), 2
    elif isinstance(node, exp.Dot):
        found = (names.fold(node.expression), 2) if isinstance(node.expression, exp.Identifier) else found
    elif isinstance(node, _WRAPPERS):
        found = _figured(node.this, names) if isinstance(node.this, exp.Expr) else found
    elif isinstance(node, exp.Query):
        found = (_figured(node.selects[0], names)[0], 2) if node.selects else found
    elif isinstance(node, exp.Case):
        default = node.args.get("default")
        found = _figured(default, names) if default is not None else found
        found = found if found[1] > 1 else ("case", 1)
    elif isinstance(node, exp.Cast):
        found = _figured(node.this, names)
        found = found if found[1] > 0 else (_type_name(node.args["to"]), 1)
    else:
        found = _kind_name(node)
    return found


def _kind_name(node: exp.Expr) -> tuple[str, int]:
    if isinstance(node, exp.Anonymous):
        return str(node.name).lower(), 2
    if isinstance(node, exp.Exists):
        return "exists", 2
    if isinstance(node, exp.Array):
        return "array", 2
    if isinstance(node, exp.Func) and not isinstance(node, exp.Connector | exp.Binary):
        return _FUNCTIONS.get(type(node).__name__, node.sql_name().lower()), 2
    return "", 0


def _type_name(kind: exp.Expr) -> str:
    return (
        _TYPES.get(str(kind.this.value).lower() if isinstance(kind, exp.DataType) else "", "")
        or kind.sql("postgres").lower()
    )


_FUNCTIONS = {
    "StdDev": "stddev", "StddevSamp": "stddev_samp", "GroupConcat": "string_agg", "CurrentDate": "current_date",
    "Substring": "substring", "LogicalAnd": "bool_and", "LogicalOr": "bool_or", "TimestampTrunc": "date_trunc",
    "DateTrunc": "date_trunc", "Pow": "power", "StrPosition": "position", "Ceil": "ceil", "Variance": "var_samp",
    "Length": "length", "CountIf": "count_if", "Extract": "extract", "Concat": "concat", "Round": "round",
    "CurrentTimestamp": "now", "TimestampFromParts": "make_timestamp", "Trim": "btrim", "Greatest": "greatest",
    "Rand": "random", "ToChar": "to_char", "SplitPart": "split_part", "RegexpReplace": "regexp_replace",
}  # fmt: skip
_TYPES = {
    "date": "date", "int": "int4", "bigint": "int8", "smallint": "int2", "decimal": "numeric", "double": "float8",
    "float": "float4", "text": "text", "varchar": "varchar", "char": "bpchar", "boolean": "bool",
    "timestamp": "timestamp", "timestamptz": "timestamptz", "interval": "interval", "json": "json",
    "jsonb": "jsonb", "uuid": "uuid",
}  # fmt: skip

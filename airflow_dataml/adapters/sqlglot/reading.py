"""A text into statements, each read by columns, or else by tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import SqlglotError
from sqlglot.tokenizer_core import TokenType

from airflow_dataml.adapters.sqlglot.clock import OutOfTime, bounded_parser
from airflow_dataml.adapters.sqlglot.names import Unresolved
from airflow_dataml.adapters.sqlglot.statements import lineage_of
from airflow_dataml.adapters.sqlglot.tables import tables_in_text, tables_of
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.tokenizer_core import Token

    from airflow_dataml.adapters.sqlglot.clock import Clock
    from airflow_dataml.adapters.sqlglot.names import Names
    from airflow_dataml.core.column_lineage import QueryLineage

# Besides its own error the parser breaks off with these on trees it did not foresee.
_ODD = (
    SqlglotError,
    RecursionError,
    AttributeError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AssertionError,
)


def check_dialect(dialect: str) -> None:
    """Refuse a dialect that sqlglot does not have.

    :raises SpecError: there is none of that name.
    """
    if dialect and Dialect.get(dialect) is None:
        known = ", ".join(sorted(name for name in Dialect.classes if name))
        msg = f"SQL dialect {dialect!r} is not known: use one of {known}."
        raise SpecError(msg)


def read_statements(sql: str, *, dialect: str, names: Names, clock: Clock) -> tuple[QueryLineage | None, ...]:
    """Return the lineage of every statement of a text."""
    try:
        tokens = Dialect.get_or_raise(dialect or None).tokenize(sql)
    except _ODD as err:
        return (tables_in_text(sql, names, _said(err)),)
    found: list[QueryLineage | None] = []
    for chunk in _chunks(tokens):
        found += _read(chunk, sql, dialect=dialect, names=names, clock=clock)
    return tuple(found)


def _read(
    tokens: list[Token], sql: str, *, dialect: str, names: Names, clock: Clock
) -> list[QueryLineage | None]:
    text = sql[tokens[0].start : tokens[-1].end + 1]
    try:
        node = _parsed(tokens, sql, dialect, clock)
    except (*_ODD, OutOfTime) as err:
        return [tables_in_text(text, names, _said(err))]
    if node is None:
        return [tables_in_text(text, names, "the statement is not understood")]
    try:
        return lineage_of(node, names=names, clock=clock)
    except (*_ODD, Unresolved, OutOfTime) as err:
        return [tables_of(node, names, _said(err))]


def _parsed(tokens: list[Token], sql: str, dialect: str, clock: Clock) -> exp.Expr | None:
    from sqlglot import exp

    trees = bounded_parser(dialect, clock).parse(tokens, sql)
    node = trees[0] if len(trees) == 1 else None
    return None if isinstance(node, exp.Command) and str(node.this).upper() not in _MOVING_NOTHING else node


_MOVING_NOTHING = frozenset({
    "SET", "SHOW", "GRANT", "REVOKE", "BEGIN", "COMMIT", "ROLLBACK", "ANALYZE", "VACUUM", "EXPLAIN",
    "CALL", "DO", "ALTER", "DROP", "COMMENT", "USE", "LOCK", "LISTEN", "NOTIFY", "RESET", "DISCARD",
    "DECLARE", "FETCH", "CLOSE", "PREPARE", "DEALLOCATE", "REINDEX", "CLUSTER", "REFRESH", "SECURITY",
})  # fmt: skip


def _chunks(tokens: list[Token]) -> list[list[Token]]:
    chunks: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            chunks.append([])
        else:
            chunks[-1].append(token)
    return [chunk for chunk in chunks if chunk]


def _said(err: BaseException) -> str:
    if isinstance(err, OutOfTime):
        return "reading it takes too long"
    if isinstance(err, RecursionError):
        return "it is nested too deeply"
    text = str(err).split("\n")[0].strip() or type(err).__name__
    return text[:200]

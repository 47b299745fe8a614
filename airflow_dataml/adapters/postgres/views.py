"""Views over parts: what readers query, switched without making them wait."""

from __future__ import annotations

import itertools
import logging
import random
import time
from typing import TYPE_CHECKING

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import LedgerError, SpecError
from airflow_dataml.core.refs import quote_identifier
from airflow_dataml.core.schemas import normal_type

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Part
    from airflow_dataml.core.refs import Relation

log = logging.getLogger(__name__)
# Whoever waits for a view makes every reader behind it wait too, so each wait is short and there are many;
# all of them are below the second after which PostgreSQL looks for deadlocks.
_FIRST_WAIT_MS, _LONGEST_WAIT_MS = 40, 500
_DEADLINE_S = 120.0
# Any part may have tens of thousands of siblings; PostgreSQL's own limit on nesting is far beyond.
_GUARD = "dataml.published('{xid}'::xid8, {cluster}::bigint)"
_COLUMNS = """
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""


def columns_of(db: Connection, relation: Relation) -> tuple[Column, ...]:
    """Return a relation's columns; empty when it is not there."""
    return tuple(Column(**row) for row in db.rows(_COLUMNS, [relation.quoted]))


def union_sql(parts: Sequence[Part], columns: Sequence[str | Column]) -> str:
    """SQL that reads these parts as one, each cast to the wanted schema; a column a part lacks is null.

    :param columns: with types; a bare name takes its type from the newest part that has it.
    """
    wanted = [_typed(parts, column) for column in columns]
    if not parts:
        fields = ", ".join(f"NULL::{c.type} AS {quote_identifier(c.name)}" for c in wanted)
        return f"SELECT {fields} WHERE false"
    return " UNION ALL ".join(_select(part, wanted) for part in parts)


def point_view(
    db: Connection, view: Relation, columns: Sequence[Column], parts: Sequence[Part], *, ours: bool
) -> None:
    """Make a view show exactly these parts; the lock it takes is held until the transaction ends.

    The lock is asked for in short waits, because a waiting switch makes new readers wait behind it.

    :param ours: whether an existing view of that name is one we made and may replace.
    :raises SpecError: the name belongs to a table, or to a view that somebody else made.
    :raises LedgerError: readers kept the view busy all the time; a retry may find it free.
    """
    from airflow_dataml.adapters.postgres.layout import remember_view, restore_view, view_options
    from airflow_dataml.adapters.postgres.view_state import lock_views

    kind = db.scalar("SELECT relkind FROM pg_class WHERE oid = to_regclass(%s)", [view.quoted])
    if kind is not None and not (kind == "v" and ours):
        what = "a view that was not published from here" if kind == "v" else "a table of its own"
        msg = f"{view} is {what} and would be replaced: choose another name, or move it away first."
        raise SpecError(msg)
    if db.scalar("SELECT to_regnamespace(%s)", [quote_identifier(view.schema)]) is None:
        db.execute(f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(view.schema)}")
    guard = db.one(
        "SELECT pg_current_xact_id()::text AS xid, system_identifier AS cluster FROM pg_control_system()"
    )
    names = ", ".join(quote_identifier(c.name) for c in columns)
    body = f"SELECT {names} FROM ({union_sql(parts, columns)}) parts WHERE {_GUARD.format(**guard)}"
    fits = kind is None or _extends(columns_of(db, view), columns)

    def replace() -> None:
        if fits:
            db.execute(f"CREATE OR REPLACE VIEW {view.quoted}{view_options(db, view)} AS {body}")
            return
        state = remember_view(db, view)
        # Who reads a view above this one holds that and asks for this: both are taken in the same order.
        lock_views(db, reversed(state.dependents))
        db.execute(f"DROP VIEW {view.quoted} CASCADE")
        db.execute(f"CREATE VIEW {view.quoted} AS {body}")
        restore_view(db, view, state)

    in_short_waits(db, replace, what=f"view {view}")


def longer_and_longer() -> Iterator[int]:
    """Milliseconds to wait in each try: doubling, up to half a second."""
    yield from (min(_FIRST_WAIT_MS * 2**tries, _LONGEST_WAIT_MS) for tries in range(5))
    yield from itertools.repeat(_LONGEST_WAIT_MS)


def in_short_waits(
    db: Connection, act: Callable[[], None], *, what: str, waits: Iterator[int] | None = None
) -> None:
    """Run what needs exclusive locks, giving way to readers between tries.

    :param waits: milliseconds to wait for a lock in each try, without end; doubling unless given.
    :raises LedgerError: the lock was not to be had within two minutes.
    """
    import psycopg

    began = time.monotonic()
    for wait in waits or longer_and_longer():
        try:
            with db.raw.transaction():
                db.raw.execute(f"SET LOCAL lock_timeout = {wait}")
                act()
                db.raw.execute("SET LOCAL lock_timeout = DEFAULT")
                return
        except (psycopg.errors.LockNotAvailable, LedgerError) as err:
            if not _is_lock_timeout(err):
                raise
            waited = time.monotonic() - began
            if waited > _DEADLINE_S:
                msg = f"{what} was read without a pause for {waited:.0f} s, so it could not be switched; a retry may find it free."
                raise LedgerError(msg) from err
            level = logging.INFO if wait >= _FIRST_WAIT_MS else logging.DEBUG
            log.log(level, "%s is being read; trying again (waited %.1f s)", what, waited)
        time.sleep(random.uniform(0.5, 1.5) * wait / 1000)  # noqa: S311 - no secret


def _is_lock_timeout(err: BaseException) -> bool:
    import psycopg

    return isinstance(err, psycopg.errors.LockNotAvailable) or isinstance(
        err.__cause__, psycopg.errors.LockNotAvailable
    )


def _extends(old: Sequence[Column], new: Sequence[Column]) -> bool:
    """Whether a view may be replaced in place: PostgreSQL lets it only gain columns at its end."""
    return tuple(old) == tuple(new)[: len(old)]


def _typed(parts: Sequence[Part], column: str | Column) -> Column:
    if isinstance(column, Column):
        return column
    found = (c for part in reversed(parts) for c in part.columns if c.name == column)
    known = next(found, None)
    if known is None:
        msg = f"column {column!r} is in none of the parts to read."
        raise SpecError(msg)
    return known


def _select(part: Part, wanted: Sequence[Column]) -> str:
    own = {c.name: c.type for c in part.columns}
    fields = []
    for column in wanted:
        name = quote_identifier(column.name)
        if column.name not in own:
            fields.append(f"NULL::{column.type} AS {name}")
        elif normal_type(own[column.name]) == normal_type(column.type):
            fields.append(name)
        else:
            fields.append(f"{name}::{column.type} AS {name}")
    return f"SELECT {', '.join(fields)} FROM {part.relation.quoted}"

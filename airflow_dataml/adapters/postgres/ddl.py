"""Small words of data definition: literals, object numbers, names written out in full."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import Relation


def literal(db: Connection, text: str | None) -> str:
    """Return a text as SQL, for statements that take no bound values; ``None`` is ``NULL``."""
    from psycopg import sql

    return "NULL" if text is None else sql.Literal(text).as_string(db.raw)


def oid_of(db: Connection, relation: Relation) -> int | None:
    """Return the number of a table or view; ``None`` when it is not there."""
    found = db.scalar("SELECT to_regclass(%s)::oid", [relation.quoted])
    return None if found is None else int(found)


def names(columns: Sequence[str]) -> str:
    """Return columns as SQL, quoted and separated by commas."""
    return ", ".join(map(quote_identifier, columns))


@contextmanager
def full_names(db: Connection) -> Iterator[None]:
    """Make PostgreSQL write every name with its schema, so that what it prints means the same everywhere."""
    before = db.scalar("SELECT current_setting('search_path')")
    db.execute("SELECT set_config('search_path', '', false)")
    try:
        yield
    finally:
        # After an error PostgreSQL takes nothing until the rollback, which also takes the setting back.
        if db.raw.info.transaction_status.name != "INERROR":
            db.execute("SELECT set_config('search_path', %s, false)", [before])

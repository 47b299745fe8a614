"""A few of the rows that broke a check, masked and cut inside the database."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.quarantine import Sample
from airflow_dataml.core.refs import quote_identifier

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.quarantine import DuplicateRule
    from airflow_dataml.core.refs import Relation

MASKED = "***"
_LONGEST = 200


class PostgresSamples:
    """Failed rows; see ``core.ports_quarantine.Samples``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def rows(
        self,
        connection: Any,
        *,
        relation: Relation,
        condition: str,
        mask: Sequence[str],
        limit: int,
        timeout_s: float,
    ) -> Sample:
        """Return rows that meet a condition."""
        with self._asking(connection, timeout_s) as cursor:
            cursor.execute(f"SELECT * FROM {relation.quoted} LIMIT 0")
            names = tuple(column.name for column in cursor.description or ())
            shown = ", ".join(shown_sql(quote_identifier(n), masked=n in mask) for n in names)
            cursor.execute(f"SELECT {shown} FROM {relation.quoted} WHERE {condition}\nLIMIT {int(limit)}")
            return Sample(names, tuple(cursor.fetchall()))

    def keys(
        self,
        connection: Any,
        *,
        relation: Relation,
        rule: DuplicateRule,
        mask: Sequence[str],
        limit: int,
        timeout_s: float,
    ) -> Sample:
        """Return keys that are there more than once, with their number of rows."""
        groups = ", ".join(rule.expressions)
        shown = ", ".join(
            shown_sql(value, masked=name in mask or _hides(name, value, mask))
            for name, value in zip(rule.names, rule.expressions, strict=True)
        )
        where = f"WHERE {rule.condition}\n" if rule.condition else ""
        with self._asking(connection, timeout_s) as cursor:
            cursor.execute(
                f"SELECT {shown}, count(*)::text FROM {relation.quoted} {where}GROUP BY {groups}\n"
                f"HAVING count(*) > 1 ORDER BY count(*) DESC LIMIT {int(limit)}"
            )
            return Sample((*rule.names, "rows"), tuple(cursor.fetchall()))

    @contextmanager
    def _asking(self, connection: Any, timeout_s: float) -> Iterator[Any]:
        """Ask on somebody's connection, whose settings and transaction are afterwards as they were."""
        from psycopg.rows import tuple_row

        with (
            self._db.errors(),
            connection.transaction(force_rollback=True),
            connection.cursor(row_factory=tuple_row) as cursor,
        ):
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute(f"SET LOCAL statement_timeout = {max(int(timeout_s * 1000), 1)}")
            yield cursor


def _hides(name: str, value: str, mask: Sequence[str]) -> bool:
    """Whether an expression of the contract's may be made of a masked column."""
    text = value.casefold()
    return value != quote_identifier(name) and any(
        word in text
        for secret in mask
        for word in (secret.casefold(), quote_identifier(secret)[1:-1].casefold())
    )


def shown_sql(value: str, *, masked: bool) -> str:
    """Return SQL of a value as a person may see it."""
    return f"'{MASKED}'" if masked else f"left(({value})::text, {_LONGEST})"

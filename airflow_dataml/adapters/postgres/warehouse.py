"""Tables of managed datasets on PostgreSQL: parts, views over them, fingerprints, export."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.fingerprints import fingerprint_relation
from airflow_dataml.adapters.postgres.profiles import profile_relation
from airflow_dataml.adapters.postgres.scanning import copy_keyed, scan
from airflow_dataml.adapters.postgres.tallies import Tally
from airflow_dataml.adapters.postgres.views import columns_of, point_view, union_sql
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.refs import check_identifier, quote_identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Column, Fingerprint, Part
    from airflow_dataml.core.refs import Relation
    from airflow_dataml.core.scans import KeyedBlock, ScanBlock, ScanPlan

_TYPE = re.compile(r"[a-z][a-z0-9_ ]*(\(\d+(, ?\d+)?\))?[a-z ]*(\[\])?", re.IGNORECASE)


class PostgresWarehouse:
    """Physical side of managed datasets."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._bound: list[str] = []

    def columns(self, relation: Relation) -> tuple[Column, ...]:
        """Return a table's columns; empty when it is not there."""
        return columns_of(self._db, relation)

    def create_table(
        self, relation: Relation, columns: Sequence[Column], defaults: Mapping[str, str] | None = None
    ) -> None:
        """Create an empty table with columns of the given types.

        :param defaults: column -> SQL expression, until ``drop_defaults``.
        """
        for column in columns:
            # PostgreSQL would cut a longer name off.
            check_identifier(column.name, what="column name")
            # A type cannot be bound; the server is asked whether the text is one before it becomes SQL.
            if (
                not _TYPE.fullmatch(column.type)
                or self._db.scalar("SELECT to_regtype(%s)::oid", [column.type]) is None
            ):
                msg = f"column {column.name!r} has type {column.type!r}, which PostgreSQL does not know."
                raise SpecError(msg)
        filled = {name: f" DEFAULT {expression}" for name, expression in (defaults or {}).items()}
        body = ", ".join(f"{quote_identifier(c.name)} {c.type}{filled.get(c.name, '')}" for c in columns)
        self._db.execute(f"CREATE TABLE {relation.quoted} ({body})")

    def drop_defaults(self, relation: Relation, columns: Iterable[str]) -> None:
        """Take the defaults of some columns away; the rows keep what they were given."""
        for name in columns:
            self._db.execute(
                f"ALTER TABLE {relation.quoted} ALTER COLUMN {quote_identifier(name)} DROP DEFAULT"
            )

    def copy_rows(
        self,
        relation: Relation,
        columns: Sequence[str],
        lines: Iterator[bytes],
        *,
        on_bytes: Callable[[int], None],
    ) -> int:
        """Stream CSV with a header line into a table; empty unquoted fields are null."""
        names = ", ".join(quote_identifier(c) for c in columns)
        command = f"COPY {relation.quoted} ({names}) FROM STDIN (FORMAT csv, HEADER true)"
        sent = 0
        with self._db.errors(), self._db.raw.cursor() as cursor:
            with cursor.copy(command) as copy:
                for block in lines:
                    copy.write(block)
                    sent += len(block)
                    on_bytes(sent)
            return cursor.rowcount

    def create_from_select(
        self, relation: Relation, query: str, parameters: Mapping[str, Any] | None = None
    ) -> None:
        """Create a table from a query; names bound by ``bind`` resolve to exact versions.

        :param parameters: values for ``%(name)s``; the driver quotes them, since the server takes no
            bound values in this statement. With parameters, a per cent sign is written ``%%``.
        """
        import psycopg

        body = query.strip().rstrip(";")
        bound, self._bound = self._bound, []
        if parameters:
            with self._db.errors():
                body = psycopg.ClientCursor(self._db.raw).mogrify(body, dict(parameters))
        self._db.execute(f"CREATE TABLE {relation.quoted} AS {body}")
        for name in bound:
            self._db.execute(f"DROP VIEW pg_temp.{quote_identifier(name)}")

    def bind(self, inputs: Mapping[str, tuple[Sequence[Part], Sequence[Column]]]) -> None:
        """Make unqualified names stand for exact versions in the next query.

        They become temporary views, which PostgreSQL finds before any other table of that name.
        """
        for name, (parts, columns) in inputs.items():
            self._db.execute(f"CREATE TEMP VIEW {quote_identifier(name)} AS {union_sql(parts, columns)}")
            self._bound.append(name)

    def fingerprint(self, relation: Relation) -> Fingerprint:
        """Read every row once; see ``core.datasets.Fingerprint``."""
        return fingerprint_relation(self._db, relation)

    def profile(
        self, relation: Relation, columns: Sequence[Column], grids: dict[str, tuple[float, float]]
    ) -> dict[str, Any]:
        """Count, describe and histogram every column (see ``core.profiles``)."""
        return profile_relation(self._db, relation, columns, grids)

    def point_view(
        self, view: Relation, columns: Sequence[Column], parts: Sequence[Part], *, ours: bool
    ) -> None:
        """Make a view show exactly these parts; see ``views.point_view``."""
        point_view(self._db, view, columns, parts, ours=ours)

    def union(self, parts: Sequence[Part], columns: Sequence[str | Column]) -> str:
        """SQL that reads these parts as one; see ``views.union_sql``."""
        return union_sql(parts, columns)

    def copy_batches(
        self, relation: Relation, columns: Sequence[str], batches: Iterable[Sequence[Sequence[Any]]]
    ) -> int:
        """Stream rows into a table; one batch is in memory at a time."""
        names = ", ".join(quote_identifier(c) for c in columns)
        with self._db.errors(), self._db.raw.cursor() as cursor:
            with cursor.copy(f"COPY {relation.quoted} ({names}) FROM STDIN") as copy:
                for batch in batches:
                    for row in batch:
                        copy.write_row(row)
            return cursor.rowcount

    def scan(
        self, parts: Sequence[Part], columns: Sequence[Column], plan: ScanPlan
    ) -> AbstractContextManager[Iterator[ScanBlock]]:
        """Read parts as blocks of numbers, coded texts and raw keys; see ``scanning``."""
        return scan(self._db, union_sql(parts, columns), parts, columns, plan)

    def copy_keyed(self, relation: Relation, columns: Sequence[Column], blocks: Iterable[KeyedBlock]) -> int:
        """Write scanned keys with further values of each row; see ``scanning``."""
        return copy_keyed(self._db, relation, columns, blocks)

    def tally(self, column: Column, grid: tuple[float, float]) -> Tally:
        """Profile a column of doubles while it is written; see ``tallies``."""
        return Tally(column, grid)

    def export_csv(self, query: str, path: Path, params: Sequence[Any] | None = None) -> int:
        """Write a query's rows to a CSV file with header; the file appears whole or not at all."""
        scratch = path.with_suffix(path.suffix + ".part")
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._db.errors(), self._db.raw.cursor() as cursor, scratch.open("wb") as out:
            with cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv, HEADER true)", params) as copy:
                for block in copy:
                    out.write(block)
            rows = cursor.rowcount
            out.flush()
            os.fsync(out.fileno())
        scratch.replace(path)
        return rows

    def query(self, query: str, params: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of a small query."""
        return self._db.rows(query, params)

    def drop_view(self, view: Relation) -> None:
        """Drop a view of ours, if it is there."""
        self._db.execute(f"DROP VIEW IF EXISTS {view.quoted}")

    @contextmanager
    def engine_connection(self) -> Iterator[Any]:
        """Yield a connection of its own with plain rows, for a quality engine; it sees what is committed."""
        with self._db.sibling() as connection:
            yield connection

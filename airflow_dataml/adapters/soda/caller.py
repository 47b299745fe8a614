"""The caller's connection as Soda may use it: to read, until a deadline, and to leave as it was.

Soda rolls the whole transaction back when a query fails, never sets a timeout, and runs whatever SQL a
contract holds. Here every query has a savepoint of its own inside one that is always undone, so the
caller's transaction survives a bad query and no setting or write does.
"""

from __future__ import annotations

import math
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from airflow_dataml.core.errors import QualityEngineError, SpecError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST_MS = 2**31 - 1
_NOISE = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)+", re.DOTALL)
_READS = re.compile(r"\(|(?:select|with|show|values|table)\b", re.IGNORECASE)


class CallerConnection:
    """A psycopg connection that only reads and never commits, rolls back or closes.

    :param connection: the caller's, with any row factory and in any transaction state.
    :param name: the data source's name in contracts.
    :param timeout_s: wall-clock seconds for all queries together.
    """

    autocommit = False

    def __init__(self, connection: Any, *, name: str, timeout_s: float) -> None:
        self.name = name
        self._raw = connection
        self._deadline = time.monotonic() + timeout_s

    @contextmanager
    def reading(self) -> Iterator[Self]:
        """Hold a read-only savepoint that is undone at the end, whatever happened.

        :raises QualityEngineError: the database does not answer, or the transaction is aborted already.
        """
        import psycopg

        try:
            with self._raw.transaction(force_rollback=True):
                # A wide aggregation costs more to compile than it saves.
                self._raw.execute("SET LOCAL transaction_read_only = on; SET LOCAL jit = off")
                yield self
        except psycopg.Error as err:
            reason = str(err).strip().split("\n")[0]
            msg = f"the database of the quality check broke off: {reason}. The task tries again."
            raise QualityEngineError(msg) from err
        if self._raw.broken:
            msg = "the database closed the connection during the quality check. The task tries again."
            raise QualityEngineError(msg)

    def cursor(self) -> ReadingCursor:
        """Return a cursor whose queries are reads with a deadline."""
        return ReadingCursor(self._raw, deadline=self._deadline)

    def rows(self, query: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Run a query of ours."""
        from psycopg.rows import tuple_row

        with self._raw.cursor(row_factory=tuple_row) as cursor:
            return list(cursor.execute(query, parameters, prepare=False).fetchall())

    def commit(self) -> None:
        """Nothing: the transaction is the caller's."""

    def rollback(self) -> None:
        """Nothing: a failed query has undone itself."""

    def close(self) -> None:
        """Nothing: the connection is the caller's."""


class ReadingCursor:
    """A cursor that runs one read per call, in a savepoint, until the deadline."""

    def __init__(self, connection: Any, *, deadline: float) -> None:
        from psycopg.rows import tuple_row

        self._raw = connection
        self._deadline = deadline
        self._cursor = connection.cursor(row_factory=tuple_row)

    def execute(self, query: str) -> Self:
        """Run a query.

        :raises psycopg.ProgrammingError: it does not read.
        """
        import psycopg

        if not _READS.match(query, _end_of_noise(query)):
            msg = f"a contract may only read, and this statement does something else: {query.strip()[:100]}"
            raise psycopg.ProgrammingError(msg)
        left = min(max(1, math.ceil((self._deadline - time.monotonic()) * 1000)), _LONGEST_MS)
        with self._raw.transaction(), self._cancelling():
            # Unprepared: behind a pooler the next statement may meet another server.
            self._cursor.execute(
                "SELECT set_config('statement_timeout', %s, true)", [str(left)], prepare=False
            )
            # The binary protocol takes a single statement, so nothing can follow the read.
            self._cursor.execute(query, binary=True, prepare=False)
        return self

    @property
    def description(self) -> Any:
        """Columns of the last query."""
        return self._cursor.description

    def fetchone(self) -> Any:
        """Return the next row, or ``None``."""
        return self._cursor.fetchone()

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return list(self._cursor.fetchall())

    def close(self) -> None:
        """Release the result."""
        self._cursor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextmanager
    def _cancelling(self) -> Iterator[None]:
        """Stop the query on the server when this process is told to stop, and free the connection."""
        import psycopg

        try:
            yield
        except BaseException:
            if self._raw.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
                with suppress(psycopg.Error):
                    self._raw.cancel_safe(timeout=5)
                    while self._raw.pgconn.get_result() is not None:
                        pass
            raise


def check_connection(connection: Any) -> None:
    """Refuse what is not a live psycopg 3 connection.

    :raises SpecError: it is another driver's.
    :raises QualityEngineError: it is closed.
    """
    import psycopg

    if not isinstance(connection, psycopg.Connection):
        msg = f"the soda engine needs a psycopg 3 connection, not {type(connection).__module__}.{type(connection).__name__}."
        raise SpecError(msg)
    if connection.closed:
        msg = "the connection handed to the soda engine is closed; hand over an open one."
        raise QualityEngineError(msg)


def _end_of_noise(query: str) -> int:
    found = _NOISE.match(query)
    return found.end() if found else 0

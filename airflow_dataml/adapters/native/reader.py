"""Connections as the engine uses them: to read, until a deadline, and to leave as they were."""

from __future__ import annotations

import math
import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import QualityEngineError, SpecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LONGEST_MS = 2**31 - 1
# Compiling a wide aggregation costs more than it saves; texts must come back as they are.
_SETTINGS = """
SELECT set_config('jit', 'off', true), set_config('standard_conforming_strings', 'on', true),
  set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
  set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true),
  set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, %s) || 'kB', true)
"""
_WHO = (
    "SELECT current_setting('search_path'), current_setting('TimeZone'), current_user, pg_export_snapshot()"
)
_AS = "SELECT set_config('search_path', %s, true), set_config('TimeZone', %s, true)"


class OutOfTime(Exception):
    """The time for all queries together is over."""


@dataclass(slots=True)
class Reader:
    """One connection inside a transaction or savepoint that is undone at the end.

    :param deadline: of :func:`time.monotonic`, for all queries together.
    """

    raw: Any
    deadline: float

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement in a savepoint of its own.

        :raises psycopg.Error: the database refuses it; the transaction is as before.
        :raises OutOfTime: the deadline has passed.
        """
        from psycopg.rows import tuple_row

        left = math.ceil((self.deadline - time.monotonic()) * 1000)
        if left <= 0:
            msg = "canceling statement due to statement timeout"
            raise OutOfTime(msg)
        with self.raw.transaction(), self._cancelling(), self.raw.cursor(row_factory=tuple_row) as cursor:
            # Unprepared: behind a pooler the next statement may meet another server.
            limit = str(min(left, _LONGEST_MS))
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [limit], prepare=False)
            # The binary protocol takes a single statement, so nothing can follow the read.
            cursor.execute(query, parameters or None, binary=True, prepare=False)
            return list(cursor.fetchall())

    @contextmanager
    def planning_without(self, *ways: str) -> Iterator[None]:
        """Keep PostgreSQL from ways to join, such as ``hashjoin``, that it would choose for want of knowledge."""
        names = [f"enable_{way}" for way in ways]
        before = self.rows(f"SELECT {', '.join(['current_setting(%s)'] * len(names))}", names)[0]
        change = f"SELECT {', '.join(['set_config(%s, %s, true)'] * len(names))}"
        self.rows(change, [word for name in names for word in (name, "off")])
        try:
            yield
        finally:
            self.rows(change, [word for pair in zip(names, before, strict=True) for word in pair])

    def cancel(self) -> None:
        """Stop what runs on the server, from any thread."""
        import psycopg

        with suppress(psycopg.Error):
            self.raw.cancel_safe(timeout=5)

    @contextmanager
    def _cancelling(self) -> Iterator[None]:
        """Stop the query on the server when this process is told to stop, and free the connection."""
        import psycopg

        try:
            yield
        except BaseException:
            if self.raw.info.transaction_status is psycopg.pq.TransactionStatus.ACTIVE:
                self.cancel()
                with suppress(psycopg.Error):
                    while self.raw.pgconn.get_result() is not None:
                        pass
            raise


@dataclass(slots=True)
class Readers:
    """The caller's connection, and others that see the very same rows.

    :param whole: whether the transaction is ours, so that every query sees one snapshot.
    """

    main: Reader
    whole: bool
    work_mem_kb: int
    connect: Callable[[], Any] | None = None
    _stack: ExitStack = field(default_factory=ExitStack)

    def siblings(self, count: int, *, oid: int, name: str) -> list[Reader]:
        """Open connections that read the caller's snapshot; fewer, or none, where that is not possible.

        :param oid: a relation they must see, or they are of no use.
        """
        import psycopg

        found: list[Reader] = []
        if self.connect is None or not self.whole or count < 1:
            return found
        path, zone, role, snapshot = self._exported()
        for _ in range(count):
            try:
                reader = Reader(self._opened(self.connect), self.main.deadline)
                reader.raw.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                reader.raw.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
                reader.rows(_SETTINGS, [self.work_mem_kb])
                reader.rows(_AS, [path, zone])
                seen = reader.rows("SELECT to_regclass(%s)::oid::bigint, current_user", [name])
            except (psycopg.Error, OSError, OutOfTime):
                break
            if seen != [(oid, role)]:
                break
            found.append(reader)
        return found

    def _exported(self) -> tuple[Any, ...]:
        """Who reads, and the name of the snapshot; PostgreSQL exports none from inside a savepoint."""
        from psycopg.rows import tuple_row

        with self.main.raw.cursor(row_factory=tuple_row) as cursor:
            row: tuple[Any, ...] = cursor.execute(_WHO, prepare=False).fetchone()
            return row

    def _opened(self, connect: Callable[[], Any]) -> Any:
        opened = connect()
        self._stack.callback(opened.close)
        if not opened.autocommit:
            opened.rollback()
            opened.autocommit = True
        return opened


@contextmanager
def reading(
    connection: Any,
    *,
    timeout_s: float,
    work_mem_mb: int = 64,
    connect: Callable[[], Any] | None = None,
) -> Iterator[Readers]:
    """Hold a caller's connection in a read-only state that is undone at the end, whatever happened.

    :param connect: opens another connection as the same user to the same database; it is closed here.
    :raises QualityEngineError: the database does not answer, or the transaction is aborted already.
    """
    import psycopg

    check_connection(connection)
    whole = connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    main = Reader(connection, time.monotonic() + timeout_s)
    readers = Readers(main, whole, work_mem_mb * 1024, connect)
    try:
        with readers._stack, connection.transaction(force_rollback=True):
            if whole:
                connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.execute("SET LOCAL transaction_read_only = on")
            connection.execute(_SETTINGS, [readers.work_mem_kb], prepare=False)
            yield readers
    except psycopg.Error as err:
        reason = str(err).strip().split("\n")[0]
        msg = f"the database of the quality check broke off: {reason}. The task tries again."
        raise QualityEngineError(msg) from err
    if connection.broken:
        msg = "the database closed the connection during the quality check. The task tries again."
        raise QualityEngineError(msg)


def check_connection(connection: Any) -> None:
    """Refuse what is not a live psycopg 3 connection.

    :raises SpecError: it is another driver's.
    :raises QualityEngineError: it is closed.
    """
    import psycopg

    if not isinstance(connection, psycopg.Connection):
        msg = f"the native engine needs a psycopg 3 connection, not {type(connection).__module__}.{type(connection).__name__}."
        raise SpecError(msg)
    if connection.closed:
        msg = "the connection handed to the native engine is closed; hand over an open one."
        raise QualityEngineError(msg)

"""One Postgres connection with the few verbs the adapters use."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, Self
from weakref import WeakSet

from airflow_dataml.core.errors import (
    ConnectionSpecError,
    DataMLError,
    GateError,
    LedgerError,
    SpecError,
    WarehouseError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import psycopg

CONNECT_TIMEOUT_S = 5
# Two tries of one task at once: a table or a fact of that name is there already.
_RACES = ("42P07", "23505")
# What it was given is not of the type, breaks a constraint, or is more than PostgreSQL has room for.
_REFUSED = ("22", "23", "54")
# Errors a retry cannot heal: a wrong password, database or role. While connecting, libpq gives no
# SQLSTATE, only words.
_CONNECTION_STATES = ("28", "3D")
_CONNECTION_HINTS = (
    "password authentication failed",
    "does not exist",
    "no password supplied",
    "could not translate host name",
    "invalid connection option",
)


class Connection:
    """A psycopg connection in autocommit, whose transactions are explicit blocks.

    :param dsn: libpq connection string; never logged.
    :param application: shown in ``pg_stat_activity``.
    """

    def __init__(self, dsn: str, *, application: str = "airflow-dataml") -> None:
        self._dsn = dsn
        self._application = application
        self._raw: psycopg.Connection[dict[str, Any]] | None = None
        self._beside: WeakSet[psycopg.Connection[Any]] = WeakSet()

    def __repr__(self) -> str:
        return f"Connection({self.target})"

    @property
    def target(self) -> str:
        """Host and database, without credentials."""
        from psycopg.conninfo import conninfo_to_dict

        info = conninfo_to_dict(self._dsn)
        return f"{info.get('host', 'localhost')}:{info.get('port', 5432)}/{info.get('dbname', '')}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def raw(self) -> psycopg.Connection[dict[str, Any]]:
        """The driver's connection, opened on first use."""
        if self._raw is None or self._raw.closed:
            import psycopg
            from psycopg.rows import dict_row

            try:
                self._raw = psycopg.connect(
                    self._dsn,
                    autocommit=True,
                    row_factory=dict_row,
                    connect_timeout=CONNECT_TIMEOUT_S,
                    application_name=self._application,
                    # A lost network is noticed in a minute, not in two hours.
                    keepalives_idle=30,
                    keepalives_interval=10,
                    keepalives_count=3,
                )
            except psycopg.Error as err:
                self._translate(err)
        return self._raw

    def close(self) -> None:
        """Close; a later use opens anew."""
        if self._raw is not None:
            self._raw.close()
            self._raw = None

    @contextmanager
    def sibling(self) -> Iterator[psycopg.Connection[Any]]:
        """Open a second connection to the same place, with plain tuple rows."""
        with self.errors(), self.beside() as raw:
            yield raw

    def beside(self) -> psycopg.Connection[Any]:
        """Open a second connection to the same place; the caller closes it, and ``cancel`` reaches it too."""
        import psycopg

        raw: psycopg.Connection[Any] = psycopg.connect(
            self._dsn, connect_timeout=CONNECT_TIMEOUT_S, application_name=self._application
        )
        self._beside.add(raw)
        return raw

    def cancel(self) -> None:
        """Cancel the statements that run now, on connections beside this one too; their transactions roll back."""
        for raw in (self._raw, *self._beside):
            if raw is not None and not raw.closed:
                raw.cancel_safe(timeout=CONNECT_TIMEOUT_S)

    def execute(self, query: Any, params: Sequence[Any] | None = None) -> int:
        """Run a statement and return how many rows it touched."""
        with self.errors():
            return self.raw.execute(query, params).rowcount

    def rows(self, query: Any, params: Sequence[Any] | None = None) -> list[dict[str, Any]]:
        """Run a query and return its rows."""
        with self.errors():
            return self.raw.execute(query, params).fetchall()

    def row(self, query: Any, params: Sequence[Any] | None = None) -> dict[str, Any] | None:
        """Run a query and return its first row."""
        with self.errors():
            return self.raw.execute(query, params).fetchone()

    def one(self, query: Any, params: Sequence[Any] | None = None) -> dict[str, Any]:
        """Run a query that always has a row and return it."""
        row = self.row(query, params)
        if row is None:
            msg = "a statement that always returns a row returned none; the ledger was changed by hand."
            raise LedgerError(msg)
        return row

    def scalar(self, query: Any, params: Sequence[Any] | None = None) -> Any:
        """Run a query and return the first column of its first row."""
        row = self.row(query, params)
        return None if row is None else next(iter(row.values()))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing; nests as savepoints."""
        with self.errors(), self.raw.transaction():
            yield

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Translate the driver's errors into ours."""
        import psycopg

        try:
            yield
        except psycopg.Error as err:
            self._translate(err)

    def _translate(self, err: psycopg.Error) -> NoReturn:
        import psycopg

        state = err.sqlstate or ""
        text = str(err).strip().split("\n")[0]
        cause: DataMLError
        if state.startswith(_CONNECTION_STATES) or (
            not state and any(hint in text for hint in _CONNECTION_HINTS)
        ):
            cause = ConnectionSpecError(
                f"PostgreSQL at {self.target} refused the connection: {text}. Check the Airflow connection."
            )
        elif state in _RACES:
            cause = WarehouseError(
                f"PostgreSQL at {self.target}: another try of this task was faster ({text}); a retry finds what it wrote."
            )
        elif state.startswith(("42", "2B")) or (not state and type(err) is psycopg.ProgrammingError):
            cause = SpecError(f"PostgreSQL at {self.target} does not understand a statement: {text}")
        elif state.startswith(_REFUSED) or (not state and isinstance(err, psycopg.DataError)):
            cause = GateError(f"PostgreSQL at {self.target} refused the data: {text}")
        elif isinstance(err, psycopg.OperationalError | psycopg.InterfaceError):
            cause = LedgerError(f"PostgreSQL at {self.target} did not answer: {text}")
        else:
            cause = WarehouseError(f"PostgreSQL at {self.target} broke off: {text}")
        raise cause from err

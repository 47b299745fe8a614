"""The hook that opens the ledger from an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml.core.errors import ConnectionSpecError, DataMLError

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

_TYPES = ("dataml", "postgres")
# What a connection's extra may add to the DSN; anything else is ignored, never forwarded wholesale.
_EXTRA = ("sslmode", "sslrootcert", "sslcert", "sslkey", "target_session_attrs")


class DataMLHook(BaseHook):
    """The ledger, and the managed datasets beside it, on PostgreSQL.

    :param dataml_conn_id: connection of type ``dataml`` or ``postgres``.
    """

    conn_name_attr = "dataml_conn_id"
    default_conn_name = "dataml_default"
    conn_type = "dataml"
    hook_name = "DataML ledger"

    def __init__(self, dataml_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dataml_conn_id = dataml_conn_id

    def dsn(self) -> str:
        """Return the libpq connection string; it holds the password.

        :raises ConnectionSpecError: the connection is missing, of another type, or names no database.
        """
        from psycopg.conninfo import make_conninfo

        try:
            conn = self.get_connection(self.dataml_conn_id)
        except AirflowNotFoundException as err:
            msg = f"connection {self.dataml_conn_id!r} is not defined: add one of type 'dataml' that points at PostgreSQL."
            raise ConnectionSpecError(msg) from err
        if conn.conn_type not in _TYPES:
            msg = f"connection {self.dataml_conn_id!r} is of type {conn.conn_type!r}: the ledger needs 'dataml' or 'postgres'."
            raise ConnectionSpecError(msg)
        if not conn.schema:
            msg = f"connection {self.dataml_conn_id!r} names no database: fill in the field 'Database'."
            raise ConnectionSpecError(msg)
        extra = {key: value for key in _EXTRA if (value := conn.extra_dejson.get(key))}
        return make_conninfo(
            "",
            host=conn.host or "localhost",
            port=conn.port or 5432,
            dbname=conn.schema,
            user=conn.login or None,
            password=conn.password or None,
            **extra,
        )

    def ledger(self) -> PostgresLedger:
        """Open the ledger; the caller closes it.

        :raises LedgerVersionError: it was not migrated, or is newer than this code.
        :raises LedgerError: it does not answer.
        """
        from airflow_dataml.adapters.postgres.ledger import PostgresLedger

        return PostgresLedger.connect(self.dsn())

    def get_conn(self) -> PostgresLedger:
        """Open the ledger; Airflow's name for it."""
        return self.ledger()

    def test_connection(self) -> tuple[bool, str]:
        """Tell whether the ledger answers and fits this code."""
        try:
            with self.ledger():
                return True, "The ledger answers and is up to date."
        except DataMLError as err:
            return False, str(err)

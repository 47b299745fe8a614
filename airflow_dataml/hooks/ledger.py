"""The hook that opens the ledger from an Airflow connection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml.core.errors import ConnectionSpecError, DataMLError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger


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
        from airflow_dataml.adapters.postgres.dsn import ConnectionFields

        try:
            conn = self.get_connection(self.dataml_conn_id)
        except AirflowNotFoundException as err:
            msg = f"connection {self.dataml_conn_id!r} is not defined: add one of type 'dataml' that points at PostgreSQL."
            raise ConnectionSpecError(msg) from err
        return ConnectionFields(
            conn_id=self.dataml_conn_id,
            conn_type=str(conn.conn_type),
            host=conn.host,
            port=conn.port,
            database=conn.schema,
            login=conn.login,
            password=conn.password,
            extra=conn.extra_dejson,
        ).dsn()

    def ledger(self) -> PostgresLedger:
        """Open the ledger; the caller closes it.

        :raises LedgerVersionError: it was not migrated, or is newer than this code.
        :raises LedgerError: it does not answer.
        """
        from airflow_dataml.adapters.postgres.ledger import PostgresLedger

        return PostgresLedger.connect(self.dsn())

    def explain(self, ref: str, keys: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the story of one prediction, of a batch of them, or of a version of a model, as plain JSON.

        :param ref: a model or a dataset of predictions, with the version wanted or else the current one.
        :param keys: columns and values that name one prediction; costs a scan of that version.
        """
        from airflow_dataml.adapters.postgres.graph_names import NameGraph
        from airflow_dataml.steps.lineage_explain import explain

        with self.ledger() as ledger:
            decisions = NameGraph(ledger.connection).decisions
            return explain(ledger=ledger, warehouse=ledger.warehouse, decisions=decisions, ref=ref, keys=keys)

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

"""The hook that opens the ledger from an Airflow connection."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from airflow_dataml.core.errors import ConnectionSpecError, DataMLError
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity

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

    def counting(self, model: str, reference: str = "training") -> dict[str, Any]:
        """Return what to count of the windows of a model served elsewhere, as plain JSON; no row of ours is in it.

        :param model: ``name``, which is its champion, ``name@number`` or ``name@alias``.
        :param reference: what they will be compared with, in the words of ``MonitorPolicy.reference``.
        """
        from airflow_dataml.steps.reported_reference import what_to_count

        with self.ledger() as ledger:
            return what_to_count(ledger=ledger, model=model, reference=reference).to_dict()

    def report_window(self, model: str, window: Mapping[str, Any]) -> dict[str, Any]:
        """Keep the counts of one window of a model served elsewhere, and return what became of them.

        :param model: as for :meth:`counting`.
        :param window: as ``core.window_counts.count_window`` makes it.
        :raises SpecError: counts do not add up, are in other bins, or the window was reported with other numbers.
        """
        from airflow_dataml.steps.reported import report_window

        with self.ledger() as ledger:
            found = report_window(ledger=ledger, identity=_identity(), model=model, given=dict(window))
        return found.to_dict()

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


def _identity() -> RunIdentity:
    """Who asks: the task that runs now, else a script of somebody's."""
    from airflow.sdk import get_current_context

    try:
        ti: Any = get_current_context()["ti"]
    except RuntimeError:
        return RunIdentity(task=TaskKey("dataml-hook", uuid.uuid4().hex[:16], "report-window"))
    map_index = ti.map_index if ti.map_index is not None else -1
    return RunIdentity(
        task=TaskKey(ti.dag_id, ti.run_id, f"{ti.task_id}__report", map_index),
        try_number=ti.try_number,
        ti_id=str(ti.id),
    )

"""What the listener does at the end of a task that ran checks of common-sql: their results are kept.

It happens in the task's own process, after its work is done: a thread does the writing, and the task waits for
it for a bounded time only.
"""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any

from airflow_dataml import config
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.hooks.ledger import DataMLHook
from airflow_dataml.operators.places import Database
from airflow_dataml.steps.harvest import found_in, harvest
from airflow_dataml.steps.sightings import Sighting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.refs import Relation
    from airflow_dataml.steps.harvest import Found

log = logging.getLogger(__name__)
PATIENCE_S = 3.0
_SUFFIX = ".checks"


def harvest_task(task_instance: Any, *, patience_s: float = PATIENCE_S) -> None:
    """Keep the check results of a task that has ended.

    :param task_instance: of any operator with ``check_results``.
    :param patience_s: how long the task's end may wait; what is not written by then is lost.
    """
    task = task_instance.task
    found = found_in(task.check_results)
    if not found or not config.harvest_checks():
        return
    # Connections are asked for here: the supervisor answers the task, not its threads.
    dsn = DataMLHook(config.conn_id()).dsn()
    place = _Places(task, dsn)
    writer = _Writer(task_instance, dsn, place, found)
    writer.start()
    writer.join(patience_s)
    if writer.is_alive():
        log.warning(
            "Results of %d checks are not kept: the ledger did not answer in %g s", len(found), patience_s
        )
    elif writer.problem is not None:
        log.warning("Results of %d checks are not kept: %s", len(found), writer.problem)


class _Places:
    """Says where in the world a table of a task's connection is."""

    def __init__(self, task: Any, dsn: str) -> None:
        conn_id = getattr(task, getattr(task, "conn_id_field", "conn_id"), None)
        hook = task.get_db_hook()
        conn_id = conn_id or getattr(hook, str(getattr(hook, "conn_name_attr", "")), None)
        conn = hook.get_connection(conn_id)
        self._producer = f"{task.dag_id}.{task.task_id}"
        self._scheme = (
            "postgres" if conn.conn_type in ("postgres", "postgresql", "dataml") else conn.conn_type
        )
        name = getattr(task, "database", None) or conn.schema or ""
        self._database = Database(conn.host or "localhost", int(conn.port or 5432), str(name))
        here = self._scheme == "postgres" and self._database == Database.of(dsn)
        self._conn_id = None if here else str(conn_id)

    def __call__(self, relation: Relation) -> Sighting:
        uri = self._database.table_uri(relation)
        uri = self._scheme + uri.removeprefix("postgres")
        return Sighting(relation, uri, conn_id=self._conn_id, producer=self._producer)


class _Writer(threading.Thread):
    """Writes the reports; a fault is left in ``problem``."""

    def __init__(self, task_instance: Any, dsn: str, place: _Places, found: Sequence[Found]) -> None:
        super().__init__(name="dataml-harvest", daemon=True)
        self.problem: Exception | None = None
        self._ti = task_instance
        self._dsn = dsn
        self._place = place
        self._found = found

    def run(self) -> None:
        from airflow_dataml.adapters.postgres.ledger import PostgresLedger

        now = datetime.now(UTC)
        try:
            with PostgresLedger.connect(self._dsn) as ledger:
                harvest(
                    ledger=ledger,
                    identity=_identity(self._ti),
                    found=self._found,
                    place=self._place,
                    engine_version=metadata.version("apache-airflow-providers-common-sql"),
                    started=self._ti.start_date or now,
                    finished=self._ti.end_date or now,
                    operator=type(self._ti.task).__name__,
                )
        except Exception as err:  # noqa: BLE001 - a thread has nobody to raise to; the task's end reports it
            self.problem = err


def _identity(ti: Any) -> RunIdentity:
    map_index = ti.map_index if ti.map_index is not None else -1
    return RunIdentity(
        task=TaskKey(ti.dag_id, ti.run_id, ti.task_id + _SUFFIX, map_index),
        try_number=ti.try_number,
        ti_id=str(ti.id),
        max_tries=getattr(ti, "max_tries", None),
    )

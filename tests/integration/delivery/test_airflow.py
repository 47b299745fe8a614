"""Airflow itself, every component of it: each event of each task and run is in the ledger, once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.conninfo import make_conninfo

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.spool import EventSpool
from dev.embedded import ensure_database
from dev.lifecycle.server import Server, airflow_environment, free_port
from dev.lifecycle.state import State

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TASKS = 12
_DAG = """
from airflow.sdk import DAG, task
with DAG("nothing", schedule=None, catchup=False):
    previous = None
    for number in range(12):
        @task(task_id=f"t{number}")
        def nothing():
            return 1
        now = nothing()
        previous and previous >> now
        previous = now
"""


class Deployment:
    """Airflow with the OpenLineage provider on our transport."""

    def __init__(self, folder: Path, server: Server, ledger_dsn: str) -> None:
        self.server, self.dsn, self.spool = server, ledger_dsn, EventSpool(folder / "spool")

    def run(self) -> str:
        run_id = self.server.api.trigger("nothing")
        deadline = time.monotonic() + 150
        while time.monotonic() < deadline:
            state = self.server.api.call("GET", f"/api/v2/dags/nothing/dagRuns/{run_id}")["state"]
            if state in ("success", "failed"):
                assert state == "success"
                return run_id
            time.sleep(0.5)
        raise AssertionError(run_id)

    def events(self, run_id: str, wanted: int) -> list[dict[str, Any]]:
        """Events of a run; the scheduler tells of a run's end a moment after."""
        deadline = time.monotonic() + 60
        while True:
            with PostgresLedger.connect(self.dsn) as ledger:
                ledger.events.add([])
                self.spool.drain(ledger.events.add)
                rows = ledger.connection.rows(
                    """SELECT event_type, task, payload -> 'job' ->> 'name' AS job FROM dataml.lineage_event
                       WHERE payload::text LIKE '%%' || %s || '%%' ORDER BY event_id""",
                    [run_id],
                )
            if len(rows) >= wanted or time.monotonic() > deadline:
                return rows
            time.sleep(0.5)


@pytest.fixture(params=["fork", "thread"])
def deployment(
    request: pytest.FixtureRequest, postgres_server: str, ledger_dsn: str, tmp_path: Path
) -> Iterator[Deployment]:
    """Airflow with the ledger's connection where most have it: in Airflow's own database, not in the environment."""
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "nothing.py").write_text(_DAG)
    state = State(tmp_path / "state")
    state.claim()
    name = f"airflow_{request.param}"
    ensure_database(postgres_server, name)
    environment = airflow_environment(
        state, metadata_dsn=make_conninfo(postgres_server, dbname=name), dataml_dsn=ledger_dsn, port=free_port(18080), dags=dags
    )  # fmt: skip
    environment |= {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "airflow_dataml.transport.OutboxTransport"}),
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": str(request.param == "thread"),
        "AIRFLOW__DATAML__SPOOL_DIR": str(tmp_path / "spool"),
    }
    connection = environment.pop("AIRFLOW_CONN_DATAML_DEFAULT")
    _airflow(environment, "db", "migrate")
    _airflow(environment, "connections", "add", "dataml_default", "--conn-json", connection)
    server = Server(state, environment, tell=lambda _: None)
    server.start()
    try:
        server.wait_until_healthy()
        server.wait_for_dags({"nothing"})
        yield Deployment(tmp_path, server, ledger_dsn)
    finally:
        server.stop()


def _airflow(environment: dict[str, str], *argv: str) -> None:
    subprocess.run([sys.executable, "-m", "airflow", *argv], env=environment, check=True, capture_output=True)  # noqa: S603 - our own code


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_event_of_airflow_is_in_the_ledger(deployment: Deployment) -> None:
    run_id = deployment.run()
    rows = deployment.events(run_id, 2 * TASKS + 2)
    assert Counter(row["event_type"] for row in rows) == {"START": TASKS + 1, "COMPLETE": TASKS + 1}
    assert deployment.spool.is_empty(), "the connection was found in every process"

    of_tasks = [row["task"] for row in rows if row["task"]]
    assert Counter(task["task_id"] for task in of_tasks) == {f"t{n}": 2 for n in range(TASKS)}
    assert {(task["dag_id"], task["run_id"], task["try_number"], task["map_index"]) for task in of_tasks} == {
        ("nothing", run_id, 1, -1)
    }
    assert all(task["ti_id"] for task in of_tasks)

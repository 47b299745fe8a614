"""The graph against what really happened: random DAGs on a real Airflow, told by the OpenLineage provider.

The tasks are the SQL operator's, which never heard of this package, and ours between them. They fail and are tried
again, are cleared, mapped and backfilled, and two runs share their OpenLineage ids.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.spool import EventSpool
from airflow_dataml.draining import drainer_of
from dev.embedded import ensure_database
from dev.lifecycle.server import Server, airflow_environment, free_port
from dev.lifecycle.state import State
from tests.integration.lineage.truth import Graph, Truth
from tests.integration.lineage.truth_plans import Plan, make_plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_DAG = """
import json
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.sdk import DAG

from airflow_dataml.assets import dataset
from airflow_dataml.operators.datasets import DatasetPublishOperator, DatasetTransformOperator

FAILS = "{% if ti.try_number == 1 %}SELECT 1 / 0{% else %}SELECT 1{% endif %}"


def task_of(task, tasks):
    step = task["steps"][0]
    how = {"task_id": task["task_id"], "retries": 1, "retry_delay": timedelta(0)}
    sql = {**how, "conn_id": "warehouse", "split_statements": True, "autocommit": False}
    if task["kind"] == "transform":
        raw = step["reads"]
        return DatasetTransformOperator(
            **how, dataset=dataset(step["name"]), mode="replace", sql=step["sql"][0], inputs=[dataset(n) for n in raw]
        )
    if task["kind"] == "publish":
        staged = tasks[task["task_id"].replace("publish", "stage")].output
        return DatasetPublishOperator(**how, dataset=dataset(step["name"]), staged=staged, require_check=False)
    if task["kind"] == "mapped":
        return SQLExecuteQueryOperator.partial(**sql).expand(sql=[one["sql"][0] for one in task["steps"]])
    statements = [*step["sql"], *([FAILS] if task["fails_first"] else [])]
    return SQLExecuteQueryOperator(**sql, sql=statements if len(statements) > 1 else statements[0])


for plan in json.loads((Path(__file__).parent / "plans.json").read_text()):
    with DAG(
        plan["dag_id"], schedule=plan["schedule"], start_date=datetime(2020, 1, 1), end_date=datetime(2020, 1, 9),
        catchup=False, max_active_runs=1,
    ) as dag:
        tasks = {}
        for task in plan["tasks"]:
            tasks[task["task_id"]] = task_of(task, tasks)
            for before in task["upstream"]:
                tasks[before] >> tasks[task["task_id"]]
    globals()[plan["dag_id"]] = dag
"""


class Deployment:
    """Airflow with the OpenLineage provider on our transport, and a database it works on, which is the ledger's too."""

    def __init__(self, server: Server, dsn: str, spool: Path) -> None:
        self.server, self.dsn, self.spool = server, dsn, spool

    def wait(self, dag_id: str, wanted: int) -> list[dict[str, Any]]:
        """Return the runs of a DAG once so many have ended, and well."""
        deadline = time.monotonic() + 240
        while True:
            found = self.server.api.call("GET", f"/api/v2/dags/{dag_id}/dagRuns", order_by="run_after")[
                "dag_runs"
            ]
            states = [run["state"] for run in found]
            if len(found) == wanted and set(states) <= {"success", "failed"}:
                assert set(states) == {"success"}, self._told(dag_id, found)
                return found
            assert time.monotonic() < deadline, (dag_id, states)
            time.sleep(0.3)

    def tries(self, dag_id: str, run_id: str) -> dict[tuple[str, int], int]:
        """Return the number of the try that got through, by task and map index."""
        tasks = self.server.api.tasks(dag_id, run_id)
        return {(one["task_id"], one["map_index"]): one["try_number"] for one in tasks}

    def _told(self, dag_id: str, runs: list[dict[str, Any]]) -> str:
        failed = [
            t
            for run in runs
            for t in self.server.api.tasks(dag_id, run["dag_run_id"])
            if t["state"] == "failed"
        ]
        return "\n".join(self.server.task_log(task).read_text()[-3000:] for task in failed)


@pytest.fixture
def plans() -> list[Plan]:
    return [
        make_plan(11, schedule="@daily", steps=9),
        make_plan(12, schedule=None, steps=5),
        make_plan(13, schedule=None, steps=9),
    ]


@pytest.fixture
def deployment(
    postgres_server: str, ledger_dsn: str, tmp_path: Path, plans: list[Plan]
) -> Iterator[Deployment]:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "truth.py").write_text(_DAG)
    (dags / "plans.json").write_text(json.dumps([plan.to_dict() for plan in plans]))
    with psycopg.connect(ledger_dsn) as db:
        for plan in plans:
            db.execute(f'CREATE SCHEMA "{plan.schema}"')
            for name, (key, *columns) in plan.tables.items():
                db.execute(
                    f"CREATE TABLE {name} ({key} int PRIMARY KEY, {', '.join(f'{c} bigint' for c in columns)})"
                )
                db.execute(
                    f"INSERT INTO {name} SELECT g{', g % 7' * len(columns)} FROM generate_series(1, 20) g"
                )
    state = State(tmp_path / "state")
    state.claim()
    ensure_database(postgres_server, "airflow_truth")
    environment = airflow_environment(
        state, metadata_dsn=make_conninfo(postgres_server, dbname="airflow_truth"), dataml_dsn=ledger_dsn,
        port=free_port(18080), dags=dags,
    )  # fmt: skip
    place = conninfo_to_dict(ledger_dsn)
    environment |= {
        "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "airflow_dataml.transport.OutboxTransport"}),
        "AIRFLOW__OPENLINEAGE__EXECUTE_IN_THREAD": "True",
        "AIRFLOW__DATAML__SPOOL_DIR": str(tmp_path / "spool"),
        "AIRFLOW_CONN_WAREHOUSE": json.dumps(
            {
                "conn_type": "postgres",
                "host": place["host"],
                "login": place["user"],
                "schema": place["dbname"],
            }
        ),
    }
    migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
    subprocess.run(migrate, env=environment, check=True, capture_output=True)  # noqa: S603 - our own code
    server = Server(state, environment, tell=lambda _: None)
    server.start()
    try:
        server.wait_until_healthy()
        server.wait_for_dags({plan.dag_id for plan in plans})
        yield Deployment(server, ledger_dsn, tmp_path / "spool")
    finally:
        server.stop()


def _backfilled(deployment: Deployment, plan: Plan, truth: Truth) -> None:
    """Two logical dates in a row."""
    api = deployment.server.api
    api.call(
        "POST", "/api/v2/backfills",
        {"dag_id": plan.dag_id, "from_date": "2020-01-02T00:00:00Z", "to_date": "2020-01-03T00:00:00Z", "max_active_runs": 1},
    )  # fmt: skip
    for run in deployment.wait(plan.dag_id, 2):
        _told(deployment, plan, run["dag_run_id"], truth)


def _told(
    deployment: Deployment, plan: Plan, run_id: str, truth: Truth, *, only: tuple[str, ...] = ()
) -> None:
    tries = deployment.tries(plan.dag_id, run_id)
    truth.run(plan, run_id, only=only, tries=lambda task, index: tries[task, index])


def _colliding(deployment: Deployment, plan: Plan, truth: Truth) -> None:
    """Two runs whose OpenLineage ids are the same."""
    for number in (1, 2):
        run_id = f"twin{number}"
        body = {"dag_run_id": run_id, "logical_date": None, "run_after": "2020-01-05T00:00:00Z"}
        deployment.server.api.call("POST", f"/api/v2/dags/{plan.dag_id}/dagRuns", body)
        deployment.wait(plan.dag_id, number)
        _told(deployment, plan, run_id, truth)


def _cleared(deployment: Deployment, plan: Plan, truth: Truth) -> None:
    """A run, and one task of it again when all had ended."""
    run_id = deployment.server.api.trigger(plan.dag_id)
    deployment.wait(plan.dag_id, 1)
    _told(deployment, plan, run_id, truth)
    again = next(task.task_id for task in plan.tasks if task.kind == "sql" and not task.fails_first)
    deployment.server.api.call(
        "POST", f"/api/v2/dags/{plan.dag_id}/clearTaskInstances",
        {"dry_run": False, "dag_run_id": run_id, "task_ids": [again], "only_failed": False, "reset_dag_runs": True},
    )  # fmt: skip
    deployment.wait(plan.dag_id, 1)
    _told(deployment, plan, run_id, truth, only=(again,))


def _drain(deployment: Deployment) -> None:
    """Bring every event into the graph; the scheduler tells of the end of runs a moment after."""
    drainer = drainer_of(dsn=deployment.dsn, specs=(), spool=deployment.spool)
    try:
        deadline = time.monotonic() + 30
        while True:
            drainer.until_empty(seconds=60, pause=0.05)
            with PostgresLedger.connect(deployment.dsn) as ledger:
                open_runs = ledger.connection.scalar(
                    "SELECT count(*) FROM dataml.run WHERE ol_state = 'START'"
                )
            if open_runs == 0 or time.monotonic() > deadline:
                return
            time.sleep(0.3)
    finally:
        drainer.close()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_graph_is_what_happened(deployment: Deployment, plans: list[Plan]) -> None:
    truth = Truth()
    backfilled, colliding, cleared = plans
    _backfilled(deployment, backfilled, truth)
    _colliding(deployment, colliding, truth)
    _cleared(deployment, cleared, truth)
    _drain(deployment)
    assert EventSpool(deployment.spool).is_empty()
    with PostgresLedger.connect(deployment.dsn) as ledger:
        graph = Graph(ledger)
    assert min(len(truth.versions), len(truth.edges)) > 80, "there is something to find"
    for name in ("versions", "reads", "edges", "assets", "columns"):
        assert not _difference(getattr(graph, name), getattr(truth, name)), name


def _difference(found: Any, wanted: Any) -> dict[str, list[str]]:
    """Return what is in one and not in the other; counted things with their counts."""
    here, there = ({*one.items()} if isinstance(one, dict) else one for one in (found, wanted))
    told = {"missing": sorted(map(str, there - here)), "too much": sorted(map(str, here - there))}
    return {what: items for what, items in told.items() if items}

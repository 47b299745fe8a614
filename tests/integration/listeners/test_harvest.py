"""Results of Airflow's own SQL check operators become reports, whatever became of the task."""

from __future__ import annotations

import json
import time
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowException
from airflow.providers.common.sql.operators.sql import (
    BranchSQLOperator,
    SQLCheckOperator,
    SQLColumnCheckOperator,
    SQLTableCheckOperator,
)
from airflow.sdk import DAG
from psycopg.conninfo import conninfo_to_dict

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.quality import QualityReport
from airflow_dataml.listeners.catalog import CatalogListener, log
from airflow_dataml.listeners.harvest import harvest_task
from tests.unit.listeners.test_catalog import Lines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_dataml.core.governance import Report

COLUMNS = {
    "id": {"null_check": {"equal_to": 0}, "unique_check": {"equal_to": 0}},
    "km": {"max": {"leq_to": 10}},
}


@pytest.fixture
def dsn(ledger_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    info = conninfo_to_dict(ledger_dsn)
    fields = {"host": info["host"], "login": info["user"], "schema": info["dbname"]}
    for name, kind in (("DATAML_DEFAULT", "dataml"), ("SHOP", "postgres")):
        monkeypatch.setenv(f"AIRFLOW_CONN_{name}", json.dumps(fields | {"conn_type": kind}))
    with PostgresLedger.connect(ledger_dsn) as ledger:
        ledger.connection.execute("CREATE TABLE public.trips (id int, km float)")
        ledger.connection.execute("INSERT INTO public.trips VALUES (1, 3), (2, 30)")
    return ledger_dsn


@pytest.fixture
def lines() -> Iterator[list[str]]:
    handler = Lines()
    log.addHandler(handler)
    yield handler.lines
    log.removeHandler(handler)


def ended(operator: Any, *, try_number: int = 1) -> Any:
    """Run an operator in a DAG and tell the listener, as Airflow's task runner would."""
    with DAG("shop", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        dag.add_task(operator)
    ti = SimpleNamespace(
        task=operator, dag_id="shop", run_id="r1", task_id=operator.task_id, map_index=-1, try_number=try_number,
        id=uuid.uuid4(), max_tries=0, start_date=datetime.now(UTC), end_date=datetime.now(UTC),
    )  # fmt: skip
    listener = CatalogListener()
    try:
        operator.execute({"ti": ti})
    except AirflowException:
        listener.on_task_instance_failed(task_instance=ti)
    else:
        listener.on_task_instance_success(task_instance=ti)
    return ti


def reports(dsn: str, asset: str = "trips") -> list[Report]:
    with PostgresLedger.connect(dsn) as ledger:
        return ledger.reports.list(asset=asset)


def columns(**said: Any) -> SQLColumnCheckOperator:
    mapping = {
        name: {check: dict(values) for check, values in checks.items()} for name, checks in COLUMNS.items()
    }
    return SQLColumnCheckOperator(
        task_id="check", conn_id="shop", **({"table": "trips", "column_mapping": mapping} | said)
    )


def test_a_failed_column_check_is_kept_with_the_table(dsn: str, lines: list[str]) -> None:
    ended(columns())
    [report] = reports(dsn)
    assert (report.kind, report.verdict, lines) == ("check", "fail", [])
    assert report.body["summary"] == "1 failed of 3 checks: km.max is 30, expected <=10."
    assert (report.body["engine"], report.body["operator"]) == ("common-sql", "SQLColumnCheckOperator")
    with PostgresLedger.connect(dsn) as ledger:
        asset = ledger.assets.get("trips")
    assert (asset["kind"], asset["source"]) == ("external", "observed")
    assert asset["location"] == {"table": "public.trips", "producer": "shop.check"}


def test_the_body_reads_as_any_report_of_ours(dsn: str) -> None:
    ended(columns())
    [report] = reports(dsn)
    read = QualityReport.from_dict(report.body)
    assert (str(read.relation), read.verdict.value) == ("public.trips", "fail")
    assert [check.column for check in read.checks] == ["id", "id", "km"]


def test_a_table_check_that_passes_is_kept(dsn: str) -> None:
    ended(
        SQLTableCheckOperator(
            task_id="check",
            conn_id="shop",
            table="public.trips",
            checks={"enough": {"check_statement": "count(*) > 1"}},
        )
    )
    assert [(r.verdict, r.body["checks"][0]["name"]) for r in reports(dsn)] == [("pass", "enough")]


def test_a_check_without_table_is_about_the_one_its_sql_reads(dsn: str) -> None:
    ended(SQLCheckOperator(task_id="check", conn_id="shop", sql="SELECT count(*) > 1 FROM public.trips"))
    assert [r.verdict for r in reports(dsn)] == ["pass"]


def test_each_try_has_its_report_and_the_same_end_told_twice_is_one(dsn: str) -> None:
    ti = ended(columns())
    CatalogListener().on_task_instance_failed(task_instance=ti)
    with PostgresLedger.connect(dsn) as ledger:
        ledger.connection.execute("DELETE FROM public.trips WHERE id = 2")
    ended(columns(), try_number=2)
    assert [r.verdict for r in reports(dsn)] == ["pass", "fail"]


def test_a_table_that_is_a_dataset_keeps_its_name(dsn: str) -> None:
    with PostgresLedger.connect(dsn) as ledger:
        ledger.assets.register(
            name="rides", kind="dataset", uri="dataml://dataset/rides", location={"table": "public.trips"}
        )
    ended(columns())
    assert [r.verdict for r in reports(dsn, "rides")] == ["fail"]


def test_a_table_of_the_same_name_elsewhere_is_another(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = columns()
    ended(operator)
    fields = {"conn_type": "postgres", "host": "elsewhere", "schema": "x"}
    monkeypatch.setenv("AIRFLOW_CONN_FAR", json.dumps(fields))
    operator.conn_id = "far"
    operator.__dict__.pop("_hook")
    ti = SimpleNamespace(
        task=operator, dag_id="shop", run_id="r2", task_id="check", map_index=-1, try_number=1, id=uuid.uuid4(),
        start_date=None, end_date=None,
    )  # fmt: skip
    harvest_task(ti)
    with PostgresLedger.connect(dsn) as ledger:
        found = {a["name"][:5]: a for a in ledger.assets.list() if a["location"].get("conn_id")}
    assert found["trips"]["uri"] == "postgres://elsewhere:5432/x/public/trips"
    assert found["trips"]["name"] != "trips"


def test_a_choice_is_no_check(dsn: str) -> None:
    operator = BranchSQLOperator(
        task_id="choose", conn_id="shop", sql="SELECT 1 FROM trips LIMIT 1", follow_task_ids_if_true=[], follow_task_ids_if_false=[]
    )  # fmt: skip
    operator.check_results = operator._build_check_results(1)
    CatalogListener().on_task_instance_success(task_instance=SimpleNamespace(task=operator))
    with PostgresLedger.connect(dsn) as ledger:
        assert ledger.assets.list() == []


def test_a_ledger_that_hangs_is_waited_for_a_bounded_time(dsn: str) -> None:
    ti = ended(columns())
    ti.run_id = "r2"
    with PostgresLedger.connect(dsn) as other, other.transaction():
        other.connection.execute("LOCK TABLE dataml.asset")
        started = time.monotonic()
        harvest_task(ti, patience_s=0.3)
        took = time.monotonic() - started
    assert 0.3 <= took < 2


@pytest.mark.parametrize("results", [None, [], [object()], "?"], ids=["none", "empty", "object", "text"])
def test_what_is_not_understood_ends_no_task(results: Any) -> None:
    task = SimpleNamespace(check_results=results)
    CatalogListener().on_task_instance_success(task_instance=SimpleNamespace(task=task))
    CatalogListener().on_task_instance_failed(task_instance=object())


def test_it_can_be_turned_off(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATAML__HARVEST_CHECKS", "False")
    ended(columns())
    with PostgresLedger.connect(dsn) as ledger:
        assert ledger.assets.list() == []


def test_a_dead_ledger_ends_no_task(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "AIRFLOW_CONN_DATAML_DEFAULT",
        json.dumps({"conn_type": "dataml", "host": "127.0.0.1", "port": 1, "schema": "x"}),
    )
    assert ended(columns()).task.check_results

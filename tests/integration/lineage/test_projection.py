from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.steps.lineage import project_pending
from tests.lineage_events import (
    SERVER,
    column_edges,
    column_lineage,
    edges,
    out,
    put,
    run_event,
    schema,
    table,
)

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

pytestmark = pytest.mark.integration


def project(ledger: PostgresLedger, *events: dict[str, Any], source: str = "transport") -> Any:
    put(ledger.connection, list(events), source=source)
    return project_pending(projector=PostgresProjection(ledger.connection))


def test_a_run_joins_what_it_read_with_what_it_wrote(ledger: PostgresLedger) -> None:
    done = project(
        ledger,
        run_event("START", 0, inputs=[table("orders")], outputs=[table("sales")]),
        run_event("COMPLETE", 1, inputs=[table("orders")], outputs=[table("sales")]),
    )
    assert (done.stored, done.refused) == (2, {})
    assert edges(ledger.connection) == {("orders@1", "sales@1")}
    origins = ledger.connection.rows("SELECT origin FROM dataml.version ORDER BY version_id")
    assert {row["origin"] for row in origins} == {"found", "observed"}


def test_the_next_run_reads_the_version_before_it(ledger: PostgresLedger) -> None:
    project(
        ledger,
        run_event("COMPLETE", 1, outputs=[table("orders")], job="a.b"),
        run_event("START", 2, inputs=[table("orders")], outputs=[table("sales")]),
        run_event("COMPLETE", 3),
        run_event("COMPLETE", 4, outputs=[table("orders")], job="a.b", run_id="r2"),
        run_event("COMPLETE", 5, inputs=[table("orders")], outputs=[table("sales")], run_id="r2"),
    )
    assert edges(ledger.connection) == {("orders@1", "sales@1"), ("orders@2", "sales@2")}


def test_columns_of_a_mapping(ledger: PostgresLedger) -> None:
    lineage = column_lineage("orders", total="amount")
    project(
        ledger,
        run_event(
            "COMPLETE", 1, inputs=[table("orders", schema=schema("amount"))],
            outputs=[out("sales", schema=schema("total"), columnLineage=lineage)],
        ),
    )  # fmt: skip
    assert column_edges(ledger.connection) == {("orders.amount", "sales.total")}
    row = ledger.connection.one("SELECT a.*, b.columns FROM dataml.asset a JOIN dataml.schema_blob b USING (schema_hash) WHERE name = %s", [f"{SERVER}/shop.public.sales"])  # fmt: skip
    assert row["columns"] == [["total", "bigint"]]


def test_events_of_a_run_may_come_in_any_order(ledger: PostgresLedger) -> None:
    project(ledger, run_event("COMPLETE", 3, outputs=[table("sales")]))
    assert edges(ledger.connection) == set()
    project(ledger, run_event("START", 1, inputs=[table("orders")]))
    assert edges(ledger.connection) == {("orders@1", "sales@1")}


def test_the_same_event_twice_is_one(ledger: PostgresLedger) -> None:
    event = run_event("COMPLETE", 1, inputs=[table("orders")], outputs=[table("sales")])
    project(ledger, event)
    assert project(ledger, event).stored == 0
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.version") == 2


def test_a_write_heard_of_late_takes_over_the_reads_after_it(ledger: PostgresLedger) -> None:
    project(ledger, run_event("COMPLETE", 5, inputs=[table("orders")], outputs=[table("sales")]))
    project(ledger, run_event("COMPLETE", 2, outputs=[table("orders")], job="a.b"))
    assert [dst for _, dst in edges(ledger.connection)] == ["sales@1"]
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.version WHERE origin = 'found'") == 0


@pytest.mark.parametrize(
    ("rows", "written"),
    [(None, set()), (0, set()), (7, {("orders@1", "sales@1")})],
    ids=["nothing", "zero", "rows"],
)
def test_a_failed_run_wrote_what_it_counted(ledger: PostgresLedger, rows: int | None, written: Any) -> None:
    project(
        ledger,
        run_event("START", 0, inputs=[table("orders")], outputs=[out("sales")]),
        run_event("FAIL", 1, inputs=[table("orders")], outputs=[out("sales", rows=rows)]),
    )
    assert edges(ledger.connection) == written
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.run_io WHERE direction = 'in'") == 1


def test_a_retry_and_a_clear_write_their_own_versions(ledger: PostgresLedger) -> None:
    for number in (1, 2, 3):
        state = "FAIL" if number == 1 else "COMPLETE"
        project(ledger, run_event(state, number, try_number=number, outputs=[table("sales")]))
    found = ledger.connection.rows(
        "SELECT number, facts ->> 'try' AS try FROM dataml.version ORDER BY number"
    )
    assert [(row["number"], row["try"]) for row in found] == [(1, "2"), (2, "3")]
    run = ledger.connection.one(
        "SELECT count(*) AS n, max(ol_try) AS t, max(ol_state) AS s FROM dataml.run WHERE task_id <> ''"
    )
    assert (run["n"], run["t"], run["s"]) == (1, 3, "COMPLETE")


def test_two_dag_runs_with_one_openlineage_id_stay_two(ledger: PostgresLedger) -> None:
    same = "01941f29-7c00-7aaa-9b6e-000000000000"
    project(
        ledger,
        run_event("START", 0, run_id="a", ol_run_id=same, inputs=[table("orders")]),
        run_event("START", 0, run_id="b", ol_run_id=same, inputs=[table("orders")]),
        run_event("COMPLETE", 1, run_id="a", ol_run_id=same, outputs=[table("sales")]),
        run_event("FAIL", 2, run_id="b", ol_run_id=same, outputs=[table("sales")]),
    )
    runs = ledger.connection.rows(
        "SELECT run_id, ol_state FROM dataml.run WHERE task_id <> '' ORDER BY run_id"
    )
    assert [(row["run_id"], row["ol_state"]) for row in runs] == [("a", "COMPLETE"), ("b", "FAIL")]
    assert edges(ledger.connection) == {("orders@1", "sales@1")}


def test_a_broken_event_costs_no_other(ledger: PostgresLedger) -> None:
    done = project(
        ledger,
        run_event("COMPLETE", 1, inputs=[table("orders")], outputs=[table("sales")]),
        {
            "eventType": "COMPLETE",
            "eventTime": "yesterday",
            "run": {"runId": "x"},
            "job": {"namespace": "n", "name": "j"},
        },
        {"eventTime": "2026-01-01T00:00:00Z"},
    )
    assert done.stored == 1
    assert sorted(why.split(":")[0] for why in done.refused.values()) == [
        "an event has a run, a dataset or a job; this one has none of them.",
        "eventTime 'yesterday' is no time",
    ]
    assert edges(ledger.connection) == {("orders@1", "sales@1")}


def test_an_operator_begins_a_run_that_lineage_saw_first(ledger: PostgresLedger) -> None:
    from tests.support import identity

    who = identity()
    job = f"{who.task.dag_id}.{who.task.task_id}"
    project(ledger, run_event("START", 0, job=job, run_id=who.task.run_id))
    run = ledger.runs.begin(who, input_digest="a")
    assert (run.generation, run.resumed) == (1, False)
    assert ledger.runs.begin(who, input_digest="a").resumed is True
    kept = ledger.connection.one(
        "SELECT source, partition_key, ol_state FROM dataml.run WHERE run_key = %s", [run.run_key]
    )
    assert (kept["source"], kept["partition_key"], kept["ol_state"]) == (
        "operator",
        who.partition_key,
        "START",
    )

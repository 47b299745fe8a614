"""Whose datasets they are: stubs, other names, our own versions, and what nobody ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.graph_names import NameGraph
from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.adapters.postgres.lineage_projector import projector
from airflow_dataml.adapters.sqlglot.parser import SqlglotParser
from airflow_dataml.steps.lineage import project_pending
from tests.lineage_events import (
    SERVER,
    column_edges,
    column_lineage,
    edges,
    moment,
    out,
    put,
    run_event,
    schema,
    short,
    table,
)
from tests.support import declare, identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

pytestmark = pytest.mark.integration


def project(ledger: PostgresLedger, *events: dict[str, Any], source: str = "transport") -> Any:
    put(ledger.connection, list(events), source=source)
    return project_pending(projector=PostgresProjection(ledger.connection))


def published(ledger: PostgresLedger, name: str) -> Any:
    declare(ledger, name)
    run = ledger.runs.begin(identity(), input_digest="a")
    version = ledger.versions.add(run=run, fact=run.fact(name))
    ledger.versions.move_alias(asset=name, name="current", version_id=version.version_id, run=run)
    return version


def ours(version: Any) -> dict[str, Any]:
    """A dataset as our operators tell it."""
    said = {"asset": version.asset, "number": version.number, "versionId": version.version_id}
    facets = {"version": {"datasetVersion": str(version.number)}, "dataml_version": said}
    return table(version.asset, **facets)


def test_our_own_version_is_recognised(ledger: PostgresLedger) -> None:
    rides = published(ledger, "rides")
    project(ledger, run_event("COMPLETE", 1, inputs=[ours(rides)], outputs=[table("sales")]))
    assert edges(ledger.connection) == {("rides@1", "sales@1")}
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.asset") == 2
    # From now on its table is known by name.
    project(
        ledger,
        run_event(
            "COMPLETE", 60 * 24 * 36500, run_id="r2", inputs=[table("rides")], outputs=[table("sales")]
        ),
    )
    assert edges(ledger.connection) == {("rides@1", "sales@1"), ("rides@1", "sales@2")}


def test_naming_a_managed_dataset_as_an_output_makes_no_version_of_it(ledger: PostgresLedger) -> None:
    rides = published(ledger, "rides")
    project(ledger, run_event("COMPLETE", 1, inputs=[table("raw")], outputs=[{**ours(rides), "facets": {"symlinks": {"identifiers": [{"namespace": "dataml", "name": "dataset/rides", "type": "TABLE"}]}}}]))  # fmt: skip
    assert ledger.versions.list("rides")[0].number == 1
    assert edges(ledger.connection) == set()
    pair = ledger.connection.one("SELECT s.name AS src, d.name AS dst FROM dataml.asset_edge e JOIN dataml.asset s ON s.asset_id = e.src JOIN dataml.asset d ON d.asset_id = e.dst")  # fmt: skip
    assert (short(pair["src"]), pair["dst"]) == ("raw", "rides")


def test_another_ledger_s_version_is_not_ours(ledger: PostgresLedger) -> None:
    rides = published(ledger, "rides")
    project(
        ledger, run_event("COMPLETE", 1, inputs=[ours(rides)], outputs=[table("sales")]), source="receiver"
    )
    names = {row["name"] for row in ledger.connection.rows("SELECT name FROM dataml.asset")}
    assert f"{SERVER}/shop.public.rides" in names


def test_symlinks_and_servers_of_several_addresses_are_one_asset(ledger: PostgresLedger) -> None:
    ledger.connection.execute(
        "INSERT INTO dataml.namespace_alias VALUES ('postgres://10.0.0.1:5432', %s)", [SERVER]
    )
    link = {"identifiers": [{"namespace": SERVER, "name": "shop.public.orders", "type": "TABLE"}]}
    path = {"namespace": "s3://lake", "name": "orders", "facets": {"symlinks": link}}
    project(
        ledger,
        run_event("COMPLETE", 1, job="a.b", outputs=[path]),
        run_event(
            "COMPLETE",
            2,
            inputs=[table("orders") | {"namespace": "postgres://10.0.0.1:5432"}],
            outputs=[table("sales")],
        ),
    )
    assert len(edges(ledger.connection)) == 1
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.asset") == 2


def test_a_version_by_name_is_read_whoever_tells_of_it_first(ledger: PostgresLedger) -> None:
    seven = {"version": {"datasetVersion": "7"}}
    project(ledger, run_event("COMPLETE", 5, inputs=[table("ice", **seven)], outputs=[table("sales")]))
    project(ledger, run_event("COMPLETE", 1, job="a.b", outputs=[out("ice", **seven)]))
    project(
        ledger,
        run_event(
            "COMPLETE", 3, job="a.b", run_id="r2", outputs=[out("ice", version={"datasetVersion": "8"})]
        ),
    )
    row = ledger.connection.one(
        "SELECT v.origin, v.facts FROM dataml.edge e JOIN dataml.version v ON v.version_id = e.src_id"
    )
    assert (row["origin"], row["facts"]["dataset_version"]) == ("observed", "7")


def test_words_and_schema_of_a_dataset_nobody_declared(ledger: PostgresLedger) -> None:
    facets = {
        "schema": {"fields": [{"name": "total", "type": "bigint", "description": "in cents"}]},
        "ownership": {"owners": [{"name": "team:data"}]}, "documentation": {"description": "what was sold"},
        "datasetType": {"datasetType": "TABLE"}, "tags": {"tags": [{"key": "pii", "value": "true"}]},
    }  # fmt: skip
    project(ledger, run_event("COMPLETE", 1, outputs=[out("sales", **facets)]))
    row = ledger.connection.one(
        "SELECT a.*, c.description AS doc FROM dataml.asset a JOIN dataml.asset_column c USING (asset_id)"
    )
    assert (row["owner"], row["documentation"], row["subtype"], row["tags"], row["doc"]) == (
        "team:data", "what was sold", "table", ["pii"], "in cents",
    )  # fmt: skip
    project(
        ledger, run_event("COMPLETE", 2, run_id="r2", outputs=[out("sales", schema=schema("total", "tax"))])
    )
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.asset_schema") == 2


def test_a_dropped_dataset_is_gone_until_it_is_written_again(ledger: PostgresLedger) -> None:
    drop = out("sales", lifecycleStateChange={"lifecycleStateChange": "DROP"})
    project(
        ledger,
        run_event("COMPLETE", 1, outputs=[table("sales")]),
        run_event("COMPLETE", 2, run_id="r2", outputs=[drop]),
    )
    assert ledger.connection.scalar("SELECT status FROM dataml.asset") == "deleted"
    project(ledger, run_event("COMPLETE", 3, run_id="r3", outputs=[table("sales")]))
    assert ledger.connection.scalar("SELECT status FROM dataml.asset") == "active"
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.version") == 2


def test_a_renamed_dataset_keeps_its_history(ledger: PostgresLedger) -> None:
    old = {"namespace": SERVER, "name": "shop.public.sales"}
    renamed = out(
        "revenue", lifecycleStateChange={"lifecycleStateChange": "RENAME", "previousIdentifier": old}
    )
    project(ledger, run_event("COMPLETE", 1, outputs=[table("sales")]))
    project(ledger, run_event("COMPLETE", 2, run_id="r2", outputs=[renamed]))
    project(
        ledger, run_event("COMPLETE", 3, run_id="r3", inputs=[table("revenue")], outputs=[table("report")])
    )
    assert edges(ledger.connection) == {("sales@1", "report@1")}


def test_jobs_and_views_that_nobody_ran_are_described(ledger: PostgresLedger) -> None:
    job = run_event("COMPLETE", 1, inputs=[table("a")], outputs=[table("b")])
    del job["run"], job["eventType"]
    source = {"inputs": [table("b") | {"type": "DATASET"}]}
    view = {
        "eventTime": moment(2).isoformat(),
        "producer": "p",
        "schemaURL": "s",
        "dataset": table("v", lineage=source),
    }
    assert project(ledger, job, view).stored == 2
    rows = ledger.connection.rows("SELECT s.name AS src, d.name AS dst, runs, declared FROM dataml.asset_edge e JOIN dataml.asset s ON s.asset_id = e.src JOIN dataml.asset d ON d.asset_id = e.dst ORDER BY 1")  # fmt: skip
    assert [(short(r["src"]), short(r["dst"]), r["runs"], r["declared"]) for r in rows] == [
        ("a", "b", 0, True),
        ("b", "v", 0, True),
    ]
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.version") == 0


def test_an_output_that_is_taken_back_leaves_nothing(ledger: PostgresLedger) -> None:
    drop = out("sales", lifecycleStateChange={"lifecycleStateChange": "DROP"})
    project(ledger, run_event("COMPLETE", 1, inputs=[table("orders")], outputs=[table("sales")]))
    project(ledger, run_event("COMPLETE", 5, job="a.b", inputs=[table("sales")], outputs=[table("report")]))
    project(ledger, run_event("OTHER", 2, outputs=[drop]))
    assert edges(ledger.connection) == {("sales@2", "report@1")}
    assert ledger.connection.scalar("SELECT count(*) FROM dataml.version WHERE created_at = 'infinity'") == 0


def test_columns_of_sql_come_from_the_catalog_s_schemas(ledger: PostgresLedger) -> None:
    project(ledger, run_event("COMPLETE", 0, job="a.b", outputs=[out("orders", schema=schema("amount", "day")), out("sales", schema=schema("total"))]))  # fmt: skip
    sql = "INSERT INTO sales SELECT amount FROM orders"
    put(
        ledger.connection,
        [run_event("COMPLETE", 1, inputs=[table("orders")], outputs=[table("sales")], sql={"query": sql})],
    )
    project_pending(projector=projector(ledger.connection, parser=SqlglotParser()))
    assert column_edges(ledger.connection) == {("orders.amount", "sales.total")}
    assert ledger.connection.scalar("SELECT method FROM dataml.column_edge") == "sqlglot"


def test_a_spark_run_is_a_child_of_the_task_that_started_it(ledger: PostgresLedger) -> None:
    task = run_event("START", 0, namespace="airflow", ol_run_id="task-id")
    child = run_event(
        "COMPLETE", 1, airflow=False, namespace="spark", job="app", ol_run_id="s", outputs=[table("sales")]
    )
    child["run"]["facets"] = {
        "parent": {"run": {"runId": "task-id"}, "job": {"namespace": "airflow", "name": "etl.load"}}
    }
    project(ledger, task)
    project(ledger, child, source="receiver")
    row = ledger.connection.one("SELECT p.dag_id, p.task_id FROM dataml.run r JOIN dataml.run p ON p.run_key = r.parent_key WHERE r.dag_id = 'spark'")  # fmt: skip
    assert (row["dag_id"], row["task_id"]) == ("etl", "load")


def test_a_stub_that_turns_out_to_be_declared_brings_its_history_along(ledger: PostgresLedger) -> None:
    lineage = column_lineage("raw", total="amount")
    project(
        ledger,
        run_event("COMPLETE", 1, job="a.b", outputs=[table("raw")]),
        run_event("COMPLETE", 2, inputs=[table("raw")], outputs=[out("sales", columnLineage=lineage)]),
    )
    ledger.connection.execute(
        "INSERT INTO dataml.asset (name, kind, uri) VALUES ('raw_rides', 'external', 'raw_rides')"
    )
    ledger.connection.execute(
        "INSERT INTO dataml.asset_alias (namespace, name, asset_id) SELECT 's3://lake', 'raw', asset_id FROM dataml.asset WHERE name = 'raw_rides'"
    )
    link = {"identifiers": [{"namespace": SERVER, "name": "shop.public.raw", "type": "TABLE"}]}
    path = {"namespace": "s3://lake", "name": "raw", "facets": {"symlinks": link}}
    project(ledger, run_event("COMPLETE", 3, run_id="r2", inputs=[path], outputs=[table("sales")]))
    project(ledger, run_event("COMPLETE", 4, run_id="r2", job="a.b", outputs=[table("raw")]))
    # What was seen later of the run that wrote the stub is of the same version.
    project(ledger, run_event("OTHER", 1.5, job="a.b", outputs=[out("raw", rows=7)]))
    assert edges(ledger.connection) == {("raw_rides@1", "sales@1"), ("raw_rides@1", "sales@2")}
    assert column_edges(ledger.connection) == {("raw_rides.amount", "sales.total")}
    assert [row["number"] for row in ledger.connection.rows("SELECT number FROM dataml.version JOIN dataml.asset USING (asset_id) WHERE name = 'raw_rides' ORDER BY 1")] == [1, 2]  # fmt: skip
    names = NameGraph(ledger.connection)
    found = names.columns("sales", "total", direction="upstream")
    assert [short(n.label) for n in found.nodes] == ["sales.total", "raw_rides.amount"]
    assert ledger.connection.scalar("SELECT runs FROM dataml.asset_edge") == 2

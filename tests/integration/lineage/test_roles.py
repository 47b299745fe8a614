"""The three database roles, each on what it is for: workers on catalog and graph, readers on reading alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.crawl import PostgresCrawls, PostgresTables
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.lineage_projector import projector
from airflow_dataml.adapters.postgres.migrate import GRANTS
from airflow_dataml.adapters.postgres.search import PostgresSearch
from airflow_dataml.adapters.sqlglot import parser_if_installed
from airflow_dataml.core.catalog import AssetEntry
from airflow_dataml.core.delivery import DELIVERED, BackendSpec
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.lineage import version_node
from airflow_dataml.core.refs import TaskKey
from airflow_dataml.core.runs import RunIdentity
from airflow_dataml.steps.crawl import crawl_tables
from airflow_dataml.steps.curate import delete_asset, merge_assets
from airflow_dataml.steps.lineage import project_pending, store_events
from tests.integration.steps.rides import Rides
from tests.lineage_events import SERVER, edges, out, put, run_event, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.core.delivery import Due, Outcome

ROLES = {name: f"dataml_{name}_of_lineage" for name in ("reader", "writer", "approver")}


@pytest.fixture
def roles(ledger_dsn: str) -> Iterator[dict[str, str]]:
    """Connection strings by role."""
    with Connection(ledger_dsn) as admin:
        for role in ROLES.values():
            admin.execute(f'CREATE ROLE "{role}" LOGIN')
        admin.execute(GRANTS.format(**ROLES))
        try:
            yield {name: f"{ledger_dsn} user={role}" for name, role in ROLES.items()}
        finally:
            for role in ROLES.values():
                admin.execute(f'DROP OWNED BY "{role}" CASCADE')
                admin.execute(f'DROP ROLE "{role}"')


def identity(task: str) -> RunIdentity:
    return RunIdentity(task=TaskKey("catalog", "r1", task))


def project(ledger: PostgresLedger) -> None:
    done = project_pending(projector=projector(ledger.connection, parser=parser_if_installed()))
    assert done.refused == {}


def test_a_writer_may_all_that_events_lead_to(roles: dict[str, str]) -> None:
    with PostgresLedger.connect(roles["writer"]) as ledger:
        put(ledger.connection, [
            run_event("START", 10, job="etl.load", inputs=[table("orders")]),
            run_event("RUNNING", 11, job="etl.load", inputs=[table("orders")], outputs=[out("sales", rows=3), out("scratch", rows=3)]),
            run_event("COMPLETE", 20, job="etl.report", inputs=[table("sales")], outputs=[out("report")],
                      sql={"query": "INSERT INTO report SELECT * FROM sales"}),
        ])  # fmt: skip
        project(ledger)
        assert edges(ledger.connection) == {
            ("orders@1", "sales@1"),
            ("orders@1", "scratch@1"),
            ("sales@1", "report@1"),
        }
        # What was said before is taken back, and a write heard of late takes over a read.
        dropped = out("scratch", lifecycleStateChange={"lifecycleStateChange": "DROP"})
        put(ledger.connection, [
            run_event("COMPLETE", 15, job="etl.load", inputs=[table("orders")], outputs=[out("sales"), dropped]),
            run_event("COMPLETE", 5, job="etl.early", inputs=[table("raw")], outputs=[out("orders")]),
        ])  # fmt: skip
        project(ledger)
        assert edges(ledger.connection) == {
            ("raw@1", "orders@2"),
            ("orders@2", "sales@1"),
            ("sales@1", "report@1"),
        }


def test_a_writer_may_receive_deliver_and_purge(roles: dict[str, str]) -> None:
    with PostgresLedger.connect(roles["writer"]) as ledger:
        writing = projector(ledger.connection)
        told = store_events(
            events=[run_event("COMPLETE", 5, outputs=[out("sales")])], store=writing.inbox, projector=writing
        )
        assert [one.status for one in told] == ["stored"]
        ledger.delivery.register([BackendSpec("lake", "file")])
        assert ledger.delivery.fan_out() == 1
        assert ledger.delivery.deliver("lake", _taken).delivered == 1
        assert ledger.delivery.replay("lake") == 0
        assert ledger.delivery.purge(days=0) == 1


def test_a_writer_may_fill_and_curate_the_catalog(roles: dict[str, str]) -> None:
    with PostgresLedger.connect(roles["writer"]) as ledger, Connection(roles["writer"]) as tables:
        tables.execute("CREATE TABLE public.parcels (id int, weight numeric)")
        done = crawl_tables(
            ledger=ledger, crawls=PostgresCrawls(ledger.connection), tables=PostgresTables(tables), identity=identity("crawl")
        )  # fmt: skip
        assert done.registered.new > 0
        ledger.catalog.register_all([AssetEntry("boxes", "external", "https://boxes.example.com")])
        put(ledger.connection, [run_event("COMPLETE", 5, inputs=[table("raw")], outputs=[out("boxes")])])
        project(ledger)
        merge_assets(
            ledger=ledger, curation=ledger.curation, identity=identity("merge"),
            name=f"{SERVER}/shop.public.boxes", into="boxes", reason="the same",
        )  # fmt: skip
        delete_asset(
            ledger=ledger, curation=ledger.curation, identity=identity("delete"), name="boxes", reason="gone"
        )


def test_nobody_but_its_owner_changes_what_was_published(roles: dict[str, str], ledger_dsn: str) -> None:
    with PostgresLedger.connect(roles["writer"]) as ledger:
        rides = Rides(ledger)
        rides.publish(rides.stage([(1, "bike", 2.5)]))
        for statement in ("UPDATE dataml.version SET row_count = 0", "DELETE FROM dataml.version"):
            with pytest.raises(SpecError, match="never changes"):
                ledger.connection.execute(statement)
    with Connection(ledger_dsn) as owner:
        assert owner.execute("UPDATE dataml.version SET row_count = 0") == 1


def test_a_reader_may_search_and_walk_and_write_nothing(roles: dict[str, str]) -> None:
    with PostgresLedger.connect(roles["writer"]) as ledger:
        put(ledger.connection, [run_event("COMPLETE", 5, inputs=[table("raw")], outputs=[out("sales")])])
        project(ledger)
    with PostgresLedger.connect(roles["reader"]) as ledger:
        [version] = ledger.connection.rows("SELECT version_id FROM dataml.version WHERE origin = 'observed'")
        graph = ledger.lineage.walk(str(version_node(version["version_id"])), direction="upstream")
        assert len(graph.nodes) == 2
        assert len(PostgresSearch(ledger.connection).search("sales").hits) == 1
        assert len(PostgresSearch(ledger.connection).search("salse").hits) == 1
        for name in ("lineage_event", "asset_alias", "column_edge", "lineage_delivery", "crawl"):
            with pytest.raises(SpecError, match="permission denied"):
                ledger.connection.execute(f"DELETE FROM dataml.{name}")


def _taken(due: Sequence[Due]) -> list[Outcome]:
    return [DELIVERED for _ in due]

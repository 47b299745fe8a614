from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.graph_names import NameGraph
from airflow_dataml.adapters.postgres.lineage_projection import PostgresProjection
from airflow_dataml.core.column_lineage import ColumnMap
from airflow_dataml.core.errors import AssetNotFoundError
from airflow_dataml.core.lineage import Edge, version_node
from airflow_dataml.steps.lineage import project_pending
from tests.lineage_events import column_edges, column_lineage, moment, out, put, run_event, short, table
from tests.support import declare, identity

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

pytestmark = pytest.mark.integration


@pytest.fixture
def chain(ledger: PostgresLedger) -> PostgresLedger:
    """a -> b -> c -> d, and e -> c; columns x of each from x of the one before."""
    events = []
    for at, (source, target) in enumerate((("a", "b"), ("b", "c"), ("c", "d")), start=1):
        made = out(target, columnLineage=column_lineage(source, x="x"))
        inputs = [table(source)] + ([table("e")] if target == "c" else [])
        events.append(run_event("COMPLETE", at, job=f"etl.{target}", inputs=inputs, outputs=[made]))
    put(ledger.connection, events)
    project_pending(projector=PostgresProjection(ledger.connection))
    return ledger


def labels(graph: Any) -> list[str]:
    return sorted(short(node.label) for node in graph.nodes)


def node(ledger: PostgresLedger, name: str) -> str:
    found = NameGraph(ledger.connection).version(name)
    return f"version:{found}"


def test_versions_both_ways(chain: PostgresLedger) -> None:
    assert labels(chain.lineage.walk(node(chain, "d"), direction="upstream")) == [
        "a@1",
        "b@1",
        "c@1",
        "d@1",
        "e@1",
    ]
    assert labels(chain.lineage.walk(node(chain, "b"), direction="downstream")) == ["b@1", "c@1", "d@1"]


def test_between_two_nodes_is_only_what_is_on_the_way(chain: PostgresLedger) -> None:
    found = chain.lineage.between(node(chain, "a"), node(chain, "c"))
    assert (labels(found), len(found.edges)) == (["a@1", "b@1", "c@1"], 2)
    assert labels(chain.lineage.between(node(chain, "d"), node(chain, "a"))) == []
    by_name = NameGraph(chain.connection).between("a", "d")
    assert labels(by_name) == ["a", "b", "c", "d"]


def test_at_a_time_only_what_was_known_then(chain: PostgresLedger) -> None:
    found = chain.lineage.walk(node(chain, "a"), direction="downstream", at=moment(2.5))
    assert labels(found) == ["a@1", "b@1", "c@1"]
    names = NameGraph(chain.connection).walk("a", direction="downstream", at=moment(1.5))
    assert labels(names) == ["a", "b"]


def test_by_name_says_which_job(chain: PostgresLedger) -> None:
    found = NameGraph(chain.connection).walk("c", direction="upstream", depth=1)
    assert (labels(found), {kind for _, _, kind in found.edges}) == (["b", "c", "e"], {"etl.c"})


def test_from_one_column(chain: PostgresLedger) -> None:
    names = NameGraph(chain.connection)
    assert labels(names.columns("d", "x", direction="upstream")) == ["a.x", "b.x", "c.x", "d.x"]
    assert labels(names.columns("b", "x", direction="downstream")) == ["b.x", "c.x", "d.x"]
    assert labels(names.columns("b", "y", direction="downstream")) == ["b.y"]


def test_a_mapping_that_changed_is_shown_as_it_is_now(chain: PostgresLedger) -> None:
    changed = out("b", columnLineage=column_lineage("a", x="z"))
    put(
        chain.connection,
        [run_event("COMPLETE", 9, job="etl.b", run_id="r2", inputs=[table("a")], outputs=[changed])],
    )
    project_pending(projector=PostgresProjection(chain.connection))
    names = NameGraph(chain.connection)
    assert labels(names.columns("b", "x", direction="upstream")) == ["a.z", "b.x"]
    assert labels(names.columns("b", "x", direction="upstream", at=moment(5))) == ["a.x", "b.x"]
    assert ("a.x", "b.x") in column_edges(chain.connection)


def test_a_walk_is_bounded_and_says_so(chain: PostgresLedger) -> None:
    assert chain.lineage.walk(node(chain, "d"), direction="upstream", depth=1).truncated
    found = chain.lineage.walk(node(chain, "d"), direction="upstream", limit=3)
    assert (len(found.nodes), found.truncated) == (3, True)
    assert not chain.lineage.walk(node(chain, "d"), direction="upstream").truncated


def test_everything_upstream_by_asset(chain: PostgresLedger) -> None:
    rows = chain.lineage.closure(node(chain, "d"), direction="upstream")
    assert [(short(row["name"]), row["versions"]) for row in rows] == [("a", 1), ("b", 1), ("c", 1), ("e", 1)]


def test_an_unknown_name_is_told_with_what_is_known(chain: PostgresLedger) -> None:
    with pytest.raises(AssetNotFoundError, match="does not exist"):
        NameGraph(chain.connection).walk("nowhere", direction="upstream")


def test_an_operator_s_edges_are_there_by_name_and_column_too(ledger: PostgresLedger) -> None:
    for name in ("orders", "sales"):
        declare(ledger, name)
    run = ledger.runs.begin(identity(), input_digest="a")
    made = [ledger.versions.add(run=run, fact=run.fact(name)) for name in ("orders", "sales")]
    edge = Edge(
        *(version_node(v.version_id) for v in made), "derived", ColumnMap.declared([("total", "amount")])
    )
    ledger.lineage.add([edge], run=run)
    ledger.lineage.add([edge], run=run)
    names = NameGraph(ledger.connection)
    assert [n.label for n in names.walk("sales", direction="upstream").nodes] == ["sales", "orders"]
    assert column_edges(ledger.connection) == {("orders.amount", "sales.total")}
    assert ledger.connection.scalar("SELECT runs FROM dataml.asset_edge") == 1

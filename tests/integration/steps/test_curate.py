"""What people decide about the catalog, and the audit chain that says so."""

from __future__ import annotations

import pytest

from airflow_dataml.adapters.postgres.catalog_reading import CatalogReading
from airflow_dataml.adapters.postgres.search import PostgresSearch
from airflow_dataml.core.catalog import AssetEntry, AssetFilter, ColumnDoc
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import AssetNotFoundError, SpecError
from airflow_dataml.steps.curate import delete_asset, describe_asset, merge_assets, restore_asset, tag_asset
from tests.support import declare, identity, publish, rides_csv, stage

ORDERS = AssetEntry(
    "orders", "external", "u://orders", owner="ann", tags=("gold",), columns=(Column("id", "bigint"),)
)


@pytest.fixture
def world(ledger):
    ledger.catalog.register_all([ORDERS])
    return {"ledger": ledger, "curation": ledger.curation, "identity": identity()}


def audit(ledger):
    return ledger.connection.rows("SELECT action, subject, detail FROM dataml.audit ORDER BY seq")


def test_what_is_described_is_found_and_audited(ledger, world):
    said = {"description": "every sale", "freshness_s": 3600}
    changes = describe_asset(**world, name="orders", said=said, columns=[ColumnDoc("id", "the key")])
    assert set(changes) == {"description", "freshness_s", "id.description"}
    assert PostgresSearch(ledger.connection).search("sale").hits[0].name == "orders"
    assert [(row["action"], row["subject"]) for row in audit(ledger)] == [("catalog.describe", "orders")]
    assert describe_asset(**world, name="orders", said=said) == {}
    assert len(audit(ledger)) == 1


def test_what_is_declared_is_changed_where_it_is_declared(ledger, world):
    with pytest.raises(
        SpecError, match="owner of 'orders' is declared as 'ann' and cannot be described as 'bob'"
    ):
        describe_asset(**world, name="orders", said={"owner": "bob"})
    assert audit(ledger) == []


def test_what_a_person_said_outlives_a_crawl_and_yields_to_a_declaration(ledger, world):
    describe_asset(**world, name="orders", said={"description": "mine"})
    ledger.catalog.register_all(
        [AssetEntry("orders", "external", "u", description="a comment", source="crawled")]
    )
    assert ledger.assets.get("orders")["description"] == "mine"
    ledger.catalog.register_all([AssetEntry("orders", "external", "u://orders", description="declared")])
    assert ledger.assets.get("orders")["description"] == "declared"


def test_what_is_taken_back_may_be_said_by_a_crawl_again(ledger, world):
    crawled = AssetEntry("orders", "external", "u", description="a comment", source="crawled")
    ledger.catalog.register_all([crawled])
    describe_asset(**world, name="orders", said={"description": "mine"})
    describe_asset(**world, name="orders", said={"description": None})
    assert ledger.assets.get("orders")["description"] is None
    ledger.catalog.register_all([crawled])
    assert ledger.assets.get("orders")["description"] == "a comment"


@pytest.mark.parametrize(
    ("said", "columns", "why"),
    [
        ({"color": "red"}, (), r"\['color'\] cannot be described"),
        ({"importance": "huge"}, (), "importance 'huge' of asset 'orders' is not usable"),
        ({}, [ColumnDoc("nope", "x")], "'orders' has no column 'nope'"),
    ],
    ids=["field", "value", "column"],
)
def test_what_makes_no_sense_is_refused(world, said, columns, why):
    with pytest.raises(SpecError, match=why):
        describe_asset(**world, name="orders", said=said, columns=columns)


def test_tags_of_people_stand_beside_those_of_the_declaration(ledger, world):
    tag_asset(**world, name="orders", add=["pii"])
    tag_asset(**world, name="orders", add=["key"], column="id")
    ledger.catalog.register_all([AssetEntry("orders", "external", "u://orders", tags=("silver",))])
    assert ledger.assets.get("orders")["tags"] == ["silver", "pii"]
    assert CatalogReading(ledger.connection).asset("orders")["columns"][0]["tags"] == ["key"]
    assert len(PostgresSearch(ledger.connection).search(filter=AssetFilter(tag="pii")).hits) == 1
    tag_asset(**world, name="orders", remove=["pii"])
    assert ledger.assets.get("orders")["tags"] == ["silver"]
    with pytest.raises(SpecError, match=r"tags \['silver'\] of 'orders' are written in its declaration"):
        tag_asset(**world, name="orders", remove=["silver"])


def test_what_is_deleted_is_hidden_and_comes_back(ledger, world):
    delete_asset(**world, name="orders", reason="not ours")
    finder = PostgresSearch(ledger.connection)
    assert finder.search("orders").hits == ()
    assert finder.search("orders", AssetFilter(status=("deleted",))).hits[0].status == "deleted"
    ledger.catalog.register_all([AssetEntry("orders", "external", "u", source="crawled")])
    assert ledger.assets.get("orders")["status"] == "deleted"
    restore_asset(**world, name="orders")
    assert len(finder.search("orders").hits) == 1
    assert [row["action"] for row in audit(ledger)] == ["catalog.delete", "catalog.restore"]
    with pytest.raises(SpecError, match="a decision needs a reason"):
        delete_asset(**world, name="orders", reason=" ")


def test_what_is_declared_again_is_no_longer_deleted(ledger, world):
    delete_asset(**world, name="orders", reason="unused")
    ledger.catalog.register_all([ORDERS])
    assert ledger.assets.get("orders")["status"] == "active"


def test_merged_assets_are_one(ledger, world):
    stub = AssetEntry("x", "external", "u", source="observed", aliases=(("ns", "x"),), description="seen")
    ledger.catalog.register_all([stub, AssetEntry("y", "external", "u", source="observed")])
    db = ledger.connection
    ids = {row["name"]: row["asset_id"] for row in db.rows("SELECT name, asset_id FROM dataml.asset")}
    job = db.scalar("INSERT INTO dataml.job (namespace, name) VALUES ('a', 'j') RETURNING job_id")
    for src, dst in (("x", "y"), ("orders", "y"), ("y", "x")):
        db.execute(
            "INSERT INTO dataml.asset_edge VALUES (%s, %s, %s, now(), now(), 2)", [ids[src], ids[dst], job]
        )
    run = ledger.runs.begin(identity("io"), input_digest="x").run_key
    db.execute(
        "INSERT INTO dataml.run_io (run_key, asset_id, direction) VALUES (%s, %s, 'in')", [run, ids["x"]]
    )
    assert merge_assets(**world, name="x", into="orders", reason="the same") != {}
    assert merge_assets(**world, name="x", into="orders", reason="the same") == {}
    edges = db.rows("SELECT src, dst, runs FROM dataml.asset_edge ORDER BY src, dst")
    y, orders = ids["y"], ids["orders"]
    assert sorted((e["src"], e["dst"], e["runs"]) for e in edges) == sorted([(orders, y, 4), (y, orders, 2)])
    assert db.scalar("SELECT asset_id FROM dataml.run_io") == orders
    assert ledger.assets.get("x")["name"] == "orders"
    assert ledger.assets.get("orders")["description"] == "seen"
    assert ledger.catalog.register_all([stub]).changed == 1
    assert len(PostgresSearch(db).search("x").hits) == 0
    with pytest.raises(SpecError, match="'x' was merged and is 'orders' now"):
        restore_asset(**world, name="x")


def test_an_asset_whose_versions_are_read_goes_into_no_other(ledger, world, tmp_path):
    declare(ledger)
    publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", [(1, "a", 2.0)])))
    with pytest.raises(SpecError, match=r"'rides' has versions that its readers see \(current\)"):
        merge_assets(**world, name="rides", into="orders", reason="x")
    merge_assets(**world, name="orders", into="rides", reason="x")
    assert ledger.assets.get("orders")["name"] == "rides"


@pytest.mark.parametrize(
    "verb", [restore_asset, lambda **w: delete_asset(**w, reason="x")], ids=["restore", "delete"]
)
def test_what_is_not_there_is_named_with_what_is(world, verb):
    with pytest.raises(AssetNotFoundError, match="Did you mean 'orders'"):
        verb(**world, name="order")

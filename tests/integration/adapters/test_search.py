"""Search as people type: words, beginnings, slips, filters, pages, and what a hit shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_dataml.adapters.postgres.search import PostgresSearch
from airflow_dataml.core.catalog import AssetEntry, AssetFilter
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from tests.support import identity


def entry(name, **said):
    return AssetEntry(name, **({"kind": "external", "uri": name, "source": "crawled"} | said))


ASSETS = (
    entry("orders", kind="dataset", source="declared", owner="shop", importance="high", tags=("gold",), domain="sales"),
    entry("shop.orders_archive", subtype="table", owner="shop", description="Orders of years past"),
    entry("shop.customers", subtype="table", owner="crm", tags=("pii", "gold"), terms=("person",), columns=(Column("customerId", "bigint"),)),
    entry("shop.payments", subtype="view", owner="finance", description="What was paid for orders", asset_group="money", location={"producer": "etl.load"}),
    entry("Größen", owner="it's \"me\"", tags=('a"b, "c',)),
    entry("wetter_stündlich", columns=(Column("windgeschwindigkeit", "real"),)),
)  # fmt: skip


@pytest.fixture
def finder(ledger):
    ledger.catalog.register_all(ASSETS)
    return PostgresSearch(ledger.connection)


def names(page):
    return [hit.name for hit in page.hits]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("orders", ["orders", "shop.orders_archive", "shop.payments"]),
        ("ord", ["orders", "shop.orders_archive", "shop.payments"]),
        ("o", ["orders"]),
        ("shop.orders", ["shop.orders_archive", "orders", "shop.payments"]),
        ("archive orders", ["shop.orders_archive"]),
        ("customerid", ["shop.customers"]),
        ("customer id", ["shop.customers"]),
        ("ORDERS_ARCHIVE", ["shop.orders_archive"]),
        ("größen", ["Größen"]),
        ("windgesch", ["wetter_stündlich"]),
        ("nothing_like_it", []),
        ("%", []),
        ("'; DROP", []),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_words_and_beginnings(finder, text, found):
    assert names(finder.search(text)) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("ordres", "orders"), ("custmers", "shop.customers"), ("paymnets", "shop.payments"), ("windgeschwndig", "wetter_stündlich")],
    ids=lambda value: value,
)  # fmt: skip
def test_a_slip_is_forgiven(finder, text, found):
    page = finder.search(text)
    assert found in names(page)
    assert list(page.mended) == [text]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"kinds": ("dataset",)}, ["orders"]),
        ({"owner": "shop"}, ["orders", "shop.orders_archive"]),
        ({"owner": 'it\'s "me"'}, ["Größen"]),
        ({"tag": "gold"}, ["orders", "shop.customers"]),
        ({"tag": 'a"b, "c'}, ["Größen"]),
        ({"term": "person", "tag": "pii"}, ["shop.customers"]),
        ({"subtype": "view"}, ["shop.payments"]),
        ({"group": "money"}, ["shop.payments"]),
        ({"producer": "etl.load"}, ["shop.payments"]),
        ({"domain": "sales"}, ["orders"]),
        ({"importance": "high"}, ["orders"]),
        ({"status": ("deleted",)}, []),
        ({"tag": "gol"}, []),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_filters(finder, asked, found):
    assert names(finder.search(filter=AssetFilter(**asked))) == found


def test_a_name_without_a_word_is_found_by_itself(ledger):
    ledger.catalog.register_all([entry("%_%"), entry("%%"), entry("x")])
    assert names(PostgresSearch(ledger.connection).search("%_")) == ["%_%"]


def test_words_within_a_filter(finder):
    assert names(finder.search("orders", AssetFilter(owner="finance"))) == ["shop.payments"]
    assert names(finder.search("o", AssetFilter(kinds=("model",)))) == []


@pytest.mark.parametrize("text", ["", "table", "table_1"], ids=["by name", "by word", "by beginning"])
def test_pages_hold_every_asset_once(ledger, text):
    ledger.catalog.register_all(entry(f"table_{n:03d}") for n in range(130))
    finder, found, after = PostgresSearch(ledger.connection), [], None
    while True:
        page = finder.search(text, after=after, limit=17)
        found += names(page)
        if (after := page.after) is None:
            break
    assert len(found) == len(set(found))
    assert len(found) == (30 if text == "table_1" else 130)


def test_a_key_that_is_none_is_refused(finder):
    with pytest.raises(SpecError, match="after='x' is no key of a page"):
        finder.search("orders", after="x")


def test_promises_and_verdicts_come_with_the_hits_and_filter_them(ledger, finder):
    ledger.catalog.register_all(
        [entry("late", freshness_s=60), entry("soon", freshness_s=86400), entry("never")]
    )
    old = datetime.now(UTC) - timedelta(hours=1)
    ledger.connection.execute("UPDATE dataml.asset SET last_write = %s WHERE name IN ('late', 'soon')", [old])
    run = ledger.runs.begin(identity(), input_digest="x")
    for name, verdict in (("late", "pass"), ("soon", "fail")):
        report = ledger.reports.add(run=run, fact=run.fact(name), kind="check", verdict=verdict, body={})
    ledger.incidents.open(asset="soon", kind="data", severity="high", title="x", report_id=report.report_id)
    assert {h.name: (h.stale, h.verdict, h.incidents) for h in finder.search("soon late never"[:4]).hits} == {
        "soon": (False, "fail", 1)
    }
    assert names(finder.search(filter=AssetFilter(stale=True))) == ["late"]
    assert names(finder.search(filter=AssetFilter(failing=True))) == ["soon"]
    assert "soon" not in names(finder.search(filter=AssetFilter(failing=False)))


def test_neighbours_come_with_the_hits(ledger, finder):
    db = ledger.connection
    ledger.catalog.register_all([entry("price", kind="model")])
    ids = {row["name"]: row["asset_id"] for row in db.rows("SELECT name, asset_id FROM dataml.asset")}
    for job, src, dst in (("load", "shop.customers", "orders"), ("train", "orders", "price")):
        key = db.scalar("INSERT INTO dataml.job (namespace, name, dag_id, task_id) VALUES ('a', %s, 'etl', %s) RETURNING job_id", [job, job])  # fmt: skip
        db.execute(
            "INSERT INTO dataml.asset_edge VALUES (%s, %s, %s, now(), now())", [ids[src], ids[dst], key]
        )
    (hit,) = finder.search(filter=AssetFilter(kinds=("dataset",))).hits
    assert (hit.producers, hit.consumers, hit.models) == (("etl.load",), ("etl.train",), ("price",))


def test_completions(finder):
    assert finder.suggest("shop pay") == ("payments",)
    assert finder.suggest("") == ()

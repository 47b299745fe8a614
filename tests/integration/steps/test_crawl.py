"""Crawling a database: what is there, what is gone, and what a crawl that broke off must not say."""

from __future__ import annotations

import psycopg
import pytest

from airflow_dataml.adapters.postgres.catalog_reading import CatalogReading
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.crawl import PostgresCrawls, PostgresTables
from airflow_dataml.core.catalog import AssetEntry, Registered
from airflow_dataml.core.crawl import CrawlScope
from airflow_dataml.core.errors import ConflictError
from airflow_dataml.steps.crawl import crawl_tables
from dev.embedded import ensure_database
from tests.support import declare, identity, publish, rides_csv, stage

SHOP = '''
CREATE TABLE public.orders (id bigint PRIMARY KEY, amount numeric(10,2));
COMMENT ON TABLE public.orders IS 'Every sale.

As the shop books it.';
COMMENT ON COLUMN public.orders.amount IS 'In euros';
CREATE VIEW public.big_orders AS SELECT id FROM public.orders WHERE amount > 100;
CREATE MATERIALIZED VIEW public.daily AS SELECT count(*) FROM public.orders;
CREATE TABLE public.events (at date, n int) PARTITION BY RANGE (at);
CREATE TABLE public.events_2026 PARTITION OF public.events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE SCHEMA "Sales 2026";
CREATE TABLE "Sales 2026"."Ördérs ""x"" 表" ("Größe ""m""" text);
CREATE TABLE public.no_columns ();
CREATE SCHEMA branch_office;
CREATE TABLE branch_office.desks (id int);
'''


@pytest.fixture
def shop_dsn(postgres_server):
    dsn = ensure_database(postgres_server, "shop")
    with psycopg.connect(dsn, autocommit=True) as raw:
        raw.execute(SHOP)
    yield dsn
    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute("DROP DATABASE shop WITH (FORCE)")


class Shop:
    """Crawls the shop again and again."""

    def __init__(self, ledger, dsn):
        self.ledger, self.dsn, self.runs = ledger, dsn, 0

    def crawl(self, tables=None, **within):
        self.runs += 1
        with Connection(self.dsn) as other:
            return crawl_tables(
                ledger=self.ledger,
                crawls=PostgresCrawls(self.ledger.connection),
                tables=tables or PostgresTables(other),
                identity=identity("crawl", f"run{self.runs}"),
                within=CrawlScope(**within),
                conn_id="shop",
            )

    def sql(self, statement):
        with psycopg.connect(self.dsn, autocommit=True) as raw:
            raw.execute(statement)

    def asset(self, name):
        return CatalogReading(self.ledger.connection).asset(f"postgres://localhost:5432/shop.{name}")

    def statuses(self):
        rows = self.ledger.connection.rows("SELECT location ->> 'relation' AS r, status FROM dataml.asset")
        return {row["r"]: row["status"] for row in rows}


@pytest.fixture
def shop(ledger, shop_dsn):
    return Shop(ledger, shop_dsn)


def test_everything_there_is_entered(shop):
    done = shop.crawl()
    assert (done.registered, done.missing, done.scope) == (
        Registered(7, 0, 0),
        0,
        "postgres://localhost:5432/shop",
    )
    assert set(shop.statuses()) == {
        "public.orders", "public.big_orders", "public.daily", "public.events", "public.no_columns",
        'Sales 2026.Ördérs "x" 表', "branch_office.desks",
    }  # fmt: skip


def test_a_table_is_described_as_its_database_describes_it(shop):
    shop.crawl()
    found = shop.asset("public.orders")
    assert (found["subtype"], found["owner"], found["source"]) == ("table", "postgres", "crawled")
    assert found["description"] == "Every sale."
    assert found["documentation"] == "Every sale.\n\nAs the shop books it."
    assert [(c["name"], c["type"], c["description"]) for c in found["columns"]] == [
        ("id", "bigint", None),
        ("amount", "numeric(10,2)", "In euros"),
    ]
    assert found["location"]["primary_key"] == ["id"]
    assert found["location"]["conn_id"] == "shop"
    assert {
        "namespace": "postgres://localhost:5432",
        "name": "shop.public.orders",
        "source": "crawled",
    } in found["aliases"]
    assert "amount > " in shop.asset("public.big_orders")["location"]["definition"]
    assert [shop.asset(f"public.{n}")["subtype"] for n in ("big_orders", "daily", "events")] == ["view", "materialized_view", "table"]  # fmt: skip
    assert [c["name"] for c in shop.asset('Sales 2026.Ördérs "x" 表')["columns"]] == ['Größe "m"']


def test_an_unchanged_database_is_nothing_new(shop):
    shop.crawl()
    before = shop.ledger.connection.rows("SELECT * FROM dataml.asset ORDER BY 1")
    assert shop.crawl().registered == Registered(0, 0, 7)
    assert shop.ledger.connection.rows("SELECT * FROM dataml.asset ORDER BY 1") == before


def test_a_renamed_table_is_a_new_one_and_a_missing_one_until_it_is_back(shop):
    shop.crawl()
    shop.sql("ALTER TABLE public.orders RENAME TO sales")
    done = shop.crawl()
    assert (done.registered.new, done.missing) == (1, 1)
    assert (shop.statuses()["public.orders"], shop.statuses()["public.sales"]) == ("missing", "active")
    shop.sql("ALTER TABLE public.sales RENAME TO orders")
    done = shop.crawl()
    assert (done.registered.new, done.missing) == (0, 1)
    assert (shop.statuses()["public.orders"], shop.statuses()["public.sales"]) == ("active", "missing")


def test_only_what_a_crawl_looks_at_can_be_missing(shop):
    shop.crawl()
    shop.sql("DROP TABLE branch_office.desks; DROP TABLE public.no_columns")
    assert shop.crawl(include=["public"]).missing == 1
    assert shop.statuses()["branch_office.desks"] == "active"
    assert shop.crawl(exclude=["branch_*"]).missing == 0
    assert shop.crawl(include=["branch_office.d?sks"]).missing == 1


class Broken:
    """A database whose list breaks off."""

    def __init__(self, inner):
        self.inner = inner

    @property
    def place(self):
        return self.inner.place

    def pages(self, scope):
        yield next(iter(self.inner.pages(scope)))[:1]
        raise ConnectionResetError


def test_a_list_that_breaks_off_marks_nothing(shop):
    shop.crawl()
    shop.sql("DROP TABLE public.no_columns")
    with Connection(shop.dsn) as other, pytest.raises(ConnectionResetError):
        shop.crawl(tables=Broken(PostgresTables(other)))
    assert set(shop.statuses().values()) == {"active"}
    assert shop.crawl().missing == 1
    crawls = PostgresCrawls(shop.ledger.connection).list()
    assert [c["state"] for c in crawls] == ["finished", "abandoned", "finished"]


def test_two_crawls_of_one_scope_are_not_at_once(shop, ledger_dsn):
    scope = "postgres://localhost:5432/shop"
    with (
        Connection(ledger_dsn) as other,
        PostgresCrawls(other).hold(scope),
        pytest.raises(ConflictError, match="is being crawled by somebody else"),
    ):
        shop.crawl()
    assert shop.crawl().seen == 7


def test_the_ledgers_own_database_shows_its_datasets_once(ledger, ledger_dsn, tmp_path):
    declare(ledger)
    ledger.assets.register(
        name="rides", kind="dataset", uri="dataml://dataset/rides", location={"table": "public.rides"}
    )
    publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", [(1, "a", 2.0)])))
    ledger.connection.execute("CREATE SCHEMA branch_x; CREATE VIEW branch_x.rides AS SELECT 1 AS a")
    run = ledger.runs.begin(identity("branch"), input_digest="x").run_key
    ledger.connection.execute(
        "INSERT INTO dataml.branch (name, schema_name, run_key) VALUES ('x', 'branch_x', %s)", [run]
    )
    ledger.connection.execute("CREATE TABLE public.other (id int)")
    done = Shop(ledger, ledger_dsn).crawl()
    assert (done.registered.new, done.seen) == (1, 2)
    found = CatalogReading(ledger.connection).asset("rides")
    assert (found["kind"], found["source"], found["subtype"], found["crawl_scope"]) == (
        "dataset",
        "declared",
        "view",
        None,
    )
    assert "definition" not in found["location"]
    assert "conn_id" in ledger.assets.get(done.scope + ".public.other")["location"]


def test_a_table_somebody_declared_is_completed_and_can_be_missing(shop):
    declared = AssetEntry("orders", "external", "dataml://external/orders", owner="ann",
                          aliases=(("postgres://localhost:5432", "shop.public.orders"),))  # fmt: skip
    shop.ledger.catalog.register_all([declared])
    shop.crawl()
    found = CatalogReading(shop.ledger.connection).asset("orders")
    assert (found["owner"], found["description"], len(found["columns"])) == ("ann", "Every sale.", 2)
    shop.sql("DROP TABLE public.orders CASCADE")
    shop.crawl()
    assert shop.ledger.assets.get("orders")["status"] == "missing"

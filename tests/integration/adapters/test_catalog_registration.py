"""Registration in batches: what a batch says equals what its entries say one by one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_dataml.adapters.postgres.catalog_reading import CatalogReading
from airflow_dataml.adapters.postgres.catalog_registration import PostgresCatalog
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.catalog import AssetEntry, ColumnDoc, Registered, rank
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from dev.readme import ROOT

COLUMNS = (Column("id", "bigint"), Column("amount", "numeric(10,2)"))
SHOP = "postgres://shop:5432"


def entry(name="orders", **said):
    said = {"kind": "external", "uri": f"postgres://shop:5432/{name}", "source": "crawled"} | said
    return AssetEntry(name, **said)


def rows(ledger, query, *params):
    return ledger.connection.rows(query, params)


def test_the_same_again_changes_nothing(ledger):
    entries = [entry(f"t{n}", columns=COLUMNS, owner="ann") for n in range(50)]
    assert ledger.catalog.register_all(entries) == Registered(50, 0, 0)
    before = rows(ledger, "SELECT * FROM dataml.asset ORDER BY name")
    assert ledger.catalog.register_all(entries) == Registered(0, 0, 50)
    assert rows(ledger, "SELECT * FROM dataml.asset ORDER BY name") == before
    assert len(rows(ledger, "SELECT FROM dataml.schema_blob")) == 1


def test_only_what_changed_is_written(ledger):
    entries = [entry(f"t{n}", owner="ann") for n in range(50)]
    ledger.catalog.register_all(entries)
    entries[7] = replace(entries[7], owner="bob")
    assert ledger.catalog.register_all(entries) == Registered(0, 1, 49)
    assert ledger.assets.get("t7")["owner"] == "bob"


def test_what_is_not_said_stays(ledger):
    ledger.catalog.register_all([entry(owner="ann", description="orders", tags=("pii",), source="declared")])
    ledger.catalog.register_all([entry(domain="sales", source="declared")])
    found = ledger.assets.get("orders")
    assert (found["owner"], found["description"], found["tags"], found["domain"]) == (
        "ann",
        "orders",
        ["pii"],
        "sales",
    )


def test_what_is_declared_stands_over_what_was_crawled(ledger):
    ledger.catalog.register_all([entry(owner="ann", source="declared")])
    ledger.catalog.register_all([entry(owner="postgres", description="from a comment", columns=COLUMNS)])
    found = CatalogReading(ledger.connection).asset("orders")
    assert (found["owner"], found["description"], found["source"]) == ("ann", "from a comment", "declared")
    assert [c["name"] for c in found["columns"]] == ["id", "amount"]


def test_a_comment_that_changes_is_followed_though_others_declared_the_asset(ledger):
    ledger.catalog.register_all([entry(owner="ann", source="declared"), entry(description="old")])
    ledger.catalog.register_all([entry(description="new")])
    assert ledger.assets.get("orders")["description"] == "new"


def test_a_declaration_overrules_what_was_observed(ledger):
    ledger.catalog.register_all([entry(uri="s3://a", source="observed", location={"producer": "etl.load"})])
    ledger.catalog.register_all([entry(kind="dataset", uri="dataml://dataset/orders", source="declared")])
    found = ledger.assets.get("orders")
    assert (found["kind"], found["uri"], found["source"]) == (
        "dataset",
        "dataml://dataset/orders",
        "declared",
    )
    assert found["location"] == {"producer": "etl.load"}


def test_another_kind_is_refused_and_nothing_of_its_batch_is_written(ledger):
    ledger.catalog.register_all([entry(kind="dataset", source="declared")])
    with pytest.raises(SpecError, match="'orders' is a dataset in the ledger and was declared a model"):
        ledger.catalog.register_all([entry("new"), entry(kind="model", source="declared")])
    assert rows(ledger, "SELECT name FROM dataml.asset") == [{"name": "orders"}]


def test_schemas_are_kept_when_there_are_two(ledger):
    wider = (*COLUMNS, Column("note", "text"))
    for columns in (COLUMNS, COLUMNS, wider, COLUMNS):
        ledger.catalog.register_all([entry(columns=columns)])
    found = CatalogReading(ledger.connection).asset("orders")
    assert [len(schema["columns"]) for schema in found["schemas"]] == [2, 3, 2]
    assert [schema["seq"] for schema in found["schemas"]] == [3, 2, 1]


def test_what_is_said_of_columns_is_kept_apart_from_the_schema(ledger):
    docs = (ColumnDoc("amount", "in euros", tags=("money",)),)
    ledger.catalog.register_all([entry(columns=COLUMNS, column_docs=docs, source="declared")])
    ledger.catalog.register_all([entry(column_docs=(ColumnDoc("amount", "comment"), ColumnDoc("id", "key")))])
    found = CatalogReading(ledger.connection).asset("orders")["columns"]
    assert found == [
        {"name": "id", "type": "bigint", "description": "key", "tags": [], "terms": []},
        {
            "name": "amount",
            "type": "numeric(10,2)",
            "description": "in euros",
            "tags": ["money"],
            "terms": [],
        },
    ]


def test_other_names_lead_to_the_asset(ledger):
    names = ((SHOP, "shop.public.orders"),)
    ledger.catalog.register_all([entry("orders", kind="dataset", source="declared", aliases=names)])
    ledger.catalog.register_all([entry(f"{SHOP}/shop.public.orders", aliases=names, description="a comment")])
    assert [row["name"] for row in rows(ledger, "SELECT name FROM dataml.asset")] == ["orders"]
    assert ledger.assets.get(f"{SHOP}/shop.public.orders")["description"] == "a comment"
    again = entry(f"{SHOP}/shop.public.orders", aliases=names, description="a comment")
    assert ledger.catalog.register_all([again]) == Registered(0, 0, 1)


def test_a_stub_takes_the_name_it_is_declared_by(ledger):
    names = ((SHOP, "shop.public.orders"),)
    ledger.catalog.register_all([entry(f"{SHOP}/shop.public.orders", source="observed", aliases=names)])
    stub = ledger.assets.get(f"{SHOP}/shop.public.orders")["asset_id"]
    ledger.catalog.register_all([entry("orders", kind="dataset", source="declared", aliases=names)])
    assert ledger.assets.get("orders")["asset_id"] == stub
    assert ledger.assets.get(f"{SHOP}/shop.public.orders")["name"] == "orders"


def test_a_stub_beside_a_declared_asset_is_merged_when_the_names_turn_out_to_be_one(ledger):
    names = ((SHOP, "shop.public.orders"),)
    ledger.catalog.register_all([entry("orders", kind="dataset", source="declared")])
    ledger.catalog.register_all([entry(f"{SHOP}/shop.public.orders", source="observed", aliases=names)])
    ledger.catalog.register_all([entry("orders", kind="dataset", source="declared", aliases=names)])
    assert ledger.assets.get(f"{SHOP}/shop.public.orders")["name"] == "orders"
    assert ledger.assets.at(uri="postgres://shop:5432/shop/public/orders") == "orders"


def test_a_server_has_one_name_whatever_it_is_called(ledger):
    ledger.connection.execute(
        "INSERT INTO dataml.namespace_alias VALUES ('postgres://replica:5432', %s)", [SHOP]
    )
    ledger.catalog.register_all([entry("orders", aliases=((SHOP, "shop.public.orders"),))])
    ledger.catalog.register_all(
        [entry("other", aliases=(("postgres://replica:5432", "shop.public.orders"),))]
    )
    assert len(rows(ledger, "SELECT FROM dataml.asset")) == 1


HOSTILE = [
    "a'b\"c\\d", "Ünïcödé 表 🚀", "x" * 63, "é" * 31, "tab\tnew\nline", "100% _like_", "{json}", "\\N", "\\.", "it''s; DROP TABLE x",
    "a\x1fb\x1ec", " leading", "=kind=model", ":orders", "' & | !:*",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_any_name_and_any_word_survive(ledger, name):
    said = entry(
        name, owner=name, description=name, tags=(name, "b"), terms=(name,), domain=name, location={name: name},
        columns=(Column(name, "text"),), column_docs=(ColumnDoc(name, name, (name,)),), aliases=((name, name),),
    )  # fmt: skip
    assert ledger.catalog.register_all([said]) == Registered(1, 0, 0)
    assert ledger.catalog.register_all([said] * 5) == Registered(0, 0, 5)
    found = CatalogReading(ledger.connection).asset(name)
    assert (found["owner"], found["tags"], found["location"]) == (name, [name, "b"], {name: name})
    assert found["columns"] == [
        {"name": name, "type": "text", "description": name, "tags": [name], "terms": []}
    ]


def test_a_word_as_long_as_a_book_does_not_stop_a_registration(ledger):
    ledger.catalog.register_all([entry(documentation="x" * 9000, description="y " * 4000)])
    ledger.catalog.register_all([entry(documentation="z" * 9000, description="words")])
    assert ledger.assets.get("orders")["documentation"] == "z" * 9000


NAMES = st.sampled_from(["a", "b", "c"])
WORDS = st.sampled_from([None, "x", "y"])
ENTRIES = st.builds(
    lambda name, owner, description, tags, importance, freshness, columns, source: entry(
        name, uri=f"u://{name}", owner=owner, description=description, tags=tags, importance=importance,
        freshness_s=freshness, columns=columns, source=source,
    ),
    NAMES, WORDS, WORDS, st.sampled_from([(), ("t",), ("t", "u")]), st.sampled_from([None, "high"]),
    st.sampled_from([None, 60]), st.sampled_from([None, COLUMNS, COLUMNS[:1]]),
    st.sampled_from(["observed", "crawled", "declared"]),
)  # fmt: skip
FIELDS = ("owner", "description", "tags", "importance", "freshness_s")


def naive(entries):
    """The state after every entry was laid over the catalog on its own, as the rules have it."""
    state = {}
    for said in entries:
        row = state.setdefault(
            said.name, {"source": said.source, "said": {}} | dict.fromkeys((*FIELDS, "schema"))
        )
        values = {field: getattr(said, field) or None for field in FIELDS} | {"schema": said.schema_hash}
        for field, value in values.items():
            held = row["said"].get(field)
            if value is not None and said.rank >= (rank(held) if held else -1):
                row[field], row["said"][field] = value, said.source
            elif value is None and held == said.source == "declared" and field != "schema":
                row["said"][field] = "described"
        row["source"] = max(row["source"], said.source, key=rank)
    return state


def stored(ledger):
    found = {}
    for row in rows(ledger, "SELECT * FROM dataml.asset"):
        said = {("schema" if field == "columns" else field): source for field, source in row["said"].items()}
        found[row["name"]] = {
            "source": row["source"], "said": said, "schema": row["schema_hash"], "owner": row["owner"],
            "description": row["description"], "tags": tuple(row["tags"]) or None, "freshness_s": row["freshness_s"],
            "importance": row["importance"] if "importance" in said else None,
        }  # fmt: skip
    return found


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.lists(ENTRIES, max_size=12), batch=st.integers(1, 12))
def test_batches_equal_one_upsert_after_the_other(ledger, entries, batch):
    ledger.connection.execute("TRUNCATE dataml.asset CASCADE")
    ledger.connection.execute("TRUNCATE dataml.asset_word")
    done = ledger.catalog.register_all(entries, batch=batch)
    assert stored(ledger) == naive(entries)
    assert done.new == len({said.name for said in entries})
    assert done.new + done.changed + done.unchanged == len(entries)
    words = rows(ledger, "SELECT name, tsv::text, dataml.search_text(description, documentation, owner, domain, schema_hash) s, search_text FROM dataml.asset")  # fmt: skip
    assert all(set(row["s"].split()) == set(row["search_text"].split()) for row in words)
    lost = "SELECT w FROM dataml.asset, unnest(tsvector_to_array(tsv)) w WHERE w !~ '^([=:]|[0-9]+$)' AND w NOT IN (SELECT word FROM dataml.asset_word)"
    assert rows(ledger, lost) == []


@pytest.mark.slow
def test_eight_writers_at_once_neither_lose_nor_block_each_other(ledger_dsn):
    faults: list[BaseException] = []
    start = threading.Barrier(8)

    def write(worker: int) -> None:
        try:
            with PostgresLedger.connect(ledger_dsn) as mine:
                start.wait()
                for turn in range(4):
                    batch = [
                        entry(f"t{(n * (7 if worker % 2 else 11)) % 100}", owner=f"w{worker}", columns=(Column(f"c{n}", "text"),),
                              aliases=((SHOP, f"alias{n % 30}"),) if turn == 3 and n < 3 else ())
                        for n in range(100)
                    ]  # fmt: skip
                    mine.catalog.register_all(reversed(batch) if turn % 2 else batch, batch=40)
        except BaseException as err:  # noqa: BLE001 - told by the main thread
            faults.append(err)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with Connection(ledger_dsn) as connection:
        assert connection.scalar("SELECT count(*) FROM dataml.asset WHERE status = 'active'") == 100


_KILLED = """
import sys
from airflow_dataml.adapters.postgres.catalog_registration import PostgresCatalog
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.core.catalog import AssetEntry
entries = (AssetEntry(f"t{n:05d}", "external", "u", source="crawled", owner="ann") for n in range(50_000))
with Connection(sys.argv[1]) as connection:
    PostgresCatalog(connection).register_all(entries, batch=500)
"""


@pytest.mark.slow
def test_a_killed_registration_leaves_whole_batches_and_is_repeated(ledger_dsn):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with (
        subprocess.Popen([sys.executable, "-c", _KILLED, ledger_dsn], env=env) as process,  # noqa: S603 - our own code
        psycopg.connect(ledger_dsn, autocommit=True) as watch,
    ):
        while watch.execute("SELECT count(*) FROM dataml.asset").fetchone()[0] < 1000:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = watch.execute("SELECT count(*) FROM dataml.asset").fetchone()[0]
    assert left % 500 == 0
    assert 1000 <= left < 50_000
    entries = [
        AssetEntry(f"t{n:05d}", "external", "u", source="crawled", owner="ann") for n in range(left + 500)
    ]
    with Connection(ledger_dsn) as connection:
        assert PostgresCatalog(connection).register_all(entries) == Registered(500, 0, left)


def test_seeing_an_asset_again_touches_no_index(ledger):
    ledger.catalog.register_all([entry("t", columns=COLUMNS, crawl_scope=None)])
    for _ in range(20):
        ledger.connection.execute("UPDATE dataml.asset SET last_seen = now() - interval '2 hours'")
        ledger.catalog.register_all([entry("t", columns=COLUMNS)])
    ledger.connection.execute("SELECT pg_stat_force_next_flush()")
    stats = rows(ledger, "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'asset' AND schemaname = 'dataml'")  # fmt: skip
    assert stats == [{"n_tup_upd": 40, "n_tup_hot_upd": 40}]


def test_a_version_that_becomes_current_brings_schema_and_time_to_the_catalog(ledger, tmp_path):
    from tests.support import declare, publish, rides_csv, stage

    declare(ledger)
    published = publish(ledger, stage(ledger, rides_csv(tmp_path / "a.csv", [(1, "a", 2.0)])))
    found = CatalogReading(ledger.connection).asset("rides")
    assert [c["name"] for c in found["columns"]] == ["id", "kind", "km"]
    assert found["last_write"] == published.created_at

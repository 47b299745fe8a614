"""A ledger of the release before, with assets in it, gets a catalog that knows them."""

from __future__ import annotations

from airflow_dataml.adapters.postgres import migrate as migrations
from airflow_dataml.adapters.postgres.catalog_reading import CatalogReading
from airflow_dataml.adapters.postgres.connection import Connection
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.adapters.postgres.search import PostgresSearch
from airflow_dataml.core.catalog import AssetEntry, AssetFilter

OLD = """
INSERT INTO dataml.asset (name, kind, uri, owner, tags, importance, location) VALUES
  ('rides', 'dataset', 'dataml://dataset/rides', 'ann', '["gold"]', 'high', '{"table": "public.rides"}');
INSERT INTO dataml.run (dag_id, run_id, task_id) VALUES ('d', 'r', 't');
INSERT INTO dataml.schema_blob VALUES ('h', '[["km", "integer"]]');
INSERT INTO dataml.version (asset_id, number, run_key, fact_key, schema_hash) VALUES (1, 1, 1, 'f', 'h');
INSERT INTO dataml.alias (asset_id, name, version_id) VALUES (1, 'current', 1);
INSERT INTO dataml.report (asset_id, run_key, fact_key, kind, verdict, body) VALUES
  (1, 1, 'a', 'check', 'pass', '{}'), (1, 1, 'b', 'check', 'fail', '{}'), (1, 1, 'c', 'profile', 'pass', '{}')
"""


def test_assets_of_before_are_found_with_their_columns_and_verdicts(postgres_dsn):
    with Connection(postgres_dsn) as connection:
        connection.execute(migrations._BOOKKEEPING)
        for old in migrations.available()[:2]:
            connection.execute(old.sql)
            connection.execute(
                "INSERT INTO dataml.schema_migration VALUES (%s, %s, %s)",
                [old.number, old.name, old.checksum],
            )
        connection.execute(OLD)
        assert [m.number for m in migrations.migrate(connection)] == [
            m.number for m in migrations.available()[2:]
        ]
    with PostgresLedger.connect(postgres_dsn) as ledger:
        finder = PostgresSearch(ledger.connection)
        for text in ("rides", "km", "ann", "ridse"):
            assert [(text, hit.name) for hit in finder.search(text).hits] == [(text, "rides")]
        (hit,) = finder.search(filter=AssetFilter(tag="gold", importance="high", failing=True)).hits
        assert (hit.verdict, hit.version) == ("fail", 1)
        found = CatalogReading(ledger.connection).asset("rides")
        assert [c["name"] for c in found["columns"]] == ["km"]
        assert found["last_write"] is not None
        ledger.catalog.register_all(
            [AssetEntry("rides", "external", "u", owner="postgres", source="crawled")]
        )
        assert ledger.assets.get("rides")["owner"] == "ann"

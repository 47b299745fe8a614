"""One asset as people read it: what is said of it, by whom, its columns, schemas and other names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.catalog import PostgresAssets
from airflow_dataml.adapters.postgres.search_page import page_of

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

_COLUMNS = """
SELECT c.item ->> 0 AS name, c.item ->> 1 AS type, d.description, coalesce(d.tags, '[]') AS tags, coalesce(d.terms, '[]') AS terms
FROM dataml.schema_blob b, jsonb_array_elements(b.columns) WITH ORDINALITY c (item, position)
LEFT JOIN dataml.asset_column d ON d.asset_id = %s AND d.name = c.item ->> 0
WHERE b.schema_hash = %s ORDER BY c.position
"""
_DOCS = "SELECT name, NULL AS type, description, tags, terms FROM dataml.asset_column WHERE asset_id = %s ORDER BY name"
_SCHEMAS = """
SELECT s.seq, s.source, s.seen_at, b.columns FROM dataml.asset_schema s JOIN dataml.schema_blob b USING (schema_hash)
WHERE s.asset_id = %s ORDER BY s.seq DESC LIMIT %s
"""
_ONLY_SCHEMA = """
SELECT 1 AS seq, coalesce(a.said ->> 'columns', a.source) AS source, a.first_seen AS seen_at, b.columns
FROM dataml.asset a JOIN dataml.schema_blob b USING (schema_hash) WHERE a.asset_id = %s
"""
_INTERNAL = ("asset_id", "tsv", "search_text", "digests", "merged_into", "crawl_id", "schema_hash", "current")


class CatalogReading:
    """Reads single assets; writes nothing.

    :param connection: the ledger's connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def asset(self, name: str, *, schemas: int = 10) -> dict[str, Any]:
        """Return everything the catalog holds of an asset, as plain values.

        :param schemas: schemas at most that it had, newest first.
        :raises AssetNotFoundError: there is none; with the closest names.
        """
        row = PostgresAssets(self._db).get(name)
        key = row["asset_id"]
        hit = page_of(self._db, [{"asset_id": key, "score": 0}])[0].to_dict()
        columns = self._db.rows(_COLUMNS, [key, row["schema_hash"]]) or self._db.rows(_DOCS, [key])
        crawled = self._db.scalar(
            "SELECT max(finished_at) AS at FROM dataml.crawl WHERE scope = %s AND state = 'finished'",
            [row["crawl_scope"]],
        )
        if crawled and row["status"] == "active":
            row["last_seen"] = max(row["last_seen"], crawled)
        about = {field: value for field, value in row.items() if field not in _INTERNAL}
        return about | {
            "columns": columns,
            "schemas": self._db.rows(_SCHEMAS, [key, schemas]) or self._db.rows(_ONLY_SCHEMA, [key]),
            "aliases": self._db.rows(
                "SELECT namespace, name, source FROM dataml.asset_alias WHERE asset_id = %s ORDER BY 1, 2 LIMIT 200",
                [key],
            ),
            **{
                field: hit[field]
                for field in (
                    "stale",
                    "verdict",
                    "incidents",
                    "producers",
                    "consumers",
                    "models",
                    "rows",
                    "version",
                )
            },
        }

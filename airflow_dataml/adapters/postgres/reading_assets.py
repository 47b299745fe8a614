"""What people read of one asset besides its versions: its columns, how they came to be, who writes and reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.search_page import page_of
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.schemas import diff_schemas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

_NAMES = 50
# What its newest version has where nobody told the catalog.
_COLUMNS = """
SELECT b.columns,
       coalesce((SELECT jsonb_object_agg(c.name, jsonb_build_object('description', c.description, 'tags', c.tags, 'terms', c.terms))
                 FROM dataml.asset_column c WHERE c.asset_id = a.asset_id), '{}') AS docs
FROM dataml.asset a LEFT JOIN dataml.schema_blob b ON b.schema_hash = coalesce(
  (SELECT v.schema_hash FROM dataml.version v JOIN dataml.alias l USING (version_id)
   WHERE l.asset_id = a.asset_id AND l.name = 'current'), a.schema_hash,
  (SELECT v.schema_hash FROM dataml.version v WHERE v.asset_id = a.asset_id ORDER BY v.number DESC LIMIT 1))
WHERE a.asset_id = %s
"""
_SCHEMAS = """
SELECT s.seq, s.seen_at, s.source, now.columns, before.columns AS old_columns
FROM dataml.asset_schema s JOIN dataml.schema_blob now USING (schema_hash)
LEFT JOIN dataml.asset_schema p ON p.asset_id = s.asset_id AND p.seq = s.seq - 1
LEFT JOIN dataml.schema_blob before ON before.schema_hash = p.schema_hash
WHERE s.asset_id = %s AND (%s::int IS NULL OR s.seq < %s) ORDER BY s.seq DESC LIMIT %s
"""
_NEIGHBOURS = """
SELECT o.asset_id AS key, o.name AS asset, o.kind, o.owner, max(e.last_at) AS last_at, sum(e.runs)::bigint AS runs,
       array_agg(DISTINCT coalesce(j.dag_id || '.' || j.task_id, j.name)) AS jobs
FROM dataml.asset_edge e JOIN dataml.asset o ON o.asset_id = e.{other} JOIN dataml.job j USING (job_id)
WHERE e.{own} = %s AND o.asset_id > %s AND o.asset_id <> e.{own}
GROUP BY o.asset_id ORDER BY o.asset_id LIMIT %s
"""


class AssetReading:
    """Facts about one asset.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def standing(self, asset_id: int) -> dict[str, Any]:
        """Return how the catalog lists it now: freshness, verdict, who writes and reads it, models on it."""
        (hit,) = page_of(self._db, [{"asset_id": asset_id, "score": 0}])
        return {
            "last_write": hit.last_write,
            "stale": hit.stale,
            "producers": list(hit.producers),
            "consumers": list(hit.consumers),
            "models": list(hit.models),
        }

    def columns(self, asset_id: int) -> list[dict[str, Any]]:
        """Return the columns it has now with what people say of each."""
        row = self._db.one(_COLUMNS, [asset_id])
        return [
            {"name": name, "type": type_} | row["docs"].get(name, {}) for name, type_ in row["columns"] or ()
        ]

    def names(self, asset_id: int) -> list[dict[str, Any]]:
        """Return what else it is called: OpenLineage's names, uris, names before a merge."""
        return self._db.rows(
            """SELECT namespace, name FROM dataml.asset_alias WHERE asset_id = %s ORDER BY namespace, name LIMIT %s""",
            [asset_id, _NAMES],
        )

    def schemas(self, asset_id: int, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return a page of its schemas, newest first, each with what changed to the one before it."""
        rows = self._db.rows(_SCHEMAS, [asset_id, before, before, limit])
        return [_changed(row) for row in rows]

    def neighbours(
        self, asset_id: int, *, downstream: bool, after: int = 0, limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return a page of assets that are made from it, or that it is made from, and by which jobs."""
        own, other = ("src", "dst") if downstream else ("dst", "src")
        return self._db.rows(_NEIGHBOURS.format(own=own, other=other), [asset_id, after, limit])


def _changed(row: dict[str, Any]) -> dict[str, Any]:
    old, new = _columns(row.pop("old_columns")), _columns(row.pop("columns"))
    diff = diff_schemas(old, new).to_dict() if old else None
    return row | {"columns": [{"name": c.name, "type": c.type} for c in new], "schema": diff}


def _columns(blob: Sequence[Sequence[str]] | None) -> tuple[Column, ...]:
    return tuple(Column(name, type_) for name, type_ in blob or ())

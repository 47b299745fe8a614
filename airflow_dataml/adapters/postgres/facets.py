"""What the ledger knows of versions that a task tells lineage of; one statement for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.facets import VersionFact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

_TOLD = """
SELECT v.version_id, a.name AS asset, a.kind, v.number, v.row_count AS rows, v.fingerprint, v.schema_hash,
       p.number AS parent, v.partition_key, s.columns, v.facts, v.created_at, a.location, a.owner,
       a.description, a.documentation, a.importance, a.tags,
       coalesce((SELECT array_agg(l.name ORDER BY l.name) FROM dataml.alias l
                  WHERE l.version_id = v.version_id AND l.name <> 'current'), '{}') AS aliases,
       (SELECT jsonb_object_agg(c.name, c.description) FROM dataml.asset_column c
         WHERE c.asset_id = v.asset_id AND c.description IS NOT NULL) AS column_docs,
       held.bytes, held.files, brought.task AS staged_by,
       (SELECT jsonb_object_agg(e.src_id, m.mapping) FROM dataml.edge e JOIN dataml.column_map m USING (column_map)
         WHERE e.dst_id = v.version_id AND e.src_id > 0) AS flows
FROM dataml.version v JOIN dataml.asset a USING (asset_id)
LEFT JOIN dataml.version p ON p.version_id = v.parent_id
LEFT JOIN dataml.schema_blob s ON s.schema_hash = v.schema_hash
LEFT JOIN LATERAL (
  SELECT sum(part.bytes)::bigint AS bytes, count(*) AS files
  FROM dataml.version_part vp JOIN dataml.part part USING (part_id) WHERE vp.version_id = v.version_id) held ON true
LEFT JOIN LATERAL (
  SELECT r.dag_id || '.' || r.task_id AS task FROM dataml.part part JOIN dataml.run r USING (run_key)
  WHERE part.part_id = (v.facts ->> 'part_id')::bigint) brought ON true
WHERE v.version_id = ANY (%s)
"""


def told(connection: Connection, version_ids: Sequence[int]) -> dict[int, VersionFact]:
    """Return versions by id."""
    if not version_ids:
        return {}
    rows = connection.rows(_TOLD, [list(version_ids)])
    return {row["version_id"]: _fact(row) for row in rows}


def _fact(row: Mapping[str, Any]) -> VersionFact:
    values = dict(row)
    return VersionFact(
        **values
        | {
            "columns": tuple(Column(name, type_) for name, type_ in values["columns"] or ()),
            "column_docs": values["column_docs"] or {},
            "aliases": tuple(values["aliases"]),
            "tags": tuple(values["tags"] or ()),
            "created_at": values["created_at"].isoformat(),
            "files": values["files"] or None,
            "flows": {int(source): flows for source, flows in (values["flows"] or {}).items()},
        }
    )

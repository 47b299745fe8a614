"""What a list shows of each asset, for one page at a time; every look-up has an index and a limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.catalog_search import AssetHit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

_NEIGHBOURS = 10
# Versions whose edges are followed to models.
_VERSIONS = 20
_PAGE = f"""
SELECT a.asset_id, a.name, a.kind, a.subtype, a.status, a.owner, a.description, a.importance, a.domain, a.asset_group,
  a.tags, a.terms, a.source, a.last_write, a.freshness_s,
  CASE WHEN a.freshness_s IS NOT NULL
    THEN coalesce(a.last_write, a.first_seen) < now() - a.freshness_s * interval '1 second' END AS stale,
  (SELECT verdict FROM dataml.asset_verdict c WHERE c.asset_id = a.asset_id) AS verdict,
  (SELECT count(*) FROM dataml.incident i WHERE i.asset_id = a.asset_id AND i.state <> 'resolved') AS incidents,
  v.number AS version, v.row_count AS rows,
  ARRAY(SELECT DISTINCT coalesce(j.dag_id || '.' || j.task_id, j.name) FROM (
          (SELECT e.job_id FROM dataml.asset_edge e WHERE e.dst = a.asset_id LIMIT {_NEIGHBOURS})
          UNION (SELECT r.job_id FROM dataml.run_io o JOIN dataml.run r USING (run_key)
                 WHERE o.asset_id = a.asset_id AND o.direction = 'out' ORDER BY o.run_key DESC LIMIT {_NEIGHBOURS})
        ) w JOIN dataml.job j USING (job_id)
        UNION SELECT a.location ->> 'producer' WHERE a.location ? 'producer' ORDER BY 1 LIMIT {_NEIGHBOURS}) AS producers,
  ARRAY(SELECT DISTINCT coalesce(j.dag_id || '.' || j.task_id, j.name) FROM (
          (SELECT e.job_id FROM dataml.asset_edge e WHERE e.src = a.asset_id LIMIT {_NEIGHBOURS})
          UNION (SELECT r.job_id FROM dataml.run_io o JOIN dataml.run r USING (run_key)
                 WHERE o.asset_id = a.asset_id AND o.direction = 'in' ORDER BY o.run_key DESC LIMIT {_NEIGHBOURS})
        ) w JOIN dataml.job j USING (job_id) ORDER BY 1 LIMIT {_NEIGHBOURS}) AS consumers,
  ARRAY(SELECT DISTINCT m.name FROM (
          (SELECT e.dst AS asset_id FROM dataml.asset_edge e WHERE e.src = a.asset_id LIMIT 100)
          UNION (SELECT d.asset_id FROM (SELECT n.version_id FROM dataml.version n WHERE n.asset_id = a.asset_id
                                         ORDER BY n.number DESC LIMIT {_VERSIONS}) n
                 JOIN dataml.edge e ON e.src_id = n.version_id JOIN dataml.version d ON d.version_id = e.dst_id LIMIT 100)
        ) below JOIN dataml.asset m USING (asset_id) WHERE m.kind = 'model' AND m.asset_id <> a.asset_id
        ORDER BY 1 LIMIT {_NEIGHBOURS}) AS models
FROM dataml.asset a
LEFT JOIN LATERAL (
  SELECT v.number, v.row_count FROM dataml.version v
  WHERE v.version_id = coalesce(
    (SELECT c.version_id FROM dataml.alias c WHERE c.asset_id = a.asset_id AND c.name IN ('current', 'champion') ORDER BY c.name DESC LIMIT 1),
    (SELECT n.version_id FROM dataml.version n WHERE n.asset_id = a.asset_id ORDER BY n.number DESC LIMIT 1))
) v ON true
WHERE a.asset_id = ANY (%s)
"""


def page_of(connection: Connection, found: Sequence[dict[str, Any]]) -> tuple[AssetHit, ...]:
    """Return hits in the order they were found.

    :param found: rows with ``asset_id`` and ``score``.
    """
    if not found:
        return ()
    ids = [row["asset_id"] for row in found]
    rows = {row.pop("asset_id"): row for row in connection.rows(_PAGE, [ids])}
    return tuple(_hit(rows[row["asset_id"]], row["score"]) for row in found if row["asset_id"] in rows)


def _hit(row: dict[str, Any], score: int) -> AssetHit:
    lists = {name: tuple(row[name] or ()) for name in ("tags", "terms", "producers", "consumers", "models")}
    return AssetHit(**(row | lists), score=score)

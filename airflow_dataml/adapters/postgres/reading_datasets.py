"""What people read of datasets: what versions are and weigh, what checks said over time, where contracts stand.

Tables of the schema ``dataml`` alone are read, never a part. Where a number is about a whole version, a page
costs what its versions' manifests hold, not what the dataset's do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.parts import columns_from
from airflow_dataml.adapters.postgres.retention import HOLDERS
from airflow_dataml.core.schemas import diff_schemas

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

_RECENT = 50

# ``own`` is what collecting this version alone would free, as ``core.retention.exclusive_bytes`` has it: a
# version whose rows are not all there holds nothing, and a second user of a part is enough to know.
_KEPT = f"""
WITH page AS (
  SELECT * FROM dataml.version WHERE version_id = ANY (%s)
), gone AS (
  SELECT DISTINCT vp.version_id FROM dataml.part p JOIN dataml.version_part vp USING (part_id)
  WHERE p.state <> 'live' AND p.asset_id IN (SELECT asset_id FROM page)
), piece AS MATERIALIZED (
  SELECT p.part_id, p.state, coalesce(p.bytes, 0) AS bytes,
         (SELECT count(*) FROM (SELECT 1 FROM dataml.version_part o WHERE o.part_id = p.part_id
                                AND o.version_id NOT IN (SELECT version_id FROM gone) LIMIT 2) users) AS users
  FROM dataml.part p
  WHERE p.part_id IN (SELECT part_id FROM dataml.version_part JOIN page USING (version_id))
)
SELECT v.version_id, v.facts ->> 'mode' AS mode, (v.facts ->> 'batch_rows')::bigint AS batch_rows,
       v.facts ->> 'of' AS restored, v.facts ->> 'branch' AS branch, v.facts ->> 'merged' AS merged,
       parent.number AS parent, r.map_index,
       CASE WHEN parent.schema_hash <> v.schema_hash THEN before.columns END AS old_columns,
       CASE WHEN parent.schema_hash <> v.schema_hash THEN now.columns END AS new_columns,
       m.parts, m.live, m.released, m.bytes, CASE WHEN m.live = m.parts THEN m.own END AS own,
       coalesce((SELECT array_agg(holder ORDER BY holder) FROM ({HOLDERS}) held), '{{}}') AS holders
FROM page v
JOIN dataml.run r ON r.run_key = v.run_key
LEFT JOIN dataml.version parent ON parent.version_id = v.parent_id
LEFT JOIN dataml.schema_blob before ON before.schema_hash = parent.schema_hash
LEFT JOIN dataml.schema_blob now ON now.schema_hash = v.schema_hash
CROSS JOIN LATERAL (
  SELECT count(*) AS parts, count(*) FILTER (WHERE p.state = 'live') AS live,
         count(*) FILTER (WHERE p.state = 'released') AS released,
         coalesce(sum(p.bytes) FILTER (WHERE p.state = 'live'), 0)::bigint AS bytes,
         coalesce(sum(p.bytes) FILTER (WHERE p.users = 1), 0)::bigint AS own
  FROM dataml.version_part vp JOIN piece p USING (part_id) WHERE vp.version_id = v.version_id
) m
"""
# Evidence of a check may be long (samples, the history it rests on); a cell of the timeline needs this much.
_CHECKS = """
SELECT r.report_id, r.verdict, r.created_at, v.number AS version, r.body ->> 'partition_key' AS partition_key,
       r.body ->> 'engine' AS engine, r.body ->> 'scope' AS scope, left(r.body ->> 'summary', 400) AS summary,
       jsonb_typeof(r.body -> 'errors') = 'array' AND jsonb_array_length(r.body -> 'errors') > 0 AS broken,
       (SELECT q.quarantine_id FROM dataml.quarantine q WHERE q.report_id = r.report_id LIMIT 1) AS quarantine,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
          'id', c ->> 'id', 'name', c ->> 'name', 'type', c ->> 'type', 'column', c ->> 'column',
          'verdict', c ->> 'verdict', 'observed', c -> 'observed', 'threshold', left(c ->> 'threshold', 200),
          'unit', c ->> 'unit', 'detail', left(c ->> 'detail', 300),
          'low', c #> '{diagnostics,low}', 'high', c #> '{diagnostics,high}',
          'center', c #> '{diagnostics,center}') ORDER BY n), '[]')
        FROM jsonb_array_elements(CASE jsonb_typeof(r.body -> 'checks') WHEN 'array' THEN r.body -> 'checks' ELSE '[]' END)
             WITH ORDINALITY AS found(c, n)) AS checks
FROM dataml.report r JOIN dataml.asset a USING (asset_id)
LEFT JOIN dataml.version v ON v.version_id = coalesce(r.version_id,
     (SELECT b.version_id FROM dataml.version b WHERE b.facts -> 'part_id' = to_jsonb(r.part_id) LIMIT 1))
WHERE a.name = %s AND r.kind = 'check' AND (%s::bigint IS NULL OR r.report_id < %s)
ORDER BY r.report_id DESC LIMIT %s
"""


class DatasetReading:
    """Facts about datasets; beside ``LedgerReading``, which has what all assets share.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def kept(self, version_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
        """Return how versions were made, what changed in their schema, what they weigh and who holds them.

        ``state`` is ``retained``, ``collected`` (rows of it are gone), ``released`` (its rows are with their
        owner), or nothing for a version that never had rows.
        """
        rows = self._db.rows(_KEPT, [list(version_ids)])
        return {row.pop("version_id"): _kept(row) for row in rows}

    def checks(self, asset: str, *, before: int | None = None, limit: int = 30) -> list[dict[str, Any]]:
        """Return a page of check reports, newest first, each with what every check observed and expected.

        Reports of batches that were refused are among them; they have no version.
        """
        return self._db.rows(_CHECKS, [asset, before, before, limit])

    def standing(self, asset: str) -> dict[str, Any]:
        """Return what an asset keeps and what is open: bytes of its parts, quarantined rows, its last verification."""
        found = self._db.one(
            """SELECT coalesce((SELECT sum(p.bytes) FROM dataml.part p
                                WHERE p.asset_id = a.asset_id AND p.state = 'live'), 0)::bigint AS bytes,
                      coalesce((SELECT sum(q.row_count) FROM dataml.quarantine q
                                WHERE q.asset_id = a.asset_id AND q.state = 'open'), 0)::bigint AS quarantined
               FROM dataml.asset a WHERE a.name = %s""",
            [asset],
        )
        return found | {"contract": self._contract(asset)}

    def _contract(self, asset: str) -> dict[str, Any] | None:
        return self._db.row(
            """SELECT r.report_id, r.verdict, r.created_at, r.body ->> 'engine' AS engine,
                      r.body ->> 'engine_version' AS engine_version, r.body ->> 'contract_digest' AS digest,
                      jsonb_array_length(CASE jsonb_typeof(r.body -> 'checks') WHEN 'array'
                                         THEN r.body -> 'checks' ELSE '[]' END) AS checks
               FROM dataml.report r JOIN dataml.asset a USING (asset_id)
               WHERE a.name = %s AND r.kind = 'check' ORDER BY r.report_id DESC LIMIT 1""",
            [asset],
        )

    def masked(self, asset: str) -> frozenset[str]:
        """Return the columns whose values recent reports say nobody may see."""
        rows = self._db.rows(
            """SELECT DISTINCT jsonb_array_elements_text(mask) AS name FROM (
                 SELECT r.body -> 'mask' AS mask FROM dataml.report r JOIN dataml.asset a USING (asset_id)
                 WHERE a.name = %s AND r.kind = 'check' ORDER BY r.report_id DESC LIMIT %s) recent
               WHERE jsonb_typeof(mask) = 'array'""",
            [asset, _RECENT],
        )
        return frozenset(row["name"] for row in rows)

    def parts(self, version_id: int) -> int:
        """Return of how many parts a version is made."""
        return int(
            self._db.scalar("SELECT count(*) FROM dataml.version_part WHERE version_id = %s", [version_id])
        )

    def stored_diff(self, asset: str, old: str, new: str) -> dict[str, Any] | None:
        """Return the newest diff of two versions that a task kept as a report."""
        return self._db.row(
            """SELECT r.report_id, r.created_at, r.body FROM dataml.report r JOIN dataml.asset a USING (asset_id)
               WHERE a.name = %s AND r.kind = 'diff' AND r.body #>> '{old,ref}' = %s AND r.body #>> '{new,ref}' = %s
               ORDER BY r.report_id DESC LIMIT 1""",
            [asset, old, new],
        )


def _kept(row: dict[str, Any]) -> dict[str, Any]:
    old, new = (columns_from(row.pop(name) or ()) for name in ("old_columns", "new_columns"))
    parts, live, released = row["parts"], row.pop("live"), row.pop("released")
    state = None
    if parts:
        state = "retained" if live == parts else "released" if released else "collected"
    return row | {"schema": diff_schemas(old, new).to_dict() if old or new else None, "state": state}

"""What retention needs to know: who holds a version, how big a part is, what was never published."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.retention import Held

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection

# Who keeps a version ``v`` from being collected, besides the aliases that point at it; one column, ``holder``.
HOLDERS = """
SELECT 'pinned by ' || p.holder || ' (' || p.reason || ')' AS holder FROM dataml.pin p WHERE p.version_id = v.version_id
UNION ALL SELECT 'base of branch ' || b.name FROM dataml.branch_base bb JOIN dataml.branch b USING (branch_id)
  WHERE bb.version_id = v.version_id AND b.state = 'open'
UNION ALL SELECT 'incident ' || i.incident_id FROM dataml.incident i JOIN dataml.report r USING (report_id)
  WHERE i.state <> 'resolved' AND (r.version_id = v.version_id OR r.body -> 'parent_id' = to_jsonb(v.version_id))
"""
# A version is readable as long as every part of it is there.
_HELD = f"""
SELECT v.version_id, v.number, v.created_at, array_agg(vp.part_id ORDER BY vp.position) AS part_ids,
  (SELECT coalesce(array_agg(holder ORDER BY holder), '{{}}') FROM (
     SELECT 'alias ' || l.name AS holder FROM dataml.alias l WHERE l.version_id = v.version_id
     UNION ALL {HOLDERS}) holders) AS holders
FROM dataml.version v
JOIN dataml.version_part vp USING (version_id) JOIN dataml.part p USING (part_id)
JOIN dataml.asset a ON a.asset_id = v.asset_id
WHERE a.name = %s GROUP BY v.version_id HAVING bool_and(p.state = 'live') ORDER BY v.number
"""
_STAGED = """
SELECT p.part_id, p.created_at FROM dataml.part p JOIN dataml.asset a USING (asset_id)
WHERE a.name = %s AND p.state = 'live' AND p.role <> 'snapshot'
  AND NOT EXISTS (SELECT 1 FROM dataml.version_part vp WHERE vp.part_id = p.part_id)
  AND NOT EXISTS (SELECT 1 FROM dataml.quarantine q WHERE q.part_id = p.part_id AND q.state = 'open')
"""


class PostgresRetention:
    """Reads what a retention plan is made from."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def held(self, asset: str) -> tuple[Held, ...]:
        """Return the versions whose rows are all there, with whatever holds them."""
        rows = self._db.rows(_HELD, [asset])
        return tuple(
            Held(
                version_id=row["version_id"],
                number=row["number"],
                created_at=row["created_at"],
                part_ids=tuple(row["part_ids"]),
                holders=tuple(row["holders"]),
            )
            for row in rows
        )

    def sizes(self, asset: str) -> dict[int, int]:
        """Return the bytes of every live part."""
        rows = self._db.rows(
            """SELECT p.part_id, coalesce(p.bytes, 0) AS bytes FROM dataml.part p JOIN dataml.asset a USING (asset_id)
               WHERE a.name = %s AND p.state = 'live'""",
            [asset],
        )
        return {row["part_id"]: row["bytes"] for row in rows}

    def staged(self, asset: str) -> dict[int, datetime]:
        """Return live parts that no version has, and when they were staged."""
        return {row["part_id"]: row["created_at"] for row in self._db.rows(_STAGED, [asset])}

    def locators(self, store: str) -> tuple[str, ...]:
        """Return everything of a store that the ledger means to keep."""
        rows = self._db.rows(
            """SELECT locator FROM dataml.part WHERE store = %s AND state = 'live'
               UNION SELECT relation FROM dataml.quarantine WHERE state = 'open'""",
            [store],
        )
        return tuple(row["locator"] for row in rows)

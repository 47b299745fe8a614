"""The past of a dataset on PostgreSQL; histograms stay in the database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_dataml.core.history import PastBatch, Publications

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

# When a version first became what readers see; going back to it later is no publication.
_LED = """
SELECT v.version_id, v.number, v.partition_key, v.facts, min(h.moved_at) AS published_at
FROM dataml.alias_history h JOIN dataml.asset a USING (asset_id) JOIN dataml.version v ON v.version_id = h.to_version
WHERE a.name = %s AND h.name = 'current' AND v.facts ->> 'mode' IS DISTINCT FROM 'compact'
GROUP BY v.version_id ORDER BY v.number DESC LIMIT %s
"""
_BATCHES = f"""
SELECT v.number, v.published_at, v.partition_key, p.row_count AS rows,
       coalesce((SELECT jsonb_object_agg(c.key, c.value - '{{cells,values}}'::text[])
                 FROM jsonb_each(p.profile -> 'columns') c WHERE c.key = ANY (%s)), '{{}}') AS columns,
       coalesce((SELECT jsonb_object_agg(k ->> 'id', k)
                 FROM jsonb_array_elements(
                   CASE jsonb_typeof(r.body -> 'checks') WHEN 'array' THEN r.body -> 'checks' ELSE '[]' END) k
                 WHERE k ->> 'id' = ANY (%s)), '{{}}') AS checks
FROM ({_LED}) v
JOIN dataml.part p ON p.part_id = (v.facts ->> 'part_id')::bigint
LEFT JOIN LATERAL (SELECT r.body FROM dataml.report r WHERE r.part_id = p.part_id AND r.kind = 'check'
                   ORDER BY r.report_id DESC LIMIT 1) r ON true
ORDER BY v.number
"""


class PostgresHistory:
    """What readers of a dataset have seen; see ``core.ports_history.History``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def batches(
        self, asset: str, *, columns: Sequence[str] = (), checks: Sequence[str] = (), limit: int = 90
    ) -> list[PastBatch]:
        """Return the newest batches that were published, oldest first."""
        rows = self._db.rows(_BATCHES, [list(columns), list(checks), asset, limit])
        return [PastBatch(**row) for row in rows]

    def publications(self, asset: str, *, limit: int = 365) -> Publications:
        """Return when the newest versions became what readers see, oldest first."""
        rows = self._db.rows(
            f"SELECT number, published_at, clock_timestamp() AS now FROM ({_LED}) v ORDER BY number",
            [asset, limit],
        )
        times = tuple(sorted(row["published_at"] for row in rows))
        now = rows[0]["now"] if rows else datetime.now(UTC)
        return Publications(asset, times, rows[-1]["number"] if rows else None, now)

"""What became of the alarms of models, of what people wrote down when they resolved them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.alarm_record import AlarmRecord

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

# A batch that was looked at again is one window.
_WINDOWS = """
SELECT count(DISTINCT coalesce(r.body ->> 'partition_key', r.report_id::text)) AS windows
FROM dataml.report r WHERE r.asset_id = %s AND r.kind = 'monitor' AND r.verdict <> 'unknown'
"""
_BUDGET = """
SELECT (r.body #>> '{policy,alarm_budget,windows}')::int AS budget FROM dataml.report r
WHERE r.asset_id = %s AND r.kind = 'monitor' ORDER BY r.report_id DESC LIMIT 1
"""
_ALARMS = """
SELECT e.detail ->> 'reason' AS reason, count(*) AS n
FROM dataml.incident i
LEFT JOIN dataml.audit e ON e.subject COLLATE "C" = 'incident ' || i.incident_id AND e.action = 'resolved incident'
WHERE i.asset_id = %s AND i.kind IN ('drift', 'decay') GROUP BY 1
"""


def alarm_record(connection: Connection, *, model: str, asset_id: int) -> AlarmRecord:
    """Count the windows of a model, its alarms, and what they were resolved as."""
    counted = {row["reason"]: int(row["n"]) for row in connection.rows(_ALARMS, [asset_id])}
    unresolved = counted.pop(None, 0)
    return AlarmRecord(
        model=model,
        windows=int(connection.scalar(_WINDOWS, [asset_id])),
        alarms=sum(counted.values()) + unresolved,
        unresolved=unresolved,
        reasons=dict(sorted(counted.items())),
        budget=connection.scalar(_BUDGET, [asset_id]),
    )

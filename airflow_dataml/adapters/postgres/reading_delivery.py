"""How lineage events come through: into the graph, and to each backend over the events of late."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

# Newest events that are looked at, whatever the ledger holds, and into how many bars.
EVENTS = 3000
BARS = 30
_PROJECTION = """
SELECT (SELECT count(*) FROM (SELECT FROM dataml.lineage_event WHERE state = 'new' LIMIT 100001) x) AS waiting,
       o.received_at AS oldest_waiting, extract(epoch FROM now() - o.received_at)::float AS lag_s,
       n.received_at AS newest_event
FROM (SELECT 1) one
LEFT JOIN LATERAL (SELECT received_at FROM dataml.lineage_event WHERE state = 'new' ORDER BY event_id LIMIT 1) o ON true
LEFT JOIN LATERAL (SELECT received_at FROM dataml.lineage_event ORDER BY event_id DESC LIMIT 1) n ON true
"""
# Bars of equal numbers of events, so that a quiet night takes no room.
_PULSE = """
WITH late AS (SELECT event_id, received_at FROM dataml.lineage_event ORDER BY event_id DESC LIMIT %s),
tiled AS (SELECT l.*, ntile(%s) OVER (ORDER BY l.event_id) AS bar FROM late l)
SELECT b.name, t.bar, min(t.received_at) AS since, max(t.received_at) AS until, count(*) AS events,
       count(*) FILTER (WHERE d.state = 'delivered') AS delivered, count(*) FILTER (WHERE d.state = 'pending') AS pending,
       count(*) FILTER (WHERE d.state = 'dead') AS dead,
       max(extract(epoch FROM d.delivered_at - t.received_at))::float AS took_s
FROM tiled t JOIN dataml.lineage_delivery d USING (event_id) JOIN dataml.lineage_backend b USING (backend_id)
GROUP BY b.name, t.bar ORDER BY b.name, t.bar
"""
_REFUSED = """
SELECT event_id, source, event_type, event_time, received_at, error, payload -> 'job' ->> 'namespace' AS job_namespace,
       payload -> 'job' ->> 'name' AS job_name
FROM dataml.lineage_event
WHERE state = 'refused' AND (%s::bigint IS NULL OR event_id < %s) ORDER BY event_id DESC LIMIT %s
"""


class DeliveryReading:
    """What is on the way, and how long it took of late.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def projection(self) -> dict[str, Any]:
        """Return how far the graph is behind the events that came."""
        return self._db.one(_PROJECTION)

    def pulse(self) -> dict[str, list[dict[str, Any]]]:
        """Return per backend what became of the newest events, oldest bar first."""
        found: dict[str, list[dict[str, Any]]] = {}
        for row in self._db.rows(_PULSE, [EVENTS, BARS]):
            found.setdefault(row["name"], []).append(row)
        return found

    def refused(self, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return events the graph could not take, newest first, each with the reason."""
        return self._db.rows(_REFUSED, [before, before, limit])

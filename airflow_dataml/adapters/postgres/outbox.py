"""The outbox on PostgreSQL: events leave in order, at least once, or end as dead letters."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import BackendError, DataMLError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_dataml.adapters.postgres.connection import Connection

log = logging.getLogger(__name__)
MAX_ATTEMPTS = 12

# The oldest pending event of each ordering key, and only that one, may go next.
_DUE = """
SELECT outbox_id, payload, attempts FROM dataml.outbox o
WHERE state = 'pending' AND topic = %s AND next_at <= now()
  AND NOT EXISTS (SELECT 1 FROM dataml.outbox p WHERE p.ordering_key = o.ordering_key AND p.topic = o.topic
                  AND p.state = 'pending' AND p.outbox_id < o.outbox_id)
ORDER BY outbox_id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_POSITIONS = """
SELECT ordering_key, (array_agg(state ORDER BY outbox_id DESC))[1] AS newest,
       (jsonb_agg(payload ORDER BY outbox_id DESC) FILTER (WHERE state = 'delivered')) -> 0 AS delivered,
       coalesce(jsonb_agg(payload ORDER BY outbox_id) FILTER (WHERE state = 'pending'), '[]') AS waiting
FROM dataml.outbox WHERE topic = %s AND starts_with(ordering_key, %s) GROUP BY ordering_key
"""


class PostgresOutbox:
    """Events for other systems, written in the transaction of the fact they tell of."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, *, key: str, topic: str, ordering_key: str, payload: Mapping[str, Any]) -> None:
        """Queue an event; the same key twice is one."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            """INSERT INTO dataml.outbox (event_key, topic, ordering_key, payload) VALUES (%s, %s, %s, %s)
               ON CONFLICT (event_key) DO NOTHING""",
            [key, topic, ordering_key, Jsonb(dict(payload))],
        )

    def positions(self, topic: str, *, prefix: str) -> dict[str, dict[str, Any]]:
        """Return by ordering key what was delivered last, what waits in order, and the newest event's state."""
        found = self._db.rows(_POSITIONS, [topic, prefix])
        return {row.pop("ordering_key"): row for row in found}

    def deliver(self, topic: str, send: Callable[[Mapping[str, Any]], None], *, limit: int = 100) -> int:
        """Send what is due and return how many went out.

        ``send`` must bear being given an event twice: a worker killed between sending and recording
        it sends again. A backend that does not answer ends the round; the event waits, longer each time.
        """
        sent = 0
        for _ in range(limit):
            outcome = self._deliver_one(topic, send)
            if outcome in (None, "put off"):
                break
            sent += outcome == "sent"
        return sent

    def _deliver_one(self, topic: str, send: Callable[[Mapping[str, Any]], None]) -> str | None:
        """Deliver the next event: ``sent``, ``put off``, ``dead``, or ``None`` when nothing is due."""
        with self._db.transaction():
            row = self._db.row(_DUE, [topic])
            if row is None:
                return None
            try:
                send(row["payload"])
            except DataMLError as err:
                return self._put_off(row, err)
            self._db.execute(
                "UPDATE dataml.outbox SET state = 'delivered', delivered_at = clock_timestamp() WHERE outbox_id = %s",
                [row["outbox_id"]],
            )
        return "sent"

    def _put_off(self, row: dict[str, Any], err: DataMLError) -> str:
        attempts = row["attempts"] + 1
        dead = attempts >= MAX_ATTEMPTS or not isinstance(err, BackendError)
        log.warning("Outbox event %s was not delivered (attempt %d): %s", row["outbox_id"], attempts, err)
        self._db.execute(
            """UPDATE dataml.outbox SET attempts = %s, last_error = %s, state = %s,
                      next_at = now() + least(power(2, %s), 3600) * interval '1 second'
               WHERE outbox_id = %s""",
            [attempts, str(err)[:500], "dead" if dead else "pending", attempts, row["outbox_id"]],
        )
        return "dead" if dead else "put off"

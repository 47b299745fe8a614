"""Fan-out of lineage events: what each backend has, lacks, and will not take."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.delivery import (
    MAX_ATTEMPTS,
    MAX_PAUSE_S,
    START_GRACE_S,
    TERMINAL,
    Due,
    Tally,
    pause_s,
    why_unreachable,
)
from airflow_dataml.core.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.delivery import BackendSpec, Outcome

log = logging.getLogger(__name__)
REASON_LENGTH = 1000
_BACKEND = "lineage backend"
# A backend that did not answer is asked with so few events whether it does again.
_PROBE = 4
# Runs are claimed by their first pending event; the others of the run follow it.
_EVENTS_PER_RUN = 20

_FAN_OUT = """
WITH fresh AS (
  SELECT event_id, ordering_key, event_type, event_time, source, received_at FROM dataml.lineage_event
  WHERE NOT fanned ORDER BY event_id LIMIT %s FOR UPDATE SKIP LOCKED),
due AS (
  INSERT INTO dataml.lineage_delivery (backend_id, event_id, ordering_key, event_time, next_at)
  SELECT b.backend_id, f.event_id, f.ordering_key, f.event_time,
         CASE WHEN f.source = 'transport' AND f.event_type = ANY(%s) AND NOT EXISTS (
                SELECT FROM dataml.lineage_event s WHERE s.ordering_key = f.ordering_key AND s.event_type = 'START')
              THEN f.received_at + %s * interval '1 second' ELSE now() END
  FROM fresh f CROSS JOIN dataml.lineage_backend b WHERE b.state <> 'removed'
  ON CONFLICT DO NOTHING)
UPDATE dataml.lineage_event e SET fanned = true FROM fresh f WHERE e.event_id = f.event_id
"""
_READY = """
SELECT backend_id, failures FROM dataml.lineage_backend
WHERE name = %s AND state = 'active' AND (retry_at IS NULL OR retry_at <= now())
"""
# The first pending event of each run, and only that one, may go next.
_HEADS = """
SELECT d.ordering_key FROM dataml.lineage_delivery d
WHERE d.backend_id = %s AND d.state = 'pending' AND d.next_at <= now()
  AND NOT EXISTS (SELECT FROM dataml.lineage_delivery p
                  WHERE p.backend_id = d.backend_id AND p.ordering_key = d.ordering_key AND p.state = 'pending'
                    AND (p.event_time, p.event_id) < (d.event_time, d.event_id))
ORDER BY d.event_id LIMIT %s FOR UPDATE OF d SKIP LOCKED
"""
# What is put off holds back what comes after it in its run.
_CLAIMED = """
SELECT d.event_id, d.ordering_key, d.attempts, d.next_at <= now() AS due, e.payload
FROM dataml.lineage_delivery d JOIN dataml.lineage_event e USING (event_id)
WHERE d.backend_id = %s AND d.state = 'pending' AND d.ordering_key = ANY(%s)
ORDER BY d.ordering_key, d.event_time, d.event_id LIMIT %s FOR UPDATE OF d
"""
_DELIVERED = """
UPDATE dataml.lineage_delivery SET state = 'delivered', delivered_at = clock_timestamp(), attempts = attempts + 1,
       last_error = NULL
WHERE backend_id = %s AND event_id = ANY(%s)
"""
# An event may be at fault only where the backend takes others.
_PUT_OFF = f"""
UPDATE dataml.lineage_delivery d SET attempts = d.attempts + 1, last_error = u.reason,
       state = CASE WHEN u.dead OR (d.attempts + 1 >= {MAX_ATTEMPTS} AND b.last_delivered_at > now() - interval '10 minutes')
                    THEN 'dead' ELSE 'pending' END,
       next_at = now() + least(power(2, least(d.attempts + 1, 16)), {MAX_PAUSE_S}) * interval '1 second'
FROM unnest(%s::bigint[], %s::text[], %s::boolean[]) AS u(event_id, reason, dead), dataml.lineage_backend b
WHERE d.backend_id = %s AND d.event_id = u.event_id AND b.backend_id = d.backend_id
RETURNING d.event_id, d.state
"""
# One that a backend never answers is not all that it is asked with.
_OTHERS_FIRST = """
UPDATE dataml.lineage_delivery d SET next_at = b.retry_at + interval '1 second'
FROM dataml.lineage_backend b
WHERE d.backend_id = %s AND d.event_id = ANY(%s) AND b.backend_id = d.backend_id
"""


class PostgresDelivery:
    """Which backend lacks which event; several drainers work on it together.

    :param connection: of one drainer alone: what it claimed is free again when the connection ends.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def register(self, specs: Sequence[BackendSpec]) -> None:
        """Make the backends known; one that is no longer configured is set aside with what waits for it.

        Without a single backend nothing is set aside: a drainer without configuration knows nothing.
        """
        if not specs:
            return
        names, kinds, targets = zip(*((s.name, s.kind, s.target) for s in specs), strict=True)
        with self._db.transaction():
            self._db.execute(
                """INSERT INTO dataml.lineage_backend AS b (name, kind, target)
                   SELECT * FROM unnest(%s::text[], %s::text[], %s::text[]) AS u(name, kind, target) ORDER BY name
                   ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, target = excluded.target,
                     state = CASE b.state WHEN 'removed' THEN 'active' ELSE b.state END, retry_at = NULL, failures = 0
                   WHERE (b.kind, b.target) IS DISTINCT FROM (excluded.kind, excluded.target) OR b.state = 'removed'""",
                [list(names), list(kinds), list(targets)],
            )
            self._db.execute(
                "UPDATE dataml.lineage_backend SET state = 'removed' WHERE state <> 'removed' AND name <> ALL(%s)",
                [list(names)],
            )

    def fan_out(self, *, limit: int = 1000) -> int:
        """Give every backend its row of events that are new, and return of how many.

        The end of a run whose start has not been heard of is put off a little: another process may hold it.
        """
        return self._db.execute(_FAN_OUT, [limit, list(TERMINAL), START_GRACE_S])

    def deliver(
        self, backend: str, send: Callable[[Sequence[Due]], Sequence[Outcome]], *, limit: int = 100
    ) -> Tally:
        """Send what is due at a backend and keep what became of it.

        Claims are row locks: a drainer that is killed gives them back at once, and what it had sent by then is
        sent again. Events of one run are claimed together, by one drainer.

        :param send: is handed events, each run's in order, and answers for each.
        """
        with self._db.transaction():
            ready = self._db.row(_READY, [backend])
            if ready is None:
                return Tally()
            due = self._claim(ready["backend_id"], _PROBE if ready["failures"] else limit)
            if not due:
                return Tally()
            return self._keep(ready, due, send(due))

    def _claim(self, backend_id: int, limit: int) -> list[Due]:
        heads = self._db.rows(_HEADS, [backend_id, limit])
        if not heads:
            return []
        keys = list({row["ordering_key"] for row in heads})
        rows = self._db.rows(_CLAIMED, [backend_id, keys, len(keys) * _EVENTS_PER_RUN])
        due, held = [], set()
        for row in rows:
            if row["due"] and row["ordering_key"] not in held:
                due.append(Due(row["event_id"], row["ordering_key"], row["attempts"], row["payload"]))
            else:
                held.add(row["ordering_key"])
        return due[:limit]

    def _keep(self, backend: dict[str, Any], due: Sequence[Due], outcomes: Sequence[Outcome]) -> Tally:
        pairs = list(zip(due, outcomes, strict=True))
        delivered = [d.event_id for d, o in pairs if o.verdict == "delivered"]
        answered = bool(delivered) or any(o.verdict == "refused" for _, o in pairs)
        # What a backend chokes on that answers others may be the event's fault, and may not be tried first again.
        faults = ("refused", "failed", "unreachable") if answered else ("refused", "failed")
        put_off = [(d.event_id, o) for d, o in pairs if o.verdict in faults]
        unreachable = why_unreachable([outcome for _, outcome in pairs])
        if delivered:
            self._db.execute(_DELIVERED, [backend["backend_id"], delivered])
        self._note(backend, answered, unreachable)
        if unreachable and not answered:
            tried = [d.event_id for d, o in pairs if o.verdict == "unreachable"]
            self._db.execute(_OTHERS_FIRST, [backend["backend_id"], tried])
        dead = self._put_off(backend["backend_id"], put_off) if put_off else ()
        return Tally(len(due), len(delivered), len(put_off) - len(dead), tuple(dead), unreachable)

    def _note(self, backend: dict[str, Any], answered: bool, unreachable: str) -> None:
        if unreachable:
            failures = 1 if answered else backend["failures"] + 1
            self._db.execute(
                """UPDATE dataml.lineage_backend SET failures = %s, last_error = %s,
                          retry_at = now() + %s * interval '1 second',
                          last_delivered_at = CASE WHEN %s THEN clock_timestamp() ELSE last_delivered_at END
                   WHERE backend_id = %s""",
                [failures, unreachable[:REASON_LENGTH], pause_s(failures), answered, backend["backend_id"]],
            )
        elif answered:
            self._db.execute(
                """UPDATE dataml.lineage_backend SET failures = 0, last_error = NULL, retry_at = NULL,
                          last_delivered_at = clock_timestamp() WHERE backend_id = %s""",
                [backend["backend_id"]],
            )

    def _put_off(self, backend_id: int, put_off: Sequence[tuple[int, Outcome]]) -> list[int]:
        ids = [event_id for event_id, _ in put_off]
        reasons = [outcome.reason[:REASON_LENGTH] for _, outcome in put_off]
        refused = [outcome.verdict == "refused" for _, outcome in put_off]
        rows = self._db.rows(_PUT_OFF, [ids, reasons, refused, backend_id])
        return sorted(row["event_id"] for row in rows if row["state"] == "dead")

    def backends(self) -> list[dict[str, Any]]:
        """Return every backend with its lag: what waits, since when, and what is dead."""
        return self._db.rows(
            """SELECT b.name, b.kind, b.target, b.state, b.failures, b.retry_at, b.last_error, b.last_delivered_at,
                      coalesce(w.pending, 0) AS pending, w.oldest AS oldest_pending,
                      extract(epoch FROM now() - w.oldest)::float AS lag_s, coalesce(x.dead, 0) AS dead
               FROM dataml.lineage_backend b
               LEFT JOIN LATERAL (
                 SELECT count(*) AS pending, min(e.received_at) AS oldest
                 FROM dataml.lineage_delivery d JOIN dataml.lineage_event e USING (event_id)
                 WHERE d.backend_id = b.backend_id AND d.state = 'pending') w ON true
               LEFT JOIN LATERAL (
                 SELECT count(*) AS dead FROM dataml.lineage_delivery d
                 WHERE d.backend_id = b.backend_id AND d.state = 'dead') x ON true
               ORDER BY b.name"""
        )

    def dead(self, *, backend: str | None = None, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Return dead letters, oldest first, with the reason."""
        return self._db.rows(
            """SELECT b.name AS backend, d.event_id, d.attempts, d.last_error, e.event_type, e.event_time,
                      e.ordering_key, e.payload -> 'job' ->> 'namespace' AS job_namespace,
                      e.payload -> 'job' ->> 'name' AS job_name
               FROM dataml.lineage_delivery d JOIN dataml.lineage_backend b USING (backend_id)
               JOIN dataml.lineage_event e USING (event_id)
               WHERE d.state = 'dead' AND (%s::text IS NULL OR b.name = %s) AND d.event_id > %s
               ORDER BY d.event_id, b.name LIMIT %s""",
            [backend, backend, after, limit],
        )

    def unsettled(self) -> dict[str, int]:
        """Return how many events are not in the graph yet, were refused by it, or are not fanned out."""
        return self._db.one(
            """SELECT (SELECT count(*) FROM dataml.lineage_event WHERE state = 'new') AS unprojected,
                      (SELECT count(*) FROM dataml.lineage_event WHERE state = 'refused') AS refused,
                      (SELECT count(*) FROM dataml.lineage_event WHERE NOT fanned) AS unfanned"""
        )

    def replay(self, backend: str, *, event_id: int | None = None) -> int:
        """Let dead letters of a backend, or one of them, be sent again, and return how many."""
        found = self._backend(backend)
        with self._db.transaction():
            count = self._db.execute(
                """UPDATE dataml.lineage_delivery SET state = 'pending', attempts = 0, next_at = now()
                   WHERE backend_id = %s AND state = 'dead' AND (%s::bigint IS NULL OR event_id = %s)""",
                [found, event_id, event_id],
            )
            self._db.execute(
                "UPDATE dataml.lineage_backend SET retry_at = NULL WHERE backend_id = %s", [found]
            )
        return count

    def backfill(self, backend: str, *, since: Any) -> int:
        """Send a backend what came before it was configured, or what it lost, and return how many events."""
        return self._db.execute(
            """INSERT INTO dataml.lineage_delivery AS d (backend_id, event_id, ordering_key, event_time)
               SELECT %s, event_id, ordering_key, event_time FROM dataml.lineage_event WHERE received_at >= %s
               ORDER BY event_id
               ON CONFLICT (backend_id, event_id) DO UPDATE SET state = 'pending', attempts = 0, next_at = now()
               WHERE d.state <> 'pending'""",
            [self._backend(backend), since],
        )

    def set_state(self, backend: str, state: str) -> None:
        """Pause a backend, or let it go on at once."""
        self._db.execute(
            """UPDATE dataml.lineage_backend SET state = %s,
                      retry_at = CASE WHEN %s = 'active' THEN NULL ELSE retry_at END WHERE backend_id = %s""",
            [state, state, self._backend(backend)],
        )

    def purge(self, *, days: float, limit: int = 5000) -> int:
        """Delete events that the graph and every backend have had for so long, and return how many.

        Dead letters, and what waits for a backend that was not removed, stay.
        """
        total = 0
        while count := self._purge_some(days, limit):
            total += count
        return total

    def _purge_some(self, days: float, limit: int) -> int:
        return self._db.execute(
            """DELETE FROM dataml.lineage_event WHERE event_id IN (
                 SELECT event_id FROM dataml.lineage_event e
                 WHERE e.received_at < now() - %s * interval '1 day' AND e.state <> 'new' AND e.fanned
                   AND NOT EXISTS (SELECT FROM dataml.lineage_delivery d JOIN dataml.lineage_backend b USING (backend_id)
                                   WHERE d.event_id = e.event_id AND d.state <> 'delivered' AND b.state <> 'removed')
                 LIMIT %s FOR UPDATE SKIP LOCKED)""",
            [days, limit],
        )

    def _backend(self, name: str) -> int:
        rows = self._db.rows("SELECT backend_id, name FROM dataml.lineage_backend")
        known = {row["name"]: row["backend_id"] for row in rows}
        if name not in known:
            raise NotFoundError.from_available(_BACKEND, name, known)
        return int(known[name])

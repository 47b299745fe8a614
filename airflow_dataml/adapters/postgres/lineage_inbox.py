"""Lineage events that wait to become part of the graph."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.events import INSERT, as_parameters
from airflow_dataml.core.recorded import record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.openlineage import ObservedEvent
    from airflow_dataml.core.recorded import Recorded, Source

_COLUMNS = "event_id, event_key, source, task, payload::text AS body, run_key, try_number"
# What this process has just read is not fetched and read again.
_CLAIM = """
SELECT event_id, event_key, source, task, run_key, try_number,
       CASE WHEN event_key <> ALL (%s) THEN payload::text ELSE '' END AS body FROM dataml.lineage_event
WHERE state = 'new' AND (%s::bigint[] IS NULL OR event_id = ANY (%s))
ORDER BY event_id LIMIT %s FOR UPDATE SKIP LOCKED
"""
# What was stored of the same tries before.
_EARLIER = f"""
SELECT {_COLUMNS} FROM dataml.lineage_event e
WHERE e.state = 'stored' AND (e.run_key, e.try_number) IN (
  SELECT r, t FROM jsonb_to_recordset(%s) x(r bigint, t int))
"""
_DONE = """
UPDATE dataml.lineage_event e SET state = x.state, error = x.error, run_key = x.run_key, try_number = x.try_number
FROM jsonb_to_recordset(%s) x(event_id bigint, state text, error text, run_key bigint, try_number int)
WHERE e.event_id = x.event_id
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event as it lies in the ledger.

    :param body: its JSON; read one at a time, so that no batch of them is alive at once.
    :param seen: what it says, where this process read it before it put it here.
    """

    event_id: int
    event_key: str
    source: str
    task: dict[str, Any] | None
    body: str
    run_key: int | None = None
    try_number: int | None = None
    seen: ObservedEvent | None = None


class PostgresInbox:
    """The events, oldest first."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection
        self._seen: dict[str, ObservedEvent] = {}

    def claim(self, *, limit: int, only: Sequence[int] | None = None) -> list[Waiting]:
        """Take waiting events for this transaction; whoever claims beside gets others.

        :param only: of these alone.
        """
        ids = list(only) if only is not None else None
        rows = self._db.rows(_CLAIM, [list(self._seen), ids, ids, limit])
        return [Waiting(**row, seen=self._seen.get(row["event_key"])) for row in rows]

    def earlier(self, tries: Iterable[tuple[int, int]]) -> list[Waiting]:
        """Return what was stored of some tries of runs."""
        wanted = json.dumps([{"r": run, "t": number} for run, number in tries])
        return [Waiting(**row) for row in self._db.rows(_EARLIER, [wanted])]

    def done(self, results: Iterable[dict[str, Any]]) -> None:
        """Write down what became of events."""
        self._db.execute(_DONE, [json.dumps(list(results))])

    def put(self, events: Sequence[Mapping[str, Any]], *, source: Source) -> list[str]:
        """Keep events durably, each once, and return their keys."""
        return self.keep([record(event, source=source) for event in events])

    def keep(
        self, events: Sequence[Recorded], *, seen: Mapping[str, ObservedEvent] | None = None
    ) -> list[str]:
        """Keep events durably, each once, and return their keys.

        :param seen: what some of them say, by their keys, which are digests of all they say; whoever projects
            them from here next need not read them again.
        """
        if events:
            self._db.execute(INSERT, as_parameters(events))
        self._seen = dict(seen or {})
        return [one.event_key for one in events]

    def forget(self) -> None:
        """Let go of what events say."""
        self._seen = {}

    def find(self, keys: Sequence[str]) -> dict[str, tuple[int, str, str | None]]:
        """Return id, state and error of events by their keys."""
        rows = self._db.rows(
            "SELECT event_key, event_id, state, error FROM dataml.lineage_event WHERE event_key = ANY (%s)",
            [list(keys)],
        )
        return {row["event_key"]: (row["event_id"], row["state"], row["error"]) for row in rows}

    def assets(self, event_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
        """Return the assets of events' runs, by event id."""
        rows = self._db.rows(
            """SELECT e.event_id, array_agg(DISTINCT a.name ORDER BY a.name) AS names
               FROM dataml.lineage_event e JOIN dataml.run_io io USING (run_key, try_number)
               JOIN dataml.asset a ON a.asset_id = io.asset_id
               WHERE e.event_id = ANY (%s) GROUP BY e.event_id""",
            [list(event_ids)],
        )
        return {row["event_id"]: tuple(row["names"]) for row in rows}

    def waiting(self) -> int:
        """Return how many events are not in the graph yet."""
        return int(self._db.scalar("SELECT count(*) FROM dataml.lineage_event WHERE state = 'new'"))

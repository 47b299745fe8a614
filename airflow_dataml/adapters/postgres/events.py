"""Lineage events in the ledger: kept as they came, each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.recorded import Recorded

# Two texts as parameters, so that one event and a thousand take one round trip with any driver. Payloads are
# lines and not part of the other JSON, where they would be read four times as often.
INSERT = """
INSERT INTO dataml.lineage_event (event_key, source, ordering_key, event_type, event_time, task, payload)
SELECT r.event_key, r.source, r.ordering_key, r.event_type, r.event_time, r.task, r.payload
FROM ROWS FROM (jsonb_to_recordset(%s::jsonb) AS (event_key text, source text, ordering_key text, event_type text,
       event_time timestamptz, task jsonb), unnest(string_to_array(%s, E'\n')::json[])) WITH ORDINALITY AS
     r(event_key, source, ordering_key, event_type, event_time, task, payload, place)
ORDER BY place
ON CONFLICT (event_key) DO NOTHING
"""


class PostgresEvents:
    """Takes lineage events, in the order they are given."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, events: Sequence[Recorded]) -> int:
        """Keep events and return how many were not there yet.

        :raises GateError: one of them holds what the database has no place for.
        """
        if not events:
            return 0
        return self._db.execute(INSERT, as_parameters(events))


def as_parameters(events: Sequence[Recorded]) -> list[str]:
    """Return events as the parameters of ``INSERT``."""
    rows = [{name: getattr(event, name) for name in _REST} for event in events]
    return [json.dumps(rows), "\n".join([event.body for event in events])]


_REST = ("event_key", "source", "ordering_key", "event_type", "event_time", "task")

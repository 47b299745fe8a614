"""Lineage events in the ledger: kept as they came, each once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.recorded import Recorded

# One parameter, a JSON array, so that one event and a thousand take one round trip with any driver.
INSERT = """
INSERT INTO dataml.lineage_event (event_key, source, ordering_key, event_type, event_time, task, payload)
SELECT r.event_key, r.source, r.ordering_key, r.event_type, r.event_time, r.task, r.payload
FROM ROWS FROM (jsonb_to_recordset(%s::jsonb) AS (event_key text, source text, ordering_key text, event_type text,
       event_time timestamptz, task jsonb, payload jsonb)) WITH ORDINALITY AS
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
        return self._db.execute(INSERT, [as_parameter(events)])


def as_parameter(events: Sequence[Recorded]) -> str:
    """Return events as the one parameter of ``INSERT``."""
    return json.dumps([event.to_dict() for event in events], separators=(",", ":"))

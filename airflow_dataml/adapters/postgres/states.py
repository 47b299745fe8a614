"""What quality engines measured of single parts, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection


class PostgresStates:
    """Measurements of parts; see ``core.ports_states.States``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def get(self, part_ids: Sequence[int], *, engine: str, plan: str) -> dict[int, dict[str, Any]]:
        """Return what is kept of some parts, by part."""
        rows = self._db.rows(
            "SELECT part_id, state FROM dataml.part_state WHERE part_id = ANY (%s) AND engine = %s AND plan = %s",
            [list(part_ids), engine, plan],
        )
        return {row["part_id"]: row["state"] for row in rows}

    def put(self, part_id: int, *, engine: str, plan: str, state: Mapping[str, Any]) -> None:
        """Keep what was measured of a part, in place of what was kept before."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            """
            INSERT INTO dataml.part_state (part_id, engine, plan, state) VALUES (%s, %s, %s, %s)
            ON CONFLICT (part_id, engine, plan)
            DO UPDATE SET state = excluded.state, measured_at = clock_timestamp()
            """,
            [part_id, engine, plan, Jsonb(dict(state))],
        )

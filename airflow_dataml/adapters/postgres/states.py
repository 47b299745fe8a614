"""What quality engines measured of parts and of segments of other tables, on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection


# A plan nobody asked about for so long is another contract's by now; if not, the table is read once.
_FORGOTTEN = "30 days"


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

    def segments(self, table: str, *, engine: str, plan: str) -> dict[int, dict[str, Any]]:
        """Return what is kept of the segments of a table, by number."""
        rows = self._db.rows(
            "SELECT segment, state FROM dataml.segment_state WHERE relation = %s AND engine = %s AND plan = %s",
            [table, engine, plan],
        )
        return {row["segment"]: row["state"] for row in rows}

    def put_segments(
        self, table: str, *, engine: str, plan: str, states: Mapping[int, Mapping[str, Any]], total: int
    ) -> None:
        """Keep what was measured of some segments, and forget what nobody will ask for."""
        from psycopg.types.json import Jsonb

        numbers = sorted(states)
        if numbers:
            self._db.execute(
                """
                INSERT INTO dataml.segment_state (relation, engine, plan, segment, state)
                SELECT %s, %s, %s, * FROM unnest(%s::int[], %s::jsonb[])
                ON CONFLICT (relation, engine, plan, segment)
                DO UPDATE SET state = excluded.state, measured_at = clock_timestamp()
                """,
                [table, engine, plan, numbers, [Jsonb(dict(states[number])) for number in numbers]],
            )
        self._db.execute(
            """
            DELETE FROM dataml.segment_state s WHERE relation = %s AND engine = %s AND (
              plan = %s AND segment >= %s OR plan <> %s AND NOT EXISTS (
                SELECT FROM dataml.segment_state n WHERE (n.relation, n.engine, n.plan) = (s.relation, s.engine, s.plan)
                AND n.measured_at > now() - %s::interval))
            """,
            [table, engine, plan, total, plan, _FORGOTTEN],
        )

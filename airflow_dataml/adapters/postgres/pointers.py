"""The past of aliases and of parts on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection

_MOVES = """
SELECT h.to_version FROM dataml.alias_history h JOIN dataml.asset a USING (asset_id)
WHERE a.name = %s AND h.name = %s ORDER BY h.entry_id
"""


class PostgresPointers:
    """Where aliases stood; see ``core.ports_pointers.Pointers``."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def moves(self, asset: str, alias: str) -> list[int | None]:
        """Return the versions an alias was pointed at, oldest first."""
        return [row["to_version"] for row in self._db.rows(_MOVES, [asset, alias])]

    def gone_since(self, part_ids: Sequence[int]) -> datetime | None:
        """Return when the first of some parts lost its rows."""
        moment: datetime | None = self._db.scalar(
            "SELECT min(gone_at) FROM dataml.part WHERE part_id = ANY (%s) AND state <> 'live'",
            [list(part_ids)],
        )
        return moment

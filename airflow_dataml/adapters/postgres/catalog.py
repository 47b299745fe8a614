"""The catalog's rows on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import AssetNotFoundError, SpecError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import AssetKind

# What is not said again stays as it was.
_REGISTER = """
INSERT INTO dataml.asset AS a (name, kind, uri, owner, description, importance, tags, location, source)
VALUES (%s, %s, %s, %s, %s, coalesce(%s, 'moderate'), %s, %s, %s)
ON CONFLICT (name) DO UPDATE SET
  owner = coalesce(excluded.owner, a.owner),
  description = coalesce(excluded.description, a.description),
  importance = coalesce(%s, a.importance),
  tags = CASE WHEN excluded.tags = '[]' THEN a.tags ELSE excluded.tags END,
  location = a.location || excluded.location,
  source = CASE WHEN a.source = 'observed' THEN excluded.source ELSE a.source END,
  kind = CASE WHEN a.source = 'observed' THEN excluded.kind ELSE a.kind END,
  uri = CASE WHEN a.source = 'observed' THEN excluded.uri ELSE a.uri END,
  last_seen = now()
RETURNING kind
"""
_SELECT = """
SELECT a.*,
       (SELECT v.number FROM dataml.alias l JOIN dataml.version v USING (version_id)
         WHERE l.asset_id = a.asset_id AND l.name = 'current') AS current,
       (SELECT count(*) FROM dataml.version v WHERE v.asset_id = a.asset_id) AS versions
FROM dataml.asset a
"""


class PostgresAssets:
    """Catalog entries."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def register(
        self,
        *,
        name: str,
        kind: AssetKind,
        uri: str,
        owner: str | None = None,
        description: str | None = None,
        importance: str | None = None,
        tags: Sequence[str] = (),
        location: Mapping[str, Any] | None = None,
        source: str = "declared",
    ) -> None:
        """Create or refresh a catalog entry.

        :raises SpecError: the name is taken by an asset of another kind.
        """
        from psycopg.types.json import Jsonb

        found = self._db.one(
            _REGISTER,
            [
                name, kind, uri, owner, description, importance, Jsonb(list(tags)), Jsonb(dict(location or {})),
                source, importance,
            ],
        )["kind"]  # fmt: skip
        if source != "observed" and found != kind:
            msg = f"asset {name!r} is a {found} in the ledger and was declared a {kind}: choose another name."
            raise SpecError(msg)

    def set_location(self, name: str, location: Mapping[str, Any]) -> None:
        """Merge facts about where and how an asset is kept."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            "UPDATE dataml.asset SET location = location || %s WHERE name = %s", [Jsonb(dict(location)), name]
        )

    def lock(self, name: str) -> dict[str, Any]:
        """Take the asset's row for this transaction."""
        row = self._db.row("SELECT * FROM dataml.asset WHERE name = %s FOR UPDATE", [name])
        return row or self._missing(name)

    def get(self, name: str) -> dict[str, Any]:
        """Return the catalog entry."""
        row = self._db.row(_SELECT + "WHERE a.name = %s", [name])
        return row or self._missing(name)

    def list(self, *, kind: str | None = None, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Return a page of catalog entries by name."""
        return self._db.rows(
            _SELECT + "WHERE a.name > %s AND (%s::text IS NULL OR a.kind = %s) ORDER BY a.name LIMIT %s",
            [after, kind, kind, limit],
        )

    def at(self, *, uri: str, table: str | None = None) -> str | None:
        """Return the asset of a uri, or else the one whose readers query a table of this database."""
        name = self._db.scalar(
            """SELECT name FROM dataml.asset WHERE uri = %s
                 OR (location ->> 'table' = %s AND NOT location ? 'conn_id')
               ORDER BY (uri = %s) DESC, source = 'observed', asset_id LIMIT 1""",
            [uri, table, uri],
        )
        return None if name is None else str(name)

    def _missing(self, name: str) -> dict[str, Any]:
        names = [
            row["name"] for row in self._db.rows("SELECT name FROM dataml.asset ORDER BY name LIMIT 1000")
        ]
        what = "asset"
        raise AssetNotFoundError.from_available(what, name, names)

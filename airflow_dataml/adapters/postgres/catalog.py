"""The catalog's rows on PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.catalog_registration import PostgresCatalog, local_alias
from airflow_dataml.core.catalog import AssetEntry
from airflow_dataml.core.catalog_names import NAMING, aliases_of
from airflow_dataml.core.errors import AssetNotFoundError
from airflow_dataml.core.refs import Relation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import AssetKind

_SELECT = """
SELECT a.*,
       (SELECT v.number FROM dataml.alias l JOIN dataml.version v USING (version_id)
         WHERE l.asset_id = a.asset_id AND l.name = 'current') AS current,
       (SELECT count(*) FROM dataml.version v WHERE v.asset_id = a.asset_id) AS versions
FROM dataml.asset a
"""
# The asset of a name, or the one that it was merged into or is called now.
_NAMED = """
WITH named AS (
  SELECT coalesce(merged_into, asset_id) AS asset_id FROM dataml.asset WHERE name = %s
  UNION ALL SELECT asset_id FROM dataml.asset_alias WHERE namespace = 'asset' AND name = %s LIMIT 1)
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
        self.enter(
            AssetEntry(
                name=name,
                kind=kind,
                uri=uri,
                owner=owner or None,
                description=description or None,
                importance=importance or None,
                tags=tuple(tags),
                location=dict(location or {}),
                source=source,
            )
        )

    def enter(self, entry: AssetEntry) -> None:
        """Lay what is said of one asset over the catalog; what says nothing new costs a millisecond.

        :raises SpecError: the name is taken by an asset of another kind.
        """
        PostgresCatalog(self._db).register_all([self.with_names(entry)])

    def with_names(self, entry: AssetEntry) -> AssetEntry:
        """Return an entry with the names that other tools call it by, as far as they are known."""
        names = (*entry.aliases, *aliases_of(entry.uri), *self._table_aliases(entry.kind, entry.location))
        return replace(entry, aliases=tuple(dict.fromkeys(names)))

    def _table_aliases(self, kind: AssetKind, location: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """Its name by where it is kept; of another server's table only its connection knows the server."""
        if kind == "model" or "conn_id" in location:
            return ()
        if location.get("store") == "delta" and location.get("uri"):
            found = NAMING.lineage_file(str(location["uri"]))
            return ((found.namespace, found.name),)
        table = location.get("table")
        return (local_alias(self._db, Relation.parse(str(table))),) if table else ()

    def set_location(self, name: str, location: Mapping[str, Any]) -> None:
        """Merge facts about where and how an asset is kept."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            _NAMED
            + "UPDATE dataml.asset a SET location = location || %s FROM named n WHERE a.asset_id = n.asset_id",
            [name, name, Jsonb(dict(location))],
        )

    def lock(self, name: str) -> dict[str, Any]:
        """Take the asset's row for this transaction."""
        row = self._db.row(
            _NAMED
            + "SELECT a.* FROM dataml.asset a WHERE asset_id = (SELECT asset_id FROM named) FOR UPDATE",
            [name, name],
        )
        return row or self._missing(name)

    def get(self, name: str) -> dict[str, Any]:
        """Return the catalog entry; of a merged or renamed asset, the one it is now."""
        row = self._db.row(_NAMED + _SELECT + "WHERE a.asset_id = (SELECT asset_id FROM named)", [name, name])
        return row or self._missing(name)

    def list(self, *, kind: str | None = None, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Return a page of catalog entries by name."""
        return self._db.rows(
            _SELECT
            + "WHERE a.merged_into IS NULL AND a.name > %s AND (%s::text IS NULL OR a.kind = %s) ORDER BY a.name LIMIT %s",
            [after, kind, kind, limit],
        )

    def at(self, *, uri: str, table: str | None = None) -> str | None:
        """Return the asset of a uri, or else the one whose readers query a table of this database."""
        names = aliases_of(uri)
        name = self._db.scalar(
            """SELECT name FROM dataml.asset WHERE merged_into IS NULL AND (uri = %s
                 OR (location ->> 'table' = %s AND location ? 'table' AND NOT location ? 'conn_id')
                 OR asset_id IN (SELECT l.asset_id FROM dataml.asset_alias l JOIN unnest(%s::text[], %s::text[]) n (namespace, name)
                                 USING (namespace, name)))
               ORDER BY (uri = %s) DESC, source = 'observed', asset_id LIMIT 1""",
            [uri, table, [n[0] for n in names], [n[1] for n in names], uri],
        )
        return None if name is None else str(name)

    def _missing(self, name: str) -> dict[str, Any]:
        names = [
            row["name"] for row in self._db.rows("SELECT name FROM dataml.asset ORDER BY name LIMIT 1000")
        ]
        what = "asset"
        raise AssetNotFoundError.from_available(what, name, names)

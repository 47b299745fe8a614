"""Versions and aliases on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.parts import PostgresParts, columns_from
from airflow_dataml.core.datasets import CURRENT, Fingerprint, Version
from airflow_dataml.core.errors import AssetNotFoundError, VersionNotFoundError
from airflow_dataml.core.refs import VersionRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.core.datasets import Column, Part
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.runs import TaskRun

# Whether a version ``v`` may stand for its asset ``a`` while no alias does: one that only a branch had may not.
STANDS = """(a.kind NOT IN ('dataset', 'prediction') OR v.version_id = (
  SELECT h.to_version FROM dataml.alias_history h
  WHERE h.asset_id = a.asset_id AND h.name = 'current' AND h.to_version IS NOT NULL ORDER BY h.entry_id DESC LIMIT 1))"""
_VERSION = """
SELECT v.version_id, a.name AS asset, a.kind, v.number, v.fact_key, v.row_count AS rows, v.fingerprint,
       v.schema_hash, v.partition_key, v.created_at, v.facts,
       coalesce((SELECT array_agg(l.name ORDER BY l.name) FROM dataml.alias l
                  WHERE l.version_id = v.version_id), '{}') AS aliases
FROM dataml.version v JOIN dataml.asset a USING (asset_id)
"""


class PostgresVersions(PostgresParts):
    """Numbered states of assets and the pointers to them."""

    def of_fact(self, fact: FactKey) -> Version | None:
        """Return the version a fact made."""
        row = self._db.row(_VERSION + "WHERE v.fact_key = %s", [str(fact)])
        return _version(row) if row else None

    def by_id(self, version_id: int) -> Version:
        """Return a version."""
        return _version(self._db.one(_VERSION + "WHERE v.version_id = %s", [version_id]))

    def find(self, ref: str, *, branch: str | None = None) -> Version:
        """Return the version a person named; a bare name is the branch's where it has one."""
        parsed = VersionRef.parse(ref)
        if parsed.number is not None:
            row = self._db.row(
                _VERSION + "WHERE a.name = %s AND v.number = %s", [parsed.asset, parsed.number]
            )
            found = _version(row) if row else None
        elif parsed.as_of is not None:
            found = self.as_of(parsed.asset, parsed.as_of)
        else:
            found = self.head(parsed.asset, branch=branch) if parsed.alias is None else None
            found = found or self.alias(parsed.asset, parsed.alias or CURRENT)
            if found is None and parsed.alias is None:
                newest = f"WHERE a.name = %s AND {STANDS} ORDER BY v.number DESC LIMIT 1"
                row = self._db.row(_VERSION + newest, [parsed.asset])
                found = _version(row) if row else None
        return found or self._missing(parsed)

    def head(self, asset: str, *, branch: str | None = None) -> Version | None:
        """Return what readers see: on a branch its own version, or else the one it began from."""
        if branch is None:
            return self.alias(asset, CURRENT)
        return self.alias(asset, branch) or self._base(asset, branch)

    def _base(self, asset: str, branch: str) -> Version | None:
        """What a branch began from; a dataset that is not on it yet will begin from what is current then."""
        row = self._db.row(
            """SELECT bb.version_id FROM dataml.branch_base bb JOIN dataml.branch b USING (branch_id)
               JOIN dataml.asset a USING (asset_id) WHERE b.name = %s AND b.state = 'open' AND a.name = %s""",
            [branch, asset],
        )
        if row is None:
            return self.alias(asset, CURRENT)
        return None if row["version_id"] is None else self.by_id(row["version_id"])

    def as_of(self, asset: str, moment: datetime, *, alias: str = CURRENT) -> Version | None:
        """Return the version an alias pointed at, at a time."""
        version_id = self._db.scalar(
            """SELECT h.to_version FROM dataml.alias_history h JOIN dataml.asset a USING (asset_id)
               WHERE a.name = %s AND h.name = %s AND h.moved_at <= %s ORDER BY h.entry_id DESC LIMIT 1""",
            [asset, alias, moment],
        )
        return None if version_id is None else self.by_id(version_id)

    def seen(self, asset: str, *, until: int) -> list[tuple[int, datetime]]:
        """Return which versions readers saw since when, oldest first, up to one of them; compactions left out."""
        rows = self._db.rows(
            """SELECT h.to_version, h.moved_at FROM dataml.alias_history h JOIN dataml.asset a USING (asset_id)
               JOIN dataml.version v ON v.version_id = h.to_version
               WHERE a.name = %s AND h.name = %s AND v.facts ->> 'mode' IS DISTINCT FROM 'compact'
                 AND h.entry_id <= (SELECT max(l.entry_id) FROM dataml.alias_history l
                                    WHERE l.asset_id = a.asset_id AND l.name = h.name AND l.to_version = %s)
               ORDER BY h.entry_id""",
            [asset, CURRENT, until],
        )
        return [(row["to_version"], row["moved_at"]) for row in rows]

    def alias(self, asset: str, name: str) -> Version | None:
        """Return the version an alias points at."""
        row = self._db.row(
            _VERSION
            + """WHERE a.name = %s AND v.version_id =
                 (SELECT version_id FROM dataml.alias l WHERE l.asset_id = a.asset_id AND l.name = %s)""",
            [asset, name],
        )
        return _version(row) if row else None

    def bringing(self, part_id: int) -> Version | None:
        """Return the version that a part was published with, if it was."""
        row = self._db.row(_VERSION + "WHERE v.facts -> 'part_id' = to_jsonb(%s::bigint)", [part_id])
        return _version(row) if row else None

    def columns(self, version_id: int) -> tuple[Column, ...]:
        """Return the schema of a version."""
        blob = self._db.scalar(
            "SELECT s.columns FROM dataml.version JOIN dataml.schema_blob s USING (schema_hash) WHERE version_id = %s",
            [version_id],
        )
        return columns_from(blob or [])

    def add(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        parts: Sequence[Part] = (),
        columns: Sequence[Column] = (),
        parent_id: int | None = None,
        partition_key: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> Version:
        """Write the next version; the caller holds the asset's lock."""
        from psycopg.types.json import Jsonb

        total = sum((p.fingerprint for p in parts), Fingerprint())
        version_id = self._db.scalar(
            """
            INSERT INTO dataml.version (asset_id, number, parent_id, run_key, fact_key, schema_hash, fingerprint,
                                        row_count, partition_key, facts)
            SELECT asset_id, 1 + coalesce((SELECT max(number) FROM dataml.version v WHERE v.asset_id = a.asset_id), 0),
                   %s, %s, %s, %s, %s, %s, %s, %s
            FROM dataml.asset a WHERE name = %s
            RETURNING version_id
            """,
            [
                parent_id, run.run_key, str(fact), self._schema(columns) if columns else None,
                total.text if parts else None, total.rows if parts else None, partition_key,
                Jsonb(dict(facts or {})), fact.asset,
            ],
        )  # fmt: skip
        # One statement, because readers may be waiting for this transaction.
        self._db.execute(
            """INSERT INTO dataml.version_part (version_id, position, part_id)
               SELECT %s, at - 1, part_id FROM unnest(%s::bigint[]) WITH ORDINALITY listed (part_id, at)""",
            [version_id, [part.part_id for part in parts]],
        )
        return self.by_id(version_id)

    def move_alias(
        self,
        *,
        asset: str,
        name: str,
        version_id: int | None,
        run: TaskRun,
        report_id: int | None = None,
    ) -> None:
        """Point an alias at a version, or remove it; a move to where it stands leaves no trace."""
        before = self.alias(asset, name)
        if (before.version_id if before else None) == version_id:
            return
        if version_id is None:
            self._db.execute(
                "DELETE FROM dataml.alias l USING dataml.asset a WHERE l.asset_id = a.asset_id AND a.name = %s AND l.name = %s",
                [asset, name],
            )
        else:
            self._db.execute(
                """
                INSERT INTO dataml.alias (asset_id, name, version_id)
                SELECT asset_id, %s, %s FROM dataml.asset WHERE name = %s
                ON CONFLICT (asset_id, name) DO UPDATE SET version_id = excluded.version_id, moved_at = now()
                """,
                [name, version_id, asset],
            )
        self._db.execute(
            """
            INSERT INTO dataml.alias_history (asset_id, name, from_version, to_version, report_id, run_key)
            SELECT asset_id, %s, %s, %s, %s, %s FROM dataml.asset WHERE name = %s
            """,
            [name, before.version_id if before else None, version_id, report_id, run.run_key, asset],
        )

    def pin(self, version_id: int, *, holder: str, reason: str) -> None:
        """Keep a version from being collected."""
        self._db.execute(
            "INSERT INTO dataml.pin (version_id, holder, reason) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [version_id, holder, reason],
        )

    def list(self, asset: str, *, before: int | None = None, limit: int = 50) -> list[Version]:
        """Return a page of versions, newest first."""
        rows = self._db.rows(
            _VERSION
            + "WHERE a.name = %s AND (%s::int IS NULL OR v.number < %s) ORDER BY v.number DESC LIMIT %s",
            [asset, before, before, limit],
        )
        return [_version(row) for row in rows]

    def _missing(self, ref: VersionRef) -> Version:
        if self._db.row("SELECT 1 FROM dataml.asset WHERE name = %s", [ref.asset]) is None:
            names = [
                r["name"] for r in self._db.rows("SELECT name FROM dataml.asset ORDER BY name LIMIT 1000")
            ]
            what = "asset"
            raise AssetNotFoundError.from_available(what, ref.asset, names)
        known = [f"{ref.asset}@{v.number}" for v in self.list(ref.asset)]
        aliases = self._db.rows(
            "SELECT l.name FROM dataml.alias l JOIN dataml.asset a USING (asset_id) WHERE a.name = %s",
            [ref.asset],
        )
        what = "version"
        raise VersionNotFoundError.from_available(
            what, str(ref), [*known, *(f"{ref.asset}@{row['name']}" for row in aliases)]
        )


def _version(row: Mapping[str, Any]) -> Version:
    return Version(**(dict(row) | {"aliases": tuple(row["aliases"])}))

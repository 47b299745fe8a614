"""What people read of the ledger: pages for the UI and the CLI, newest or nearest first.

Nothing here writes; a role with SELECT alone is enough. Every page is a keyset: the next one begins
after the last key of this one, whatever was written in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.versions import STANDS

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

# Kinds whose verdict says whether a version is good; a profile or a decision does not.
JUDGING = ("check", "evaluation", "monitor")
_WORST = 3

# The version a reader gets: the current one, for a model its champion, else the one that stands for it.
_CATALOG = f"""
SELECT a.name, a.kind, a.uri, a.owner, a.description, a.importance, a.tags, a.location, a.source, a.first_seen,
       a.last_seen, v.number AS version, v.row_count AS rows, v.created_at AS written_at, judged.verdict,
       (SELECT count(*) FROM dataml.version n WHERE n.asset_id = a.asset_id) AS versions,
       (SELECT count(*) FROM dataml.incident i WHERE i.asset_id = a.asset_id AND i.state <> 'resolved') AS incidents
FROM dataml.asset a
LEFT JOIN LATERAL (
  SELECT v.version_id, v.number, v.row_count, v.created_at, (v.facts ->> 'part_id')::bigint AS part_id FROM dataml.version v
  LEFT JOIN dataml.alias l ON l.version_id = v.version_id AND l.name IN ('current', 'champion')
  WHERE v.asset_id = a.asset_id AND (l.name IS NOT NULL OR {STANDS})
  ORDER BY l.name IS NULL, l.name = 'champion', v.number DESC LIMIT 1
) v ON true
LEFT JOIN LATERAL (
  SELECT r.verdict FROM dataml.report r
  WHERE r.kind = ANY (%s) AND (r.version_id = v.version_id OR r.part_id =
        v.part_id)
  ORDER BY r.report_id DESC LIMIT 1
) judged ON true
"""
_VERSIONS = """
SELECT v.version_id, v.number, v.row_count AS rows, v.fingerprint, v.schema_hash, v.partition_key, v.created_at,
       r.dag_id, r.run_id, r.task_id, v.facts #> '{training,metrics}' AS metrics, v.facts #>> '{plan,version}' AS dataset,
       coalesce((SELECT array_agg(l.name ORDER BY l.name) FROM dataml.alias l WHERE l.version_id = v.version_id),
                '{}') AS aliases,
       (SELECT jsonb_object_agg(kind, verdict) FROM (
          SELECT DISTINCT ON (p.kind) p.kind, p.verdict FROM dataml.report p
          WHERE p.version_id = v.version_id OR p.part_id =
                (v.facts ->> 'part_id')::bigint
          ORDER BY p.kind, p.report_id DESC) newest) AS verdicts
FROM dataml.version v JOIN dataml.asset a USING (asset_id) JOIN dataml.run r USING (run_key)
"""
# A body may hold a whole profile; a page carries its words and its worst checks only.
_REPORTS = """
SELECT r.report_id, a.name AS asset, r.kind, r.verdict, r.created_at, v.number AS version, r.part_id,
       r.body -> 'summary' AS summary, r.body -> 'action' AS action, r.body -> 'reasons' AS reasons,
       (SELECT coalesce(jsonb_agg(item), '[]') FROM (
          SELECT item FROM jsonb_array_elements(
            CASE jsonb_typeof(r.body -> 'checks') WHEN 'array' THEN r.body -> 'checks' ELSE '[]' END) item
          WHERE item ->> 'verdict' <> 'pass'
          ORDER BY array_position(ARRAY['fail', 'error', 'warn'], item ->> 'verdict') LIMIT %s) worst) AS worst
FROM dataml.report r JOIN dataml.asset a USING (asset_id) LEFT JOIN dataml.version v USING (version_id)
"""
_INCIDENTS = """
SELECT i.incident_id, a.name AS asset, i.kind, i.severity, i.state, i.title, i.report_id, i.suspects, i.opened_at,
       i.resolved_at, i.resolution, i.assignee
FROM dataml.incident i JOIN dataml.asset a USING (asset_id)
"""
_COUNTS = """
SELECT (SELECT coalesce(jsonb_object_agg(kind, n), '{}') FROM
          (SELECT kind, count(*) AS n FROM dataml.asset GROUP BY kind) k) AS assets,
       (SELECT count(*) FROM dataml.version) AS versions,
       (SELECT count(*) FROM dataml.report) AS reports,
       (SELECT count(*) FROM dataml.incident WHERE state <> 'resolved') AS open_incidents,
       (SELECT count(*) FROM dataml.outbox WHERE state = 'pending') AS outbox_pending,
       (SELECT count(*) FROM dataml.outbox WHERE state = 'dead') AS outbox_dead,
       (SELECT count(*) FROM dataml.audit) AS audit_entries
"""


class LedgerReading:
    """Pages of the ledger.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def counts(self) -> dict[str, Any]:
        """Return how much is in the ledger; counts every row."""
        return self._db.one(_COUNTS)

    def catalog(
        self, *, kinds: tuple[str, ...] | None = None, after: str = "", limit: int = 100
    ) -> list[dict[str, Any]]:
        """Return a page of assets by name, without those deleted or merged away, each with its current version."""
        wanted = list(kinds) if kinds else None
        return self._db.rows(
            _CATALOG
            + "WHERE a.name > %s AND a.status <> 'deleted' AND (%s::text[] IS NULL OR a.kind = ANY (%s)) ORDER BY a.name LIMIT %s",
            [list(JUDGING), after, wanted, wanted, limit],
        )

    def asset(self, name: str) -> dict[str, Any] | None:
        """Return one catalog row."""
        return self._db.row(_CATALOG + "WHERE a.name = %s", [list(JUDGING), name])

    def aliases(self, asset: str) -> list[dict[str, Any]]:
        """Return the aliases of an asset and since when they stand there."""
        return self._db.rows(
            """SELECT l.name, v.number AS version, l.moved_at FROM dataml.alias l
               JOIN dataml.version v USING (version_id) JOIN dataml.asset a ON a.asset_id = l.asset_id
               WHERE a.name = %s ORDER BY l.name""",
            [asset],
        )

    def versions(self, asset: str, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return a page of versions, newest first, each with the newest verdict of every kind."""
        return self._db.rows(
            _VERSIONS
            + "WHERE a.name = %s AND (%s::int IS NULL OR v.number < %s) ORDER BY v.number DESC LIMIT %s",
            [asset, before, before, limit],
        )

    def reports(
        self,
        asset: str,
        *,
        version_id: int | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Return a page of reports without their bodies, newest first.

        :param version_id: only of this version, and of the part it brought.
        """
        return self._db.rows(
            _REPORTS
            + """WHERE a.name = %s AND (%s::text IS NULL OR r.kind = %s) AND (%s::bigint IS NULL OR r.report_id < %s)
                 AND (%s::bigint IS NULL OR r.version_id = %s OR r.part_id =
                      (SELECT (facts ->> 'part_id')::bigint FROM dataml.version WHERE version_id = %s))
                 ORDER BY r.report_id DESC LIMIT %s""",
            [_WORST, asset, kind, kind, before, before, version_id, version_id, version_id, limit],
        )

    def incidents(
        self,
        *,
        asset: str | None = None,
        state: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Return a page of incidents, newest first; ``state='open'`` means not resolved."""
        return self._db.rows(
            _INCIDENTS
            + """WHERE (%s::text IS NULL OR a.name = %s) AND (%s::bigint IS NULL OR i.incident_id < %s)
                 AND (%s::text IS NULL OR i.state = %s OR (%s = 'open' AND i.state <> 'resolved'))
                 ORDER BY i.incident_id DESC LIMIT %s""",
            [asset, asset, before, before, state, state, state, limit],
        )

    def audit(self, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return a page of the audit chain, newest first."""
        return self._db.rows(
            """SELECT seq, at, actor, action, subject, detail, hash FROM dataml.audit
               WHERE (%s::bigint IS NULL OR seq < %s) ORDER BY seq DESC LIMIT %s""",
            [before, before, limit],
        )

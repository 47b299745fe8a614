"""What people read of incidents and of the audit chain: filtered lists, and all that stands around one incident."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection

_WORST, _LATER, _UPSTREAM = 8, 10, 12

_INCIDENTS = """
SELECT i.incident_id, a.name AS asset, a.kind AS asset_kind, i.kind, i.severity, i.state, i.title, i.report_id,
       i.partition_key, i.suspects, i.opened_at, i.resolved_at, i.resolution, i.assignee
FROM dataml.incident i JOIN dataml.asset a USING (asset_id)
"""
_EVIDENCE = """
SELECT r.report_id, r.kind, r.verdict, r.created_at, v.number AS version, r.version_id, r.part_id, r.asset_id, r.body,
       run.dag_id, run.run_id, run.task_id, run.map_index,
       (SELECT coalesce(jsonb_agg(item), '[]') FROM (
          SELECT item FROM jsonb_array_elements(
            CASE jsonb_typeof(r.body -> 'checks') WHEN 'array' THEN r.body -> 'checks' ELSE '[]' END) item
          WHERE item ->> 'verdict' <> 'pass'
          ORDER BY array_position(ARRAY['fail', 'error', 'warn'], item ->> 'verdict') LIMIT %s) worst) AS worst,
       (SELECT count(*) FROM jsonb_array_elements(
          CASE jsonb_typeof(r.body -> 'checks') WHEN 'array' THEN r.body -> 'checks' ELSE '[]' END)) AS checks
FROM dataml.report r LEFT JOIN dataml.version v USING (version_id) JOIN dataml.run run ON run.run_key = r.run_key
WHERE r.report_id = %s
"""
_BLAMED = """
SELECT report_id FROM dataml.report WHERE asset_id = %s AND kind = 'blame' AND body ->> 'incident' = %s
ORDER BY report_id DESC LIMIT 1
"""
_DECIDED = """
SELECT d.report_id, d.body ->> 'action' AS action, d.body -> 'reasons' AS reasons, d.created_at
FROM dataml.edge e JOIN dataml.report d ON d.report_id = -e.dst_id
WHERE e.src_id = %s AND e.dst_id < 0 AND d.kind = 'decision' ORDER BY d.report_id DESC LIMIT 1
"""
# Versions the report is about, those it was computed on, what a refused batch was made from, and what is current now.
_LINKED = """
WITH r AS (SELECT * FROM dataml.report WHERE report_id = %s)
SELECT DISTINCT ON (a.name, v.number) a.name AS asset, v.number AS version, v.version_id, role, v.created_at FROM (
  SELECT r.version_id, 'judged' AS role, 1 AS rank FROM r
  UNION ALL
  SELECT vp.version_id, 'brought it', 2 FROM r JOIN dataml.version_part vp USING (part_id)
  WHERE vp.version_id = (SELECT min(o.version_id) FROM dataml.version_part o WHERE o.part_id = vp.part_id)
  UNION ALL
  SELECT e.src_id, e.kind, 3 FROM dataml.edge e WHERE e.dst_id = (SELECT -r.report_id FROM r) AND e.src_id > 0
  UNION ALL
  SELECT unnest(p.inputs), 'made from', 4 FROM r JOIN dataml.part p USING (part_id)
  UNION ALL
  SELECT l.version_id, l.name, 5 FROM r JOIN dataml.alias l USING (asset_id)
  WHERE l.name IN ('current', 'champion')
) linked JOIN dataml.version v USING (version_id) JOIN dataml.asset a USING (asset_id)
ORDER BY a.name, v.number DESC, rank
"""
_BEHIND = """
WITH RECURSIVE start (ids) AS (VALUES (%s::bigint[])), up (id, depth) AS (
  SELECT unnest(ids), 0 FROM start
  UNION SELECT e.src_id, up.depth + 1 FROM up JOIN dataml.edge e ON e.dst_id = up.id
  WHERE up.depth < 3 AND e.src_id > 0
)
SELECT a.name AS asset, v.number AS version, min(up.depth) AS depth, v.created_at,
       run.dag_id, run.run_id, run.task_id, run.map_index
FROM (SELECT * FROM up LIMIT 500) up JOIN dataml.version v ON v.version_id = up.id
JOIN dataml.asset a USING (asset_id) JOIN dataml.run run ON run.run_key = v.run_key
WHERE v.created_at <= %s AND up.depth > 0 AND NOT up.id = ANY ((SELECT ids FROM start)::bigint[])
GROUP BY a.name, v.version_id, run.run_key ORDER BY v.created_at DESC LIMIT %s
"""
_SINCE = """
SELECT r.report_id, r.verdict, r.created_at AS at, r.body ->> 'summary' AS words, r.body ->> 'partition_key' AS partition_key
FROM dataml.report r WHERE r.asset_id = %s AND r.kind = %s AND r.report_id > %s ORDER BY r.report_id LIMIT %s
"""
_ENTRIES = """
SELECT seq, at, actor, action, detail FROM dataml.audit
WHERE subject COLLATE "C" = %s ORDER BY seq LIMIT 200
"""
_AUDIT = "SELECT seq, at, actor, action, subject, detail, prev_hash, hash FROM dataml.audit"
# Each step goes to the next word in the index, so that a chain of millions is not read for its few words.
_ACTIONS = """
WITH RECURSIVE seen (action) AS (
  SELECT min(action) FROM dataml.audit
  UNION ALL SELECT (SELECT min(a.action) FROM dataml.audit a WHERE a.action > seen.action) FROM seen WHERE seen.action IS NOT NULL
) SELECT action FROM seen WHERE action IS NOT NULL LIMIT 200
"""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries of the audit chain are asked for.

    :param actor: how it begins, such as ``user:`` or ``task:flights``.
    :param subject: how it begins; an asset's name finds its versions too.
    :param since: from then on; ``until`` before then.
    """

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def where(self) -> tuple[list[str], list[Any]]:
        """Return conditions and what they take."""
        clauses: list[str] = []
        values: list[Any] = []
        for column, start in (("actor", self.actor), ("subject", self.subject)):
            if start:
                # The range an index is read in; text that begins so and nothing else lies in it.
                clauses.append(f'{column} COLLATE "C" >= %s AND {column} COLLATE "C" < %s')
                values += [start, start + "\U0010ffff"]
        for clause, value in (
            ("action = %s", self.action),
            ("at >= %s", self.since),
            ("at < %s", self.until),
        ):
            if value:
                clauses.append(clause)
                values.append(value)
        return clauses, values


class GovernanceReading:
    """Pages of incidents and of the audit chain.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def incidents(
        self,
        *,
        asset: str | None = None,
        state: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Return a page of incidents, newest first; ``state='open'`` means not resolved."""
        clauses: list[str] = []
        values: list[Any] = []
        if state == "open":
            clauses.append("i.state <> 'resolved'")
            state = None
        asked = (
            ("a.name = %s", asset),
            ("i.state = %s", state),
            ("i.kind = %s", kind),
            ("i.severity = %s", severity),
            ("i.incident_id < %s", before),
        )
        for clause, value in asked:
            if value:
                clauses.append(clause)
                values.append(value)
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        return self._db.rows(f"{_INCIDENTS}{where}ORDER BY i.incident_id DESC LIMIT %s", [*values, limit])

    def incident(self, incident_id: int) -> dict[str, Any]:
        """Return one incident with its evidence, what it may come from, and what was done about it.

        :raises NotFoundError: there is no such incident.
        """
        row = self._db.row(f"{_INCIDENTS}WHERE i.incident_id = %s", [incident_id])
        if row is None:
            msg = f"incident {incident_id} is not in the ledger."
            raise NotFoundError(msg)
        evidence = self._db.one(_EVIDENCE, [_WORST, row["report_id"]])
        linked = self._db.rows(_LINKED, [row["report_id"]])
        about = [one["version_id"] for one in linked if one["role"] not in ("current", "champion")]
        behind = self._db.rows(_BEHIND, [about, row["opened_at"], _UPSTREAM])
        since = self._db.rows(_SINCE, [evidence["asset_id"], evidence["kind"], row["report_id"], _LATER])
        entries = self._db.rows(_ENTRIES, [f"incident {incident_id}"])
        blamed = self._db.row(_BLAMED, [evidence["asset_id"], str(incident_id)])
        return row | {
            "evidence": evidence,
            "linked": linked,
            "upstream": behind,
            "since": since,
            "blame": blamed["report_id"] if blamed else None,
            "decision": self._db.row(_DECIDED, [-row["report_id"]]),
            "entries": entries,
        }

    def audit(
        self, asked: AuditFilter, *, before: int | None = None, after: int | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return a page of the audit chain, newest first, or with ``after`` oldest first."""
        clauses, values = asked.where()
        for clause, value in (("seq < %s", before), ("seq > %s", after)):
            if value is not None:
                clauses.append(clause)
                values.append(value)
        where = f" WHERE {' AND '.join(clauses)}" if clauses else ""
        order = "DESC" if after is None else "ASC"
        return self._db.rows(f"{_AUDIT}{where} ORDER BY seq {order} LIMIT %s", [*values, limit])

    def actions(self) -> list[str]:
        """Return what has been done to anything, by name."""
        return [row["action"] for row in self._db.rows(_ACTIONS)]

    def length(self) -> int:
        """Return the number of the newest entry of the audit chain."""
        return int(self._db.scalar("SELECT coalesce(max(seq), 0) FROM dataml.audit"))

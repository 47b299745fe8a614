"""Reports, incidents and the audit chain on PostgreSQL."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.governance import AuditEntry, Incident, Report
from airflow_dataml.core.news import SEVERITIES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.refs import FactKey
    from airflow_dataml.core.runs import TaskRun

_REPORT = """
SELECT r.report_id, a.name AS asset, r.kind, r.verdict, r.body, r.created_at, r.version_id, r.part_id
FROM dataml.report r JOIN dataml.asset a USING (asset_id)
"""
_INCIDENT = """
SELECT i.incident_id, a.name AS asset, i.kind, i.severity, i.state, i.title, i.report_id, i.opened_at, i.partition_key,
       i.resolved_at, i.resolution, i.suspects
FROM dataml.incident i JOIN dataml.asset a USING (asset_id)
"""


# Numbers are drawn before they are committed, and whoever follows them by number would pass over one that comes late.
# First the row as the foreign key takes it, so that nobody who holds the row waits for somebody who waits for it;
# then the turn, which nothing else takes, so that an asset that is only being updated is not waited for.
_IN_TURN = """
SELECT pg_advisory_xact_lock(hashtextextended('dataml.' || %s::text || '/' || held.asset_id, 0))
FROM (SELECT asset_id FROM dataml.asset WHERE name = %s FOR KEY SHARE) held
"""


class PostgresReports:
    """Immutable evidence."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(
        self,
        *,
        run: TaskRun,
        fact: FactKey,
        kind: str,
        verdict: str,
        body: Mapping[str, Any],
        version_id: int | None = None,
        part_id: int | None = None,
    ) -> Report:
        """Write a report, or return the one this fact already wrote.

        Within a transaction, monitor reports of one asset are committed in the order of their ids.
        """
        from psycopg.types.json import Jsonb

        if kind == "monitor":
            self._db.execute(_IN_TURN, ["report", fact.asset])
        self._db.execute(
            """
            INSERT INTO dataml.report (asset_id, version_id, part_id, run_key, fact_key, kind, verdict, body)
            SELECT asset_id, %s, %s, %s, %s, %s, %s, %s FROM dataml.asset WHERE name = %s
            ON CONFLICT (fact_key, kind) DO NOTHING
            """,
            [
                version_id,
                part_id,
                run.run_key,
                str(fact),
                kind,
                verdict,
                Jsonb(_finite(dict(body))),
                fact.asset,
            ],
        )
        return _report(self._db.one(_REPORT + "WHERE r.fact_key = %s AND r.kind = %s", [str(fact), kind]))

    def of_fact(self, fact: FactKey, kind: str) -> Report | None:
        """Return the report a fact wrote."""
        row = self._db.row(_REPORT + "WHERE r.fact_key = %s AND r.kind = %s", [str(fact), kind])
        return _report(row) if row else None

    def get(self, report_id: int) -> Report:
        """Return a report.

        :raises NotFoundError: there is none.
        """
        row = self._db.row(_REPORT + "WHERE r.report_id = %s", [report_id])
        if row is None:
            msg = f"report {report_id} is not in the ledger."
            raise NotFoundError(msg)
        return _report(row)

    def latest(
        self, *, asset: str, kind: str, version_id: int | None = None, part_id: int | None = None
    ) -> Report | None:
        """Return the newest report of a kind."""
        row = self._db.row(
            _REPORT
            + """WHERE a.name = %s AND r.kind = %s AND (%s::bigint IS NULL OR r.version_id = %s)
                 AND (%s::bigint IS NULL OR r.part_id = %s) ORDER BY r.report_id DESC LIMIT 1""",
            [asset, kind, version_id, version_id, part_id, part_id],
        )
        return _report(row) if row else None

    def recent(
        self, *, asset: str, kind: str, version_id: int | None = None, limit: int = 50
    ) -> tuple[Report, ...]:
        """Return the newest reports of a kind, newest first."""
        rows = self._db.rows(
            _REPORT
            + """WHERE a.name = %s AND r.kind = %s AND (%s::bigint IS NULL OR r.version_id = %s)
                 ORDER BY r.report_id DESC LIMIT %s""",
            [asset, kind, version_id, version_id, limit],
        )
        return tuple(_report(row) for row in rows)

    def unanswered(self, *, asset: str, action: str) -> Report | None:
        """Return the newest decision for an action that no version has followed yet."""
        row = self._db.row(
            _REPORT
            + """WHERE a.name = %s AND r.kind = 'decision' AND r.body ->> 'action' = %s
                 AND NOT EXISTS (SELECT 1 FROM dataml.edge e WHERE e.src = 'report:' || r.report_id AND e.kind = 'reason')
                 ORDER BY r.report_id DESC LIMIT 1""",
            [asset, action],
        )
        return _report(row) if row else None

    def list(self, *, asset: str, version_id: int | None = None, limit: int = 50) -> list[Report]:
        """Return reports, newest first; with a version, also those of the part it brought."""
        rows = self._db.rows(
            _REPORT
            + """WHERE a.name = %s AND (%s::bigint IS NULL OR r.version_id = %s OR r.part_id =
                   (SELECT (facts ->> 'part_id')::bigint FROM dataml.version WHERE version_id = %s))
                 ORDER BY r.report_id DESC LIMIT %s""",
            [asset, version_id, version_id, version_id, limit],
        )
        return [_report(row) for row in rows]


class PostgresIncidents:
    """Opened problems; one open per asset and kind."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def open(
        self,
        *,
        asset: str,
        kind: str,
        severity: str,
        title: str,
        report_id: int,
        partition_key: str | None = None,
    ) -> tuple[Incident, bool]:
        """Open an incident, or return the open one of that asset, kind and batch; whether it is new.

        Trouble that is worse than the open incident raises it: severity, title and report are those of the worse.
        A raised incident keeps its number. Who lists or waits for open incidents sees it; a watcher that announces
        incidents in order does once, and only if it has announced neither this one nor a later one.

        Within a transaction, incidents of one asset are committed in the order of their ids.
        """
        self._db.execute(_IN_TURN, ["incident", asset])
        created = self._db.execute(
            """
            INSERT INTO dataml.incident (asset_id, kind, severity, title, report_id, partition_key)
            SELECT asset_id, %s, %s, %s, %s, %s FROM dataml.asset WHERE name = %s
            ON CONFLICT (asset_id, kind, coalesce(partition_key, '')) WHERE state <> 'resolved' DO NOTHING
            """,
            [kind, severity, title, report_id, partition_key, asset],
        )
        if not created:
            self._raise(asset, kind, severity, title, report_id, partition_key)
        row = self._db.one(
            _INCIDENT
            + "WHERE a.name = %s AND i.kind = %s AND i.state <> 'resolved' AND i.partition_key IS NOT DISTINCT FROM %s",
            [asset, kind, partition_key],
        )
        return Incident(**row), bool(created)

    def _raise(
        self, asset: str, kind: str, severity: str, title: str, report_id: int, partition_key: str | None
    ) -> None:
        self._db.execute(
            """
            UPDATE dataml.incident i SET severity = %s, title = %s, report_id = %s FROM dataml.asset a
            WHERE a.asset_id = i.asset_id AND a.name = %s AND i.kind = %s AND i.state <> 'resolved'
              AND i.partition_key IS NOT DISTINCT FROM %s AND i.severity = ANY (%s)
            """,
            [
                severity,
                title,
                report_id,
                asset,
                kind,
                partition_key,
                list(SEVERITIES[: SEVERITIES.index(severity)]),
            ],
        )

    def open_data(self, assets: Sequence[str]) -> Sequence[Incident]:
        """Return every open data incident of some assets."""
        rows = self._db.rows(
            _INCIDENT
            + "WHERE a.name = ANY (%s) AND i.kind = 'data' AND i.state <> 'resolved' ORDER BY i.incident_id",
            [list(assets)],
        )
        return [Incident(**row) for row in rows]

    def get(self, incident_id: int) -> Incident:
        """Return an incident.

        :raises NotFoundError: there is none.
        """
        row = self._db.row(_INCIDENT + "WHERE i.incident_id = %s", [incident_id])
        if row is None:
            msg = f"incident {incident_id} is not in the ledger: dataml incident list shows those that are."
            raise NotFoundError(msg)
        return Incident(**row)

    def suspect(self, incident_id: int, suspects: Sequence[Mapping[str, Any]]) -> None:
        """Write down what may have caused an incident, in place of what was thought before."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            "UPDATE dataml.incident SET suspects = %s WHERE incident_id = %s",
            [Jsonb(_finite([dict(suspect) for suspect in suspects])), incident_id],
        )

    def resolve(self, incident_id: int, *, resolution: str) -> None:
        """Close an incident; closing it twice changes nothing."""
        self._db.execute(
            """UPDATE dataml.incident SET state = 'resolved', resolved_at = clock_timestamp(), resolution = %s
               WHERE incident_id = %s AND state <> 'resolved'""",
            [resolution, incident_id],
        )

    def list(self, *, asset: str | None = None, state: str | None = None, limit: int = 50) -> list[Incident]:
        """Return incidents, newest first."""
        rows = self._db.rows(
            _INCIDENT
            + """WHERE (%s::text IS NULL OR a.name = %s) AND (%s::text IS NULL OR i.state = %s)
                 ORDER BY i.incident_id DESC LIMIT %s""",
            [asset, asset, state, state, limit],
        )
        return [Incident(**row) for row in rows]


class PostgresAudit:
    """The chain; the database hashes and links every entry."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, *, action: str, subject: str, run: TaskRun, detail: Mapping[str, Any]) -> None:
        """Append an entry."""
        from psycopg.types.json import Jsonb

        self._db.execute(
            "INSERT INTO dataml.audit (actor, action, subject, detail) VALUES (%s, %s, %s, %s)",
            [f"task:{run.identity.task}", action, subject, Jsonb(dict(detail))],
        )

    def entries(self, subject: str) -> list[AuditEntry]:
        """Return what was done to a subject, oldest first, each entry hashed again."""
        rows = self._db.rows(
            """SELECT seq, at, actor, action, subject, detail,
                      hash = dataml.audit_hash(seq, at, actor, action, subject, detail, prev_hash) AS intact
               FROM dataml.audit WHERE subject COLLATE "C" = %s ORDER BY seq""",
            [subject],
        )
        return [AuditEntry(**row) for row in rows]

    def verify(self) -> tuple[int, str | None]:
        """Return how many entries there are, and the first fault or ``None``; reads every entry."""
        count = self._db.scalar("SELECT count(*) FROM dataml.audit")
        broken = self._db.row("SELECT seq, reason FROM dataml.audit_broken()")
        return count, f"entry {broken['seq']}: {broken['reason']}" if broken else None


def _finite(value: Any) -> Any:
    """Replace numbers JSON does not know, so that evidence is kept whatever was computed."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _report(row: dict[str, Any]) -> Report:
    return Report(**row)

"""What the ledger says, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.lineage import version_node

if TYPE_CHECKING:
    from collections.abc import Iterator

_WIDTH = 150
_VERSIONS = """
SELECT v.version_id AS id, a.name, a.kind, v.number, v.row_count AS rows, v.partition_key,
       (SELECT string_agg(l.name, ', ' ORDER BY l.name) FROM dataml.alias l
         WHERE l.version_id = v.version_id AND l.name <> 'current') AS aliases,
       (SELECT string_agg(DISTINCT r.kind || ' ' || r.verdict, ', ') FROM dataml.report r
         WHERE r.kind IN ('check', 'evaluation') AND (r.version_id = v.version_id OR r.part_id =
               (SELECT max(part_id) FROM dataml.version_part p WHERE p.version_id = v.version_id))) AS verdicts
FROM dataml.version v JOIN dataml.asset a USING (asset_id)
WHERE v.version_id > %s ORDER BY v.version_id
"""
_REPORTS = """
SELECT r.report_id AS id, a.name, r.kind, r.verdict, r.body ->> 'summary' AS summary,
       r.body ->> 'action' AS action, r.body -> 'reasons' AS reasons, r.body ->> 'partition_key' AS partition_key,
       r.body ->> 'version' AS version
FROM dataml.report r JOIN dataml.asset a USING (asset_id)
WHERE r.report_id > %s
  AND (r.kind IN ('evaluation', 'monitor', 'decision', 'tuning', 'explanation', 'reproduction', 'card', 'approval', 'blame', 'impact') OR (r.kind = 'check' AND r.verdict <> 'pass'))
ORDER BY r.report_id
"""
_STAGES = """
SELECT dag_id AS stage, count(*) AS tasks, sum(extract(epoch FROM ended_at - started_at)) AS seconds
FROM dataml.run WHERE ended_at IS NOT NULL GROUP BY 1 ORDER BY min(run_key)
"""


class News:
    """What came into the ledger since the last time somebody asked."""

    def __init__(self, dsn: str) -> None:
        self._ledger = PostgresLedger.connect(dsn)
        self._versions = self._reports = self._incidents = 0

    def close(self) -> None:
        """Let go of the connection."""
        self._ledger.connection.close()

    def skip(self) -> None:
        """Take what there is as known."""
        list(self.lines())

    def lines(self) -> Iterator[str]:
        """One line for every version, judgement and incident, in the order they came."""
        for row in self._ledger.connection.rows(_VERSIONS, [self._versions]):
            self._versions = row["id"]
            yield f"+ {version_line(row)}"
        for row in self._ledger.connection.rows(_REPORTS, [self._reports]):
            self._reports = row["id"]
            yield f"= {report_line(row)}"
        for incident in reversed(self._ledger.incidents.list()):
            if incident.incident_id > self._incidents:
                self._incidents = incident.incident_id
                yield f"! {_cut(f'incident {incident.incident_id} ({incident.kind}, {incident.severity}): {incident.title}')}"


def version_line(row: dict[str, Any]) -> str:
    """A version with what is known of it."""
    rows = f"{row['rows']:,} rows" if row["rows"] is not None else ""
    batch = f"batch {row['partition_key']}" if row["partition_key"] else ""
    facts = [rows, batch, row["aliases"], row["verdicts"]]
    return f"{row['name']}@{row['number']:<3} {'; '.join(f for f in facts if f)}"


def report_line(row: dict[str, Any]) -> str:
    """A judgement with its reasons."""
    about = row["version"] or row["name"]
    batch = f", batch {row['partition_key']}" if row["partition_key"] else ""
    if row["kind"] == "decision":
        return _cut(f"decision on {about}{batch}: {row['action']}. {'; '.join(row['reasons'] or [])}")
    return _cut(f"{row['kind']} of {about}{batch}: {row['verdict']}. {row['summary'] or ''}")


def summary(dsn: str, *, model: str, number: int) -> Iterator[str]:
    """The whole ledger on a page.

    :param number: version of the model whose lineage is shown.
    """
    with PostgresLedger.connect(dsn) as ledger:
        db = ledger.connection
        yield "Versions"
        for row in sorted(db.rows(_VERSIONS, [0]), key=lambda r: (r["kind"], r["name"], r["number"])):
            yield f"  {version_line(row)}"
        yield "Judgements and decisions"
        for row in db.rows(_REPORTS, [0]):
            yield f"  {report_line(row)}"
        yield "Incidents"
        for incident in reversed(ledger.incidents.list()):
            end = f"resolved: {incident.resolution}" if incident.state == "resolved" else incident.state
            yield f"  {_cut(f'{incident.incident_id} on {incident.asset} ({incident.kind}, {incident.severity}), {end}. {incident.title}')}"
        if any(v.number == number for v in ledger.versions.list(model)):
            yield f"What {model}@{number} was made from"
            yield from _lineage(ledger, f"{model}@{number}")
        yield "Seconds of work per stage, imports and Airflow not counted"
        for row in db.rows(_STAGES):
            yield f"  {row['stage']:<20} {row['tasks']:3} tasks {row['seconds']:8.1f} s"
        entries, fault = ledger.audit.verify()
        yield f"Audit chain: {entries} entries, {fault or 'unbroken'}"


def _lineage(ledger: PostgresLedger, ref: str) -> Iterator[str]:
    start = version_node(ledger.versions.find(ref).version_id)
    for node in ledger.lineage.walk(str(start), direction="upstream").nodes:
        facts = [node.detail.get("partition_key"), node.detail.get("verdict")]
        note = ", ".join(str(f) for f in facts if f)
        yield f"  {'  ' * node.depth}{node.label}{f' ({note})' if note else ''}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."

"""Waiting for news of a model: what is asked of the ledger, as one query each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.arrivals import PAGE, Question
from airflow_dataml.core.news import AwaitedReport, News, report_facts

if TYPE_CHECKING:
    from airflow_dataml.core.news import AwaitedIncident

# So many reports are looked into at once, whatever they found.
SCAN = 500
_REPORTS = """
SELECT r.report_id AS number, r.verdict, r.body ->> 'partition_key' AS partition_key, r.created_at AS at,
       r.body ->> 'summary' AS summary, f.found,
       f.found && %s AND (cardinality(%s::text[]) = 0 OR r.verdict = ANY (%s)) AS awaited
FROM dataml.asset a JOIN dataml.report r USING (asset_id)
CROSS JOIN LATERAL (
  SELECT coalesce(array_agg(e.key ORDER BY e.key) FILTER (WHERE e.value <> '[]'), '{}') AS found
  FROM jsonb_each(coalesce(r.body -> 'findings', '{}')) e
) f
WHERE a.name = %s AND r.kind = 'monitor' AND r.report_id > %s
ORDER BY r.report_id
"""
_INCIDENTS = f"""
SELECT i.incident_id AS number, i.kind, i.severity, i.state, i.title, i.partition_key, i.report_id AS report, i.opened_at
FROM dataml.asset a JOIN dataml.incident i USING (asset_id)
WHERE a.name = %s AND i.incident_id > %s AND i.severity = ANY (%s)
  AND (cardinality(%s::text[]) = 0 OR i.kind = ANY (%s)) AND (%s OR i.state <> 'resolved')
ORDER BY i.incident_id LIMIT {PAGE}
"""
_NEWEST = {
    "report": "SELECT coalesce(max(r.report_id), 0) AS number FROM dataml.asset a JOIN dataml.report r USING (asset_id) WHERE a.name = %s AND r.kind = 'monitor'",
    "incident": "SELECT coalesce(max(i.incident_id), 0) AS number FROM dataml.asset a JOIN dataml.incident i USING (asset_id) WHERE a.name = %s",
}


@dataclass(frozen=True, slots=True)
class Passed:
    """All up to a number were looked at; those that nobody awaits need not be again."""

    number: int


def news_of(awaited: AwaitedReport | AwaitedIncident, *, ended: bool = False) -> Question[list[News]]:
    """Ask for a page of the reports, or open incidents, after the one that is known, in the order they were made.

    :param ended: incidents that are resolved by now, too.
    """
    if isinstance(awaited, AwaitedReport):
        found = f"SELECT * FROM ({_REPORTS}) r WHERE awaited ORDER BY number LIMIT {PAGE}"
        return Question(found, _params(awaited), lambda rows: [_report(awaited.asset, row) for row in rows])
    kinds = list(awaited.kinds)
    params: list[Any] = [awaited.asset, awaited.newer_than, list(awaited.severities), kinds, kinds, ended]
    return Question(_INCIDENTS, params, lambda rows: [_incident(awaited.asset, row) for row in rows])


def following_news(awaited: AwaitedReport | AwaitedIncident) -> Question[list[News | Passed]]:
    """Ask for what came after the one that is known, and how far was looked; nothing where there is nothing later.

    Of reports, which say for ever what they say, so many are looked into at once. An incident that does not count yet
    may be raised, and there are few: they are looked at again.
    """
    if isinstance(awaited, AwaitedReport):
        return Question(
            f"{_REPORTS} LIMIT {SCAN}", _params(awaited), lambda rows: _scanned(awaited.asset, rows)
        )
    found = news_of(awaited, ended=True)
    return Question(found.sql, found.params, lambda rows: list[News | Passed](found.read(rows)))


def newest_of(awaited: AwaitedReport | AwaitedIncident) -> Question[int]:
    """Ask for the number of the newest report, or incident, of the asset, whatever it says; 0 before the first."""
    what = "report" if isinstance(awaited, AwaitedReport) else "incident"
    return Question(_NEWEST[what], [awaited.asset], lambda rows: int(rows[0]["number"]))


def _params(awaited: AwaitedReport) -> list[Any]:
    verdicts = list(awaited.verdicts)
    return [list(awaited.findings), verdicts, verdicts, awaited.asset, awaited.newer_than]


def _scanned(asset: str, rows: list[dict[str, Any]]) -> list[News | Passed]:
    if not rows:
        return []
    passed = Passed(rows[-1]["number"])
    return [*(_report(asset, row) for row in rows if row["awaited"]), passed]


def _report(asset: str, row: dict[str, Any]) -> News:
    number, _ = row.pop("number"), row.pop("awaited")
    return News(asset, number, report_facts(**row))


def _incident(asset: str, row: dict[str, Any]) -> News:
    number = row.pop("number")
    return News(asset, number, row | {"opened_at": row["opened_at"].isoformat()})

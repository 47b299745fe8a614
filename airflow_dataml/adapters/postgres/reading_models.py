"""What people read of models: who pointed at which version, evaluations, windows, decisions, training, what they depend on.

Reports are read by asset and kind, newest first, so a page costs its own reports and not the model's history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.model_view import evaluation_view, window_view
from airflow_dataml.core.watch_view import watch_dict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.datasets import Version

_MOVES = 20
_ROLES = """
SELECT l.name, v.number AS version, l.moved_at, v.created_at, v.facts #>> '{plan,version}' AS dataset,
       v.facts #> '{training,metrics}' AS metrics
FROM dataml.alias l JOIN dataml.version v USING (version_id)
WHERE l.asset_id = %s
ORDER BY array_position(ARRAY['champion', 'challenger', 'candidate', 'previous'], l.name), l.name
"""
# By name: a version's own upstream says what it was made from, this says what a change would reach it from.
_UPSTREAM = """
WITH RECURSIVE up (asset_id, depth) AS (
  SELECT %s::bigint, 0
  UNION SELECT e.src, up.depth + 1 FROM up JOIN dataml.asset_edge e ON e.dst = up.asset_id
  WHERE up.depth < 6
), near AS (
  SELECT asset_id, min(depth) AS depth FROM (SELECT * FROM up LIMIT 2000) reached GROUP BY asset_id
)
"""
_DEPENDS = (
    _UPSTREAM
    + """
SELECT a.name AS asset, a.kind, near.depth, current.number AS current, pinned.number AS pinned,
       (SELECT r.verdict FROM dataml.asset_verdict r WHERE r.asset_id = a.asset_id) AS verdict,
       (SELECT count(*) FROM dataml.incident i WHERE i.asset_id = a.asset_id AND i.state <> 'resolved') AS incidents
FROM near JOIN dataml.asset a USING (asset_id)
LEFT JOIN LATERAL (SELECT v.number FROM dataml.alias l JOIN dataml.version v USING (version_id)
                   WHERE l.asset_id = a.asset_id AND l.name = 'current') current ON true
LEFT JOIN LATERAL (SELECT v.number FROM dataml.version v
                   WHERE v.asset_id = a.asset_id AND v.version_id = ANY (%s)) pinned ON true
WHERE near.depth > 0 ORDER BY near.depth, a.name LIMIT 100
"""
)
_UPSTREAM_INCIDENTS = (
    _UPSTREAM
    + """
SELECT i.incident_id, a.name AS asset, i.kind, i.severity, i.state, i.title, i.report_id, i.suspects, i.opened_at,
       i.resolved_at, i.resolution, i.assignee
FROM near JOIN dataml.incident i USING (asset_id) JOIN dataml.asset a USING (asset_id)
WHERE near.depth > 0 AND i.state <> 'resolved' ORDER BY i.incident_id DESC LIMIT 50
"""
)
_HISTORY = """
SELECT h.entry_id, h.name, old.number AS from_version, new.number AS to_version, h.moved_at, h.report_id,
       r.verdict, r.body -> 'action' AS action, r.body -> 'reasons' AS reasons,
       run.dag_id, run.run_id, run.task_id, run.map_index
FROM dataml.alias_history h
LEFT JOIN dataml.version old ON old.version_id = h.from_version
LEFT JOIN dataml.version new ON new.version_id = h.to_version
LEFT JOIN dataml.report r ON r.report_id = h.report_id
LEFT JOIN dataml.run run ON run.run_key = h.run_key
WHERE h.asset_id = %s AND (%s::bigint IS NULL OR h.entry_id < %s)
ORDER BY h.entry_id DESC LIMIT %s
"""
_CAME = """
SELECT h.name, h.moved_at, h.report_id, r.body -> 'reasons' AS reasons
FROM dataml.alias_history h LEFT JOIN dataml.report r USING (report_id)
WHERE h.asset_id = (SELECT v.asset_id FROM dataml.version v WHERE v.version_id = %s) AND h.to_version = %s
ORDER BY h.entry_id DESC LIMIT %s
"""
_REPORTS = """
SELECT r.report_id, r.verdict, r.created_at, r.version_id, v.number AS version, r.body,
       run.dag_id, run.run_id, run.task_id, run.map_index
FROM dataml.report r LEFT JOIN dataml.version v USING (version_id) JOIN dataml.run run ON run.run_key = r.run_key
WHERE r.asset_id = %s AND r.kind = %s AND (%s::bigint IS NULL OR r.report_id < %s)
  AND (%s OR r.body ->> 'action' <> 'wait')
ORDER BY r.report_id DESC LIMIT %s
"""
# A promotion names its evaluation; what follows a monitor report is joined to it by an edge.
_PROMOTIONS = """
SELECT (d.body ->> 'evaluation')::bigint AS of, d.report_id, d.body ->> 'action' AS action, d.body -> 'reasons' AS reasons,
       d.created_at
FROM dataml.report d
WHERE d.version_id = ANY (%s) AND d.kind = 'decision' AND d.body ->> 'evaluation' = ANY (%s) ORDER BY d.report_id
"""
_FOLLOWED = """
SELECT -e.src_id AS of, d.report_id, d.body ->> 'action' AS action, d.body -> 'reasons' AS reasons, d.created_at
FROM dataml.edge e JOIN dataml.report d ON d.report_id = -e.dst_id
WHERE e.src_id = ANY (%s) AND e.dst_id < 0 AND d.kind = 'decision' ORDER BY d.report_id
"""
_ANSWERED = """
SELECT -e.src_id AS of, v.number FROM dataml.edge e JOIN dataml.version v ON v.version_id = e.dst_id
WHERE e.src_id = ANY (%s) AND e.kind = 'reason' AND e.dst_id > 0
"""
_TRAINING = """
SELECT v.version_id, v.number AS version, v.created_at, v.facts, run.dag_id, run.run_id, run.task_id, run.map_index,
       run.code_version, run.environment,
       coalesce((SELECT array_agg(l.name ORDER BY l.name) FROM dataml.alias l WHERE l.version_id = v.version_id),
                '{}') AS aliases
FROM dataml.version v JOIN dataml.run run USING (run_key) WHERE v.version_id = %s
"""
_PINS = """
SELECT a.name || '@' || v.number AS ref, p.reason, p.pinned_at,
       NOT EXISTS (SELECT FROM dataml.version_part vp JOIN dataml.part t USING (part_id)
                   WHERE vp.version_id = v.version_id AND t.state <> 'live') AS kept
FROM dataml.pin p JOIN dataml.version v USING (version_id) JOIN dataml.asset a USING (asset_id)
WHERE p.holder = %s AND v.version_id = ANY (%s)
"""


class ModelReading:
    """Pages about one model; each is a keyset.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def roles(self, asset_id: int) -> list[dict[str, Any]]:
        """Return what each alias stands at, the champion first."""
        return self._db.rows(_ROLES, [asset_id])

    def newest(self, asset_id: int, kind: str) -> dict[str, Any] | None:
        """Return the newest report of a kind without its body."""
        rows = self._reports(asset_id, kind, None, 1)
        if not rows:
            return None
        body = rows[0].pop("body")
        reasons = "; ".join(map(str, body.get("reasons") or ())) or None
        return rows[0] | {"summary": body.get("summary") or reasons, "action": body.get("action")}

    def depends(self, asset_id: int, *, sources: Iterable[int] = ()) -> list[dict[str, Any]]:
        """Return the assets the model is made from, directly or not, at most a hundred.

        :param sources: versions it was trained on, so that what it learnt from stands beside what is current.
        """
        return self._db.rows(_DEPENDS, [asset_id, list(sources)])

    def upstream_incidents(self, asset_id: int) -> list[dict[str, Any]]:
        """Return open incidents on what the model is made from, newest first."""
        return self._db.rows(_UPSTREAM_INCIDENTS, [asset_id])

    def history(self, asset_id: int, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return who moved which alias from where to where, and the report it was moved with."""
        return self._db.rows(_HISTORY, [asset_id, before, before, limit])

    def evaluations(
        self, asset_id: int, *, before: int | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return a page of evaluations, each with the decision that was taken on it."""
        rows = self._reports(asset_id, "evaluation", before, limit)
        ids = [row["report_id"] for row in rows]
        promotions = self._db.rows(
            _PROMOTIONS, [[row["version_id"] for row in rows], [str(one) for one in ids]]
        )
        decided = {row["of"]: row for row in promotions} | self._followed(ids)
        return [
            row | evaluation_view(row["body"]).to_dict() | {"decision": decided.get(row["report_id"])}
            for row in rows
        ]

    def windows(self, asset_id: int, *, before: int | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """Return a page of monitored windows, each with what followed from it."""
        rows = self._reports(asset_id, "monitor", before, limit)
        decided = self._followed([row["report_id"] for row in rows])
        return [
            row
            | window_view(row["body"]).to_dict()
            | {"watch": watch_dict(row["body"]), "decision": decided.get(row["report_id"])}
            for row in rows
        ]

    def decisions(
        self, asset_id: int, *, waits: bool = True, before: int | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return a page of decisions with their reasons, and the version that answered a call to retrain.

        :param waits: with those to wait, of which there is one for each calm window.
        """
        rows = self._reports(asset_id, "decision", before, limit, waits=waits)
        answered = {
            row["of"]: row["number"]
            for row in self._db.rows(_ANSWERED, [[-row["report_id"] for row in rows]])
        }
        return [
            row
            | {
                name: row["body"].get(name)
                for name in ("action", "reasons", "evaluation", "monitor", "partition_key")
            }
            | {"answered_by": answered.get(row["report_id"])}
            for row in rows
        ]

    def training(self, asset: str, version_id: int) -> dict[str, Any]:
        """Return what a version was trained from and with, and which data is kept for its sake."""
        row = self._db.one(_TRAINING, [version_id])
        facts = row.pop("facts")
        plan = facts.get("plan") or {}
        held = (
            self._db.rows(_PINS, [f"{asset}@{row['version']}", [plan["version_id"]]])
            if plan.get("version_id")
            else []
        )
        return row | {
            "spec": facts.get("spec"),
            "plan": facts.get("plan"),
            "training": facts.get("training"),
            "registry": facts.get("registry"),
            "artifact_digest": facts.get("artifact_digest"),
            "pinned": held[0] if held else None,
        }

    def beside(self, version: Version) -> dict[str, Any]:
        """Return what a card says of a version besides its reports: who wrote it, and which aliases came to it."""
        row = self._db.one(_TRAINING, [version.version_id])
        run = {name: row[name] for name in ("dag_id", "run_id", "task_id", "code_version")}
        return {"run": run, "moves": self._db.rows(_CAME, [version.version_id, version.version_id, _MOVES])}

    def _reports(
        self, asset_id: int, kind: str, before: int | None, limit: int, *, waits: bool = True
    ) -> list[dict[str, Any]]:
        return self._db.rows(_REPORTS, [asset_id, kind, before, before, waits, limit])

    def _followed(self, report_ids: list[int]) -> dict[int, dict[str, Any]]:
        return {row["of"]: row for row in self._db.rows(_FOLLOWED, [[-one for one in report_ids]])}

"""What people read of branches: where each stands to what everybody reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.connection import Connection

# Versions counted at most on either side of a fork.
_FAR = 200

_BRANCHES = """
SELECT b.branch_id, b.name, b.schema_name AS schema, b.state, b.created_at, b.closed_at,
       r.dag_id, r.run_id, r.task_id, r.map_index
FROM dataml.branch b JOIN dataml.run r USING (run_key)
WHERE (%s::bigint IS NULL OR b.branch_id < %s) AND (%s::text IS NULL OR b.state = %s)
ORDER BY b.branch_id DESC LIMIT %s
"""
# From the branch's version and from the current one back to where the branch began. A pointer that was
# rolled back past that never gets there, and its distance stays unknown.
_HEADS = """
WITH RECURSIVE head AS (
  SELECT bb.branch_id, a.asset_id, a.name AS asset, bb.version_id AS base_id, own.version_id AS head_id,
         main.version_id AS main_id
  FROM dataml.branch_base bb JOIN dataml.branch b USING (branch_id) JOIN dataml.asset a USING (asset_id)
  LEFT JOIN dataml.alias own ON own.asset_id = bb.asset_id AND own.name = b.name
  LEFT JOIN dataml.alias main ON main.asset_id = bb.asset_id AND main.name = 'current'
  WHERE b.branch_id = ANY (%s) AND b.state = 'open'
), walk AS (
  SELECT branch_id, asset_id, side, at, base_id, 0 AS steps
  FROM head CROSS JOIN LATERAL (VALUES ('ahead', coalesce(head_id, base_id)), ('behind', main_id)) AS s(side, at)
  UNION ALL
  SELECT w.branch_id, w.asset_id, w.side, v.parent_id, w.base_id, w.steps + 1
  FROM walk w JOIN dataml.version v ON v.version_id = w.at
  WHERE w.at IS DISTINCT FROM w.base_id AND w.steps < %s
), reached AS (
  SELECT branch_id, asset_id, max(steps) FILTER (WHERE side = 'ahead') AS ahead,
         max(steps) FILTER (WHERE side = 'behind') AS behind
  FROM walk WHERE at IS NOT DISTINCT FROM base_id GROUP BY branch_id, asset_id
)
SELECT h.branch_id, h.asset, base.number AS base, own.number AS head, main.number AS current,
       r.ahead, r.behind, judged.report_id, judged.verdict
FROM head h
LEFT JOIN reached r USING (branch_id, asset_id)
LEFT JOIN dataml.version base ON base.version_id = h.base_id
LEFT JOIN dataml.version own ON own.version_id = h.head_id
LEFT JOIN dataml.version main ON main.version_id = h.main_id
LEFT JOIN LATERAL (
  SELECT p.report_id, p.verdict FROM dataml.report p
  WHERE p.kind = 'check' AND (p.version_id = own.version_id OR p.part_id = (own.facts ->> 'part_id')::bigint)
  ORDER BY p.report_id DESC LIMIT 1
) judged ON h.head_id IS DISTINCT FROM h.base_id
ORDER BY h.branch_id, h.asset
"""


class BranchReading:
    """Pages of branches.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def branches(
        self, *, state: str | None = None, before: int | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return a page of branches, newest first; an open one has its datasets with it.

        Of a dataset, ``ahead`` says how many versions the branch has of its own, ``behind`` how many everybody
        else has since; ``None`` where that is not known.
        """
        found = self._db.rows(_BRANCHES, [before, before, state, state, limit])
        heads: dict[int, list[dict[str, Any]]] = {row["branch_id"]: [] for row in found}
        for head in self._db.rows(_HEADS, [list(heads), _FAR]):
            heads[head.pop("branch_id")].append(head)
        return [row | {"datasets": heads[row["branch_id"]]} for row in found]

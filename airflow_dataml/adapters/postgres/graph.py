"""Edges between versions and reports on PostgreSQL, and walks over them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.graph_walks import Steps, walk_from
from airflow_dataml.adapters.postgres.lineage_edges import LineageEdges
from airflow_dataml.adapters.postgres.lineage_jobs import PLACEHOLDER
from airflow_dataml.core.lineage import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.lineage import Direction, Edge
    from airflow_dataml.core.runs import TaskRun

# As columns: objects of a thousand nodes are written and read three times as fast here.
_VERSION_LABELS = """
SELECT v.version_id, a.kind, v.row_count AS rows, v.fingerprint, v.partition_key, v.created_at, a.name AS asset,
       v.number, v.origin, j.name AS job
FROM dataml.version v JOIN dataml.asset a USING (asset_id) JOIN dataml.run r USING (run_key)
LEFT JOIN dataml.job j USING (job_id)
WHERE v.version_id = ANY (%s::bigint[])
"""
_REPORT_LABELS = """
SELECT 'report:' || r.report_id AS node, r.kind || ' report ' || r.report_id || ' of ' || a.name AS label, 'report' AS kind,
       jsonb_strip_nulls(jsonb_build_object('verdict', r.verdict, 'partition_key', r.body -> 'partition_key',
         'created_at', r.created_at, 'asset', a.name, 'incident', i.incident_id, 'incident_title', i.title)) AS detail
FROM dataml.report r JOIN dataml.asset a USING (asset_id) LEFT JOIN dataml.incident i USING (report_id)
WHERE r.report_id = ANY (%s::bigint[])
"""
_ADD = """
INSERT INTO dataml.edge AS e (src, dst, kind, run_key, column_map)
SELECT x.src, x.dst, x.kind, %s, x.m FROM jsonb_to_recordset(%s) x(src text, dst text, kind text, m text)
ORDER BY x.src, x.dst, x.kind
ON CONFLICT (src, dst, kind) DO UPDATE
  SET observed = false, column_map = coalesce(excluded.column_map, e.column_map) WHERE e.observed
RETURNING e.src_id, e.dst_id, e.column_map AS m, e.created_at AS at, e.xmax = 0 AS fresh
"""
_JOB = """
WITH known AS (
  SELECT j.job_id FROM dataml.job j WHERE j.dag_id = %s AND j.task_id = %s AND j.name = %s ORDER BY j.job_id LIMIT 1
), made AS (
  INSERT INTO dataml.job (namespace, name, integration, dag_id, task_id)
  SELECT %s, %s, 'AIRFLOW', %s, %s WHERE NOT EXISTS (SELECT FROM known)
  ON CONFLICT (namespace, name) DO UPDATE SET last_seen = now() RETURNING job_id
)
UPDATE dataml.run r SET job_id = coalesce(r.job_id, k.job_id)
FROM (SELECT job_id FROM known UNION ALL SELECT job_id FROM made) k WHERE r.run_key = %s RETURNING r.job_id
"""
_VERSIONS = Steps(
    edges="""SELECT e.{far}::text AS far, e.src, e.dst, e.kind FROM dataml.edge e
             WHERE e.{near} = ANY (%s::bigint[]) AND (%s::timestamptz IS NULL OR e.created_at <= %s)
             ORDER BY e.edge_id LIMIT %s""",
    near={"upstream": ("dst_id", "src_id"), "downstream": ("src_id", "dst_id")},
)
_CLOSURE = """
WITH RECURSIVE reached(n) AS (
  SELECT %s::bigint
  UNION
  SELECT e.{far} FROM dataml.edge e JOIN reached r ON e.{near} = r.n
)
SELECT a.name, a.kind, x.versions, x.first, x.last
FROM (SELECT v.asset_id, count(*) AS versions, min(v.number) AS first, max(v.number) AS last
      -- An array, because nobody can foresee how many a recursion reaches, and a join would be planned for few.
      FROM dataml.version v WHERE v.version_id = ANY (ARRAY(SELECT n FROM reached WHERE n <> %s)) GROUP BY v.asset_id) x
JOIN dataml.asset a USING (asset_id) ORDER BY a.name
"""


class PostgresLineage:
    """Edges, and breadth-first walks bounded in depth and breadth."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, edges: Iterable[Edge], *, run: TaskRun) -> None:
        """Write edges, with what they mean by name; the same edge twice is one."""
        listed = list(edges)
        if not listed:
            return
        maps = {edge.columns.digest: edge.columns for edge in listed if edge.columns}
        writing = LineageEdges(self._db)
        writing.maps(maps)
        rows = [
            {"src": str(e.source), "dst": str(e.target), "kind": e.kind, "m": e.columns.digest if e.columns else None}
            for e in listed
        ]  # fmt: skip
        added = self._db.rows(_ADD, [run.run_key, json.dumps(rows)])
        fresh = [row for row in added if row["fresh"] and row["src_id"] > 0 and row["dst_id"] > 0]
        if fresh:
            writing.pairs(self._pairs(fresh, run))

    def _pairs(self, fresh: Sequence[dict[str, Any]], run: TaskRun) -> list[dict[str, Any]]:
        """Return the pairs of assets that new edges join, each once."""
        task = run.identity.task
        name = f"{task.dag_id}.{task.task_id}"
        job = self._db.scalar(
            _JOB,
            [
                task.dag_id, task.task_id, name, PLACEHOLDER, name, task.dag_id, task.task_id, run.run_key,
            ],
        )  # fmt: skip
        ids = sorted({row[end] for row in fresh for end in ("src_id", "dst_id")})
        assets = {
            row["version_id"]: row["asset_id"]
            for row in self._db.rows(
                "SELECT version_id, asset_id FROM dataml.version WHERE version_id = ANY (%s)", [ids]
            )
        }
        pairs: dict[tuple[int, int, str | None], dict[str, Any]] = {}
        counted: set[tuple[int, int]] = set()
        for row in fresh:
            if row["src_id"] not in assets or row["dst_id"] not in assets:
                continue
            pair = assets[row["src_id"]], assets[row["dst_id"]]
            pairs[*pair, row["m"]] = {
                "s": pair[0], "d": pair[1], "j": job, "m": row["m"], "at": row["at"], "declared": False,
                "runs": 0 if pair in counted else 1,
            }  # fmt: skip
            counted.add(pair)
        return list(pairs.values())

    def walk(
        self,
        start: str,
        *,
        direction: Direction,
        depth: int = 20,
        limit: int = 1000,
        at: datetime | None = None,
    ) -> Graph:
        """Return what a node was made from, or went into, one query per level.

        :param limit: nodes at most; a larger graph comes back cut and says so.
        :param at: only edges that were known then.
        """
        depths, edges, cut = walk_from(
            self._db, _VERSIONS, [str(_number(start))], direction=direction, depth=depth, limit=limit, at=at
        )
        return Graph(start, direction, self._nodes({_node(k): d for k, d in depths.items()}), edges, cut)

    def between(
        self, source: str, target: str, *, depth: int = 20, limit: int = 5000, at: datetime | None = None
    ) -> Graph:
        """Return every node and edge on a way from one node down to another; none where there is no way.

        :param limit: nodes looked at in each direction at most; more come back cut, and the graph says so.
        """
        kept: dict[str, Any] = {"depth": depth, "limit": limit, "at": at}
        down, below, cut_down = walk_from(
            self._db, _VERSIONS, [str(_number(source))], direction="downstream", **kept
        )
        up, above, cut_up = walk_from(
            self._db, _VERSIONS, [str(_number(target))], direction="upstream", **kept
        )
        on_the_way = {_node(key): steps for key, steps in down.items() if key in up}
        edges = tuple(e for e in dict.fromkeys((*below, *above)) if e[0] in on_the_way and e[1] in on_the_way)
        return Graph(source, "downstream", self._nodes(on_the_way), edges, cut_down or cut_up)

    def closure(self, start: str, *, direction: Direction) -> list[dict[str, Any]]:
        """Return everything a version was made from or went into, by asset: how many versions and which span."""
        near, far = _VERSIONS.near[direction]
        number = _number(start)
        return self._db.rows(_CLOSURE.format(near=near, far=far), [number, number])

    def _nodes(self, depths: dict[str, int]) -> tuple[Node, ...]:
        ids: dict[str, list[int]] = {"version": [], "report": []}
        for key in depths:
            kind, _, number = key.partition(":")
            ids[kind].append(int(number))
        found = [_version(row, depths) for row in self._db.rows(_VERSION_LABELS, [ids["version"]])]
        if ids["report"]:
            rows = self._db.rows(_REPORT_LABELS, [ids["report"]])
            found += [Node(depth=depths[row["node"]], **row) for row in rows]
        return tuple(sorted(found, key=lambda n: (n.depth, n.kind, n.label)))


def _version(row: dict[str, Any], depths: dict[str, int]) -> Node:
    node = f"version:{row.pop('version_id')}"
    kind = row.pop("kind")
    row["created_at"] = row["created_at"].isoformat()
    detail = {name: value for name, value in row.items() if value is not None}
    return Node(node, f"{row['asset']}@{row['number']}", kind, depths[node], detail)


def _number(node: str) -> int:
    """Return a node as the number it has in edges: versions above zero, reports below."""
    kind, _, number = node.partition(":")
    return int(number) if kind == "version" else -int(number)


def _node(number: str) -> str:
    return f"version:{number}" if not number.startswith("-") else f"report:{number[1:]}"

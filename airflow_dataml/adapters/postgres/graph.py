"""Edges between versions and reports on PostgreSQL, and walks over them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.lineage import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.lineage import Direction, Edge
    from airflow_dataml.core.runs import TaskRun

_LABELS = """
SELECT 'version:' || v.version_id AS node, a.name || '@' || v.number AS label, a.kind,
       jsonb_strip_nulls(jsonb_build_object('rows', v.row_count, 'fingerprint', v.fingerprint,
         'partition_key', v.partition_key, 'created_at', v.created_at)) AS detail
FROM dataml.version v JOIN dataml.asset a USING (asset_id)
WHERE v.version_id = ANY (%s::bigint[])
UNION ALL
SELECT 'report:' || r.report_id, r.kind || ' report ' || r.report_id || ' of ' || a.name, 'report',
       jsonb_strip_nulls(jsonb_build_object('verdict', r.verdict, 'partition_key', r.body -> 'partition_key',
         'created_at', r.created_at, 'incident', i.incident_id, 'incident_title', i.title))
FROM dataml.report r JOIN dataml.asset a USING (asset_id) LEFT JOIN dataml.incident i USING (report_id)
WHERE r.report_id = ANY (%s::bigint[])
"""


class PostgresLineage:
    """Edges, and breadth-first walks bounded in depth and breadth."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(self, edges: Iterable[Edge], *, run: TaskRun) -> None:
        """Write edges; the same edge twice is one."""
        for edge in edges:
            self._db.execute(
                "INSERT INTO dataml.edge (src, dst, kind, run_key) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
                [str(edge.source), str(edge.target), edge.kind, run.run_key],
            )

    def walk(self, start: str, *, direction: Direction, depth: int = 20, limit: int = 1000) -> Graph:
        """Return what a node was made from, or went into, one query per level.

        :param limit: nodes at most; a larger graph comes back cut and says so.
        """
        near, far = ("dst", "src") if direction == "upstream" else ("src", "dst")
        depths: dict[str, int] = {start: 0}
        edges: dict[tuple[str, str, str], None] = {}
        frontier, level, cut = [start], 0, False
        while frontier and level < depth and not cut:
            level += 1
            rows = self._db.rows(
                f"SELECT src, dst, kind FROM dataml.edge WHERE {near} = ANY (%s) ORDER BY edge_id", [frontier]
            )
            frontier = []
            for row in rows:
                if row[far] not in depths:
                    if len(depths) >= limit:
                        cut = True
                        continue
                    depths[row[far]] = level
                    frontier.append(row[far])
                edges[row["src"], row["dst"], row["kind"]] = None
        return Graph(start, direction, self._nodes(depths), tuple(edges), cut or bool(frontier))

    def _nodes(self, depths: dict[str, int]) -> tuple[Node, ...]:
        ids: dict[str, list[int]] = {"version": [], "report": []}
        for key in depths:
            kind, _, number = key.partition(":")
            ids[kind].append(int(number))
        rows: Sequence[dict[str, Any]] = self._db.rows(_LABELS, [ids["version"], ids["report"]])
        found = [Node(depth=depths[row["node"]], **row) for row in rows]
        return tuple(sorted(found, key=lambda n: (n.depth, n.kind, n.label)))

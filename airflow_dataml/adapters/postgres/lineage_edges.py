"""Edges: between versions, between assets by name, and between their columns, in sets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.column_lineage import ColumnMap

_MAPS = """
INSERT INTO dataml.column_map (column_map, mapping, method, confidence)
SELECT x.m, x.mapping, x.method, x.confidence
FROM jsonb_to_recordset(%s) x(m text, mapping jsonb, method text, confidence real) ORDER BY x.m
ON CONFLICT DO NOTHING
"""
# Of tries known before: which assets their edges joined until now.
_BEFORE = """
SELECT o.run_key AS r, o.try_number AS t, sv.asset_id AS s, o.asset_id AS d, e.column_map AS m, r.job_id AS j
FROM jsonb_to_recordset(%s) y(r bigint, t int)
JOIN dataml.run_io o ON o.run_key = y.r AND o.try_number = y.t AND o.direction = 'out'
JOIN dataml.run r ON r.run_key = o.run_key
JOIN dataml.edge e ON e.dst_id = o.version_id AND e.observed AND e.run_key = o.run_key
JOIN dataml.version sv ON sv.version_id = e.src_id
"""
# What the tries' events say now; an edge of an operator between the same versions stands for it.
_EDGES = """
INSERT INTO dataml.edge AS e (src, dst, kind, run_key, column_map, observed, created_at)
SELECT DISTINCT ON (x.i, x.o) 'version:' || x.i, 'version:' || x.o, 'derived', x.r, x.m, true, x.at
FROM jsonb_to_recordset(%s) x(r bigint, i bigint, o bigint, m text, at timestamptz)
WHERE NOT EXISTS (SELECT FROM dataml.edge k WHERE k.src_id = x.i AND k.dst_id = x.o AND k.kind <> 'derived')
ORDER BY x.i, x.o, x.m NULLS LAST
ON CONFLICT (src, dst, kind) DO UPDATE SET column_map = coalesce(excluded.column_map, e.column_map)
WHERE e.column_map IS DISTINCT FROM coalesce(excluded.column_map, e.column_map)
"""
_TAKEN_BACK = """
DELETE FROM dataml.edge e USING jsonb_to_recordset(%s) y(r bigint, t int), dataml.run_io o
WHERE o.run_key = y.r AND o.try_number = y.t AND o.direction = 'out'
  AND e.dst_id = o.version_id AND e.observed AND e.run_key = y.r
  AND NOT EXISTS (
    SELECT FROM jsonb_to_recordset(%s) x(r bigint, t int, s bigint, d bigint)
    JOIN dataml.run_io i ON (i.run_key, i.try_number, i.asset_id, i.direction) = (x.r, x.t, x.s, 'in')
    WHERE x.r = y.r AND x.t = y.t AND x.d = o.asset_id AND i.version_id = e.src_id)
"""
# A read whose version turned out to be another; where that edge is there already, the old one goes.
_MOVED = """
UPDATE dataml.edge e SET src = 'version:' || x.v
FROM jsonb_to_recordset(%s) x(r bigint, t int, old bigint, v bigint)
JOIN dataml.run_io o ON o.run_key = x.r AND o.try_number = x.t AND o.direction = 'out'
WHERE e.src_id = x.old AND e.dst_id = o.version_id AND e.run_key = x.r AND e.observed
  AND NOT EXISTS (SELECT FROM dataml.edge k WHERE k.src_id = x.v AND k.dst_id = o.version_id AND k.kind = e.kind)
"""
_NOT_MOVED = """
DELETE FROM dataml.edge e
USING jsonb_to_recordset(%s) x(r bigint, t int, old bigint, v bigint), dataml.run_io o
WHERE o.run_key = x.r AND o.try_number = x.t AND o.direction = 'out' AND e.src_id = x.old
  AND e.dst_id = o.version_id AND e.run_key = x.r AND e.observed
"""
_ASSET_EDGES = """
INSERT INTO dataml.asset_edge AS e (src, dst, job_id, first_at, last_at, runs, declared, column_map, mapped_at)
SELECT x.s, x.d, x.j, min(x.at), max(x.at), sum(x.runs), bool_or(x.declared),
       (array_agg(x.m ORDER BY x.at DESC) FILTER (WHERE x.m IS NOT NULL))[1], max(x.at) FILTER (WHERE x.m IS NOT NULL)
FROM jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint, m text, at timestamptz, runs int, declared boolean)
GROUP BY x.s, x.d, x.j ORDER BY x.s, x.d, x.j
ON CONFLICT (src, dst, job_id) DO UPDATE SET
  first_at = least(e.first_at, excluded.first_at), last_at = greatest(e.last_at, excluded.last_at),
  runs = e.runs + excluded.runs, declared = e.declared OR excluded.declared,
  column_map = CASE WHEN excluded.mapped_at >= coalesce(e.mapped_at, '-infinity')
                    THEN excluded.column_map ELSE e.column_map END,
  mapped_at = CASE WHEN excluded.mapped_at >= coalesce(e.mapped_at, '-infinity')
                    AND e.column_map IS DISTINCT FROM excluded.column_map
                   THEN excluded.mapped_at ELSE e.mapped_at END
"""
# Mappings that are not the newest of their pair already.
_NEW_MAPS = """
SELECT DISTINCT x.s, x.d, x.j, x.m FROM jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint, m text)
LEFT JOIN dataml.asset_edge e ON (e.src, e.dst, e.job_id) = (x.s, x.d, x.j)
WHERE x.m IS NOT NULL AND e.column_map IS DISTINCT FROM x.m
"""
_COLUMN_EDGES = """
INSERT INTO dataml.column_edge AS c (src, src_column, dst, dst_column, job_id, kind, method, confidence, first_at, last_at)
SELECT x.s, f ->> 1, x.d, f ->> 0, x.j, f ->> 2, (array_agg(m.method ORDER BY x.last_at DESC))[1],
       (array_agg(m.confidence ORDER BY x.last_at DESC))[1], min(x.first_at), max(x.last_at)
FROM jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint, m text, first_at timestamptz, last_at timestamptz)
JOIN dataml.column_map m ON m.column_map = x.m
CROSS JOIN LATERAL jsonb_array_elements(m.mapping) f
GROUP BY x.s, f ->> 1, x.d, f ->> 0, x.j, f ->> 2
ORDER BY x.d, f ->> 0, x.s, f ->> 1, x.j, f ->> 2
ON CONFLICT (dst, dst_column, src, src_column, job_id, kind) DO UPDATE SET
  method = excluded.method, confidence = excluded.confidence,
  first_at = least(c.first_at, excluded.first_at), last_at = greatest(c.last_at, excluded.last_at)
"""
# Pairs whose edges were taken back: written anew from the tries that are left.
_LEFT = """
SELECT x.s, x.d, x.j, e.column_map AS m, min(e.created_at) AS first_at, max(e.created_at) AS last_at,
       count(DISTINCT (o.run_key, o.try_number)) AS runs
FROM jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint)
JOIN dataml.run r ON r.job_id = x.j
JOIN dataml.run_io o ON o.run_key = r.run_key AND o.asset_id = x.d AND o.direction = 'out'
JOIN dataml.edge e ON e.dst_id = o.version_id AND e.run_key = r.run_key
JOIN dataml.version sv ON sv.version_id = e.src_id AND sv.asset_id = x.s
GROUP BY x.s, x.d, x.j, e.column_map
"""
_DECLARED = """
SELECT e.src AS s, e.dst AS d, e.job_id AS j, e.column_map AS m, e.first_at, e.last_at
FROM jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint)
JOIN dataml.asset_edge e ON (e.src, e.dst, e.job_id) = (x.s, x.d, x.j) WHERE e.declared
"""
_DROP = (
    """DELETE FROM dataml.column_edge c USING jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint)
       WHERE (c.src, c.dst, c.job_id) = (x.s, x.d, x.j)""",
    """DELETE FROM dataml.asset_edge e USING jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint)
       WHERE (e.src, e.dst, e.job_id) = (x.s, x.d, x.j) AND NOT e.declared""",
    """UPDATE dataml.asset_edge e SET runs = 0 FROM jsonb_to_recordset(%s) x(s bigint, d bigint, j bigint)
       WHERE (e.src, e.dst, e.job_id) = (x.s, x.d, x.j)""",
)


class LineageEdges:
    """Writes and takes back edges."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def maps(self, maps: Mapping[str, ColumnMap]) -> None:
        """Keep mappings of columns; those that are there already are not sent."""
        if not maps:
            return
        rows = self._db.rows(
            "SELECT column_map FROM dataml.column_map WHERE column_map = ANY (%s)", [list(maps)]
        )
        known = {row["column_map"] for row in rows}
        fresh = [
            {"m": key, "mapping": one.mapping, "method": one.method, "confidence": one.confidence}
            for key, one in maps.items()
            if key not in known
        ]
        if fresh:
            self._db.execute(_MAPS, [json.dumps(fresh)])

    def before(self, tries: Iterable[tuple[int, int]]) -> list[dict[str, Any]]:
        """Return what joined what in tries known before."""
        return self._db.rows(_BEFORE, [_tries(tries)])

    def counted(self, runs: Sequence[int]) -> set[tuple[int, int, int]]:
        """Return pairs of assets that operators' own edges joined, as (run, source, target)."""
        rows = self._db.rows(
            """SELECT e.run_key AS r, sv.asset_id AS s, dv.asset_id AS d FROM dataml.edge e
               JOIN dataml.version sv ON sv.version_id = e.src_id JOIN dataml.version dv ON dv.version_id = e.dst_id
               WHERE e.run_key = ANY (%s) AND NOT e.observed""",
            [list(runs)],
        )
        return {(row["r"], row["s"], row["d"]) for row in rows}

    def join(
        self,
        flows: Sequence[Mapping[str, Any]],
        versions: Mapping[tuple[int, int, int, str], int | None],
        *,
        again: Sequence[tuple[int, int]],
    ) -> None:
        """Write the edges of tries, and take back those their events do not say any more.

        :param versions: what the tries read and wrote: by run, try, asset and direction.
        :param again: tries of which something was known before.
        """
        if again:
            self._db.execute(_TAKEN_BACK, [_tries(again), _told(flows)])
        edges = []
        for flow in flows:
            i = versions.get((flow["r"], flow["t"], flow["s"], "in"))
            o = versions.get((flow["r"], flow["t"], flow["d"], "out"))
            if i is not None and o is not None and i != o:
                edges.append({"r": flow["r"], "i": i, "o": o, "m": flow["m"], "at": flow["at"]})
        if edges:
            self._db.execute(_EDGES, [_told(edges)])

    def unmake(self, versions: Sequence[int]) -> None:
        """Take back every edge into versions that were never written."""
        self._db.execute("DELETE FROM dataml.edge WHERE dst_id = ANY (%s) AND observed", [list(versions)])

    def move(self, reads: Sequence[Mapping[str, Any]]) -> None:
        """Move edges whose read turned out to be of another version."""
        moved = [
            {name: x[name] for name in ("r", "t", "old", "v")}
            for x in reads
            if x["old"] is not None and x["v"] is not None
        ]
        if moved:
            self._db.execute(_MOVED, [json.dumps(moved)])
            self._db.execute(_NOT_MOVED, [json.dumps(moved)])

    def pairs(self, pairs: Sequence[Mapping[str, Any]]) -> None:
        """Count which assets and columns were joined."""
        if not pairs:
            return
        told = _told(pairs)
        fresh = {(row["s"], row["d"], row["j"], row["m"]) for row in self._db.rows(_NEW_MAPS, [told])}
        self._db.execute(_ASSET_EDGES, [told])
        self._columns(
            [
                {"s": p["s"], "d": p["d"], "j": p["j"], "m": p["m"], "first_at": p["at"], "last_at": p["at"]}
                for p in pairs
                if (p["s"], p["d"], p["j"], p["m"]) in fresh
            ]
        )

    def again(self, pairs: Iterable[tuple[int, int, int]]) -> None:
        """Count pairs of assets anew from their edges, after some were taken back."""
        told = json.dumps([{"s": s, "d": d, "j": j} for s, d, j in pairs])
        left = self._db.rows(_LEFT, [told])
        declared = self._db.rows(_DECLARED, [told])
        for statement in _DROP:
            self._db.execute(statement, [told])
        lasts = [{**row, "at": row["last_at"], "declared": False} for row in left]
        firsts = [{**row, "at": row["first_at"], "runs": 0} for row in lasts]
        if lasts:
            self._db.execute(_ASSET_EDGES, [_told([*firsts, *lasts])])
        self._columns([row for row in (*left, *declared) if row["m"]])

    def _columns(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._db.execute(_COLUMN_EDGES, [_told(rows)])


def _told(rows: Sequence[Mapping[str, Any]]) -> str:
    return json.dumps(list(rows), default=str)


def _tries(tries: Iterable[tuple[int, int]]) -> str:
    return json.dumps([{"r": run, "t": number} for run, number in tries])

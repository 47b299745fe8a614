"""Which version a run read, and which it wrote, in sets.

A write of a dataset that others write is a version: one per try and asset. Our own versions are recognised:
by our facet, by their number, or because this very run published them. A managed asset has only versions
that the ledger made, so a run that merely names one as an output wrote none.

A read is of the version the event names, else of what stood when the run looked: what the alias ``current``
pointed at then, or the newest version written by then. Where there is none and nobody manages the asset, it
is one that was *found* there. A write heard of late takes over the reads after it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection

_USE = """jsonb_to_recordset(%s) x(r bigint, t int, a bigint, d text, at timestamptz, named text, stats jsonb,
  own bigint, sh text, facts jsonb)"""
_KEEP = """
INSERT INTO dataml.run_io AS io (run_key, try_number, asset_id, direction, at, named, stats, version_id)
SELECT x.r, x.t, x.a, x.d, x.at, x.named, x.stats, x.v
FROM jsonb_to_recordset(%s) x(r bigint, t int, a bigint, d text, at timestamptz, named text, stats jsonb, v bigint)
ORDER BY x.r, x.t, x.a, x.d
ON CONFLICT (run_key, try_number, asset_id, direction) DO UPDATE
  SET at = excluded.at, named = excluded.named, stats = excluded.stats, version_id = excluded.version_id
WHERE (io.at, io.named, io.stats, io.version_id)
      IS DISTINCT FROM (excluded.at, excluded.named, excluded.stats, excluded.version_id)
"""
# Outputs that later events of the try took back, with the versions made of them.
_UNWRITTEN = """
WITH taken_back AS (
  DELETE FROM dataml.run_io io USING jsonb_to_recordset(%s) y(r bigint, t int)
  WHERE io.run_key = y.r AND io.try_number = y.t AND io.direction = 'out'
    AND NOT EXISTS (SELECT FROM jsonb_to_recordset(%s) x(r bigint, t int, a bigint, d text)
                    WHERE x.r = io.run_key AND x.t = io.try_number AND x.a = io.asset_id AND x.d = 'out')
  RETURNING io.version_id)
-- Nothing was read of it any more: it never stood.
UPDATE dataml.version v SET created_at = 'infinity' FROM taken_back b, dataml.version old
WHERE v.version_id = b.version_id AND old.version_id = v.version_id AND v.origin = 'observed'
RETURNING v.version_id, v.asset_id AS a, old.created_at AS at
"""
_NAMED = """
  SELECT v.version_id FROM dataml.version v
  WHERE v.asset_id = x.a AND (
    v.version_id = x.own
    OR v.origin IN ('observed', 'found') AND v.facts ->> 'dataset_version' = x.named
    OR v.origin IN ('published', 'snapshot') AND v.number::text = x.named AND a.kind <> 'external')
  ORDER BY (v.version_id = x.own) DESC NULLS LAST, v.origin, v.created_at DESC LIMIT 1"""
_WRITTEN = f"""
SELECT x.r, x.t, x.a, f.version_id AS known,
       f.version_id IS NULL AND (a.kind = 'external' OR run.source = 'lineage' AND NOT EXISTS (
         SELECT FROM dataml.version v WHERE v.asset_id = x.a AND v.origin IN ('published', 'snapshot'))) AS new
FROM {_USE} JOIN dataml.asset a ON a.asset_id = x.a JOIN dataml.run run ON run.run_key = x.r
LEFT JOIN LATERAL (
  SELECT u.version_id FROM (
    SELECT 1 AS place, v.version_id FROM dataml.version v
    WHERE v.fact_key = 'observed/' || x.r || '/' || x.t || '/' || x.a
    UNION ALL
    SELECT 2, n.version_id FROM ({_NAMED}) n JOIN dataml.version v USING (version_id)
    WHERE v.origin IN ('published', 'snapshot')
    UNION ALL
    (SELECT 3, v.version_id FROM dataml.version v
     WHERE v.run_key = x.r AND v.asset_id = x.a AND v.origin IN ('published', 'snapshot')
     ORDER BY v.version_id DESC LIMIT 1)
    UNION ALL
    -- Written under another name, before two assets turned out to be one.
    SELECT 4, io.version_id FROM dataml.run_io io
    WHERE (io.run_key, io.try_number, io.asset_id, io.direction) = (x.r, x.t, x.a, 'out') AND io.version_id IS NOT NULL
    ) u ORDER BY u.place LIMIT 1) f ON true
WHERE x.d = 'out'
"""
_ADOPT = f"""
UPDATE dataml.version v SET origin = 'observed', run_key = x.r, created_at = x.at,
  fact_key = 'observed/' || x.r || '/' || x.t || '/' || x.a, schema_hash = coalesce(x.sh, v.schema_hash),
  facts = v.facts || x.facts || jsonb_build_object('try', x.t)
FROM {_USE} WHERE x.named IS NOT NULL AND v.fact_key = 'found/' || x.a || '/' || x.named
RETURNING x.r, x.t, x.a, v.version_id AS v
"""
_OBSERVE = f"""
INSERT INTO dataml.version (asset_id, number, run_key, fact_key, schema_hash, facts, created_at, origin)
SELECT x.a, coalesce((SELECT max(v.number) FROM dataml.version v WHERE v.asset_id = x.a), 0)
            + row_number() OVER (PARTITION BY x.a ORDER BY x.at, x.r, x.t),
       x.r, 'observed/' || x.r || '/' || x.t || '/' || x.a, x.sh,
       x.facts || jsonb_build_object('try', x.t), x.at, 'observed'
FROM {_USE} ORDER BY x.a, x.at
RETURNING run_key AS r, (facts ->> 'try')::int AS t, asset_id AS a, version_id AS v
"""
_REFRESH = f"""
UPDATE dataml.version v SET created_at = x.at, schema_hash = coalesce(x.sh, v.schema_hash), facts = v.facts || x.facts
FROM {_USE} JOIN dataml.version old ON old.fact_key = 'observed/' || x.r || '/' || x.t || '/' || x.a
WHERE v.version_id = old.version_id AND (v.created_at <> x.at OR v.schema_hash IS DISTINCT FROM coalesce(x.sh, v.schema_hash) OR NOT v.facts @> x.facts)
RETURNING v.asset_id AS a, least(old.created_at, x.at) AS at
"""
_POINT = """
UPDATE dataml.run_io io SET version_id = x.v
FROM jsonb_to_recordset(%s) x(r bigint, t int, a bigint, d text, v bigint)
WHERE io.run_key = x.r AND io.try_number = x.t AND io.asset_id = x.a AND io.direction = x.d
  AND io.version_id IS DISTINCT FROM x.v
"""
# What stood when a run looked. A write in the same moment as the look came before it, unless it is its own.
_STOOD = """
  SELECT s.version_id FROM (
    (SELECT h.to_version AS version_id, h.moved_at AS since FROM dataml.alias_history h
     WHERE h.asset_id = x.a AND h.name = 'current' AND h.moved_at <= x.at ORDER BY h.entry_id DESC LIMIT 1)
    UNION ALL
    (SELECT v.version_id, v.created_at FROM dataml.version v
     WHERE v.asset_id = x.a AND v.created_at <= x.at
       AND (v.origin = 'observed' OR (v.origin = 'found' AND v.facts ? 'dataset_version')
            OR (v.origin IN ('published', 'snapshot') AND a.kind NOT IN ('dataset', 'prediction') AND NOT EXISTS (
                SELECT FROM dataml.alias_history h WHERE h.asset_id = x.a AND h.name = 'current')))
       AND NOT (v.run_key = x.r AND v.origin = 'observed' AND (v.facts ->> 'try')::int = x.t)
     ORDER BY v.created_at DESC, v.version_id DESC LIMIT 1)
  ) s WHERE s.version_id IS NOT NULL ORDER BY s.since DESC LIMIT 1"""
_READ = f"""
SELECT x.r, x.t, x.a, x.named, x.at, x.sh, coalesce(n.version_id, s.version_id, f.version_id) AS v,
       x.named IS NOT NULL AND n.version_id IS NULL AS unknown, a.kind = 'external' AS external
FROM {_USE} JOIN dataml.asset a ON a.asset_id = x.a
LEFT JOIN LATERAL ({_NAMED}) n ON true
LEFT JOIN LATERAL ({_STOOD}) s ON n.version_id IS NULL
LEFT JOIN dataml.version f ON f.fact_key = 'found/' || x.a
WHERE x.d = 'in'
"""
_FIND = """
INSERT INTO dataml.version (asset_id, number, run_key, fact_key, schema_hash, facts, created_at, origin)
SELECT x.a, coalesce((SELECT max(v.number) FROM dataml.version v WHERE v.asset_id = x.a), 0)
            + row_number() OVER (PARTITION BY x.a ORDER BY x.at, x.key),
       x.r, x.key, x.sh, x.facts, x.at, 'found'
FROM (SELECT DISTINCT ON (y.key) y.* FROM jsonb_to_recordset(%s)
        y(a bigint, r bigint, key text, sh text, facts jsonb, at timestamptz) ORDER BY y.key, y.at) x
ORDER BY x.a, x.at
ON CONFLICT (fact_key) DO NOTHING
"""
# Reads that came after a write nobody knew of when they were put down.
_LATE = f"""
SELECT io.run_key AS r, io.try_number AS t, io.asset_id AS a, io.at, io.version_id AS old
FROM jsonb_to_recordset(%s) w(a bigint, at timestamptz)
-- From each write to what came after it, however the planner counts them.
CROSS JOIN LATERAL (SELECT r.run_key, r.try_number, r.asset_id, r.at, r.version_id FROM dataml.run_io r
  WHERE r.asset_id = w.a AND r.at >= w.at AND r.direction = 'in' AND r.named IS NULL OFFSET 0) io
JOIN dataml.asset a ON a.asset_id = io.asset_id
CROSS JOIN LATERAL (SELECT io.asset_id AS a, io.at, io.run_key AS r, io.try_number AS t) x
LEFT JOIN LATERAL ({_STOOD}) s ON true
WHERE s.version_id IS DISTINCT FROM io.version_id
"""

_ENDS = ("r", "t", "a", "d")
_KEPT = (*_ENDS, "at", "named", "stats")
_ASKED = (*_ENDS, "at", "named", "own", "sh", "facts")
# Run, try, asset and direction.
Use = tuple[int, int, int, str]


class LineageVersions:
    """Writes what runs read and wrote."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def taken_back(
        self, rows: Sequence[Mapping[str, Any]], *, again: Sequence[tuple[int, int]]
    ) -> list[dict[str, Any]]:
        """Return the versions that their run takes back.

        :param rows: all inputs and outputs of the batch.
        :param again: tries of which something was known before.
        """
        if not again:
            return []
        outs = [x for x in rows if x["d"] == "out"]
        return self._db.rows(
            _UNWRITTEN, [json.dumps([{"r": r, "t": t} for r, t in again]), _told(outs, _ENDS)]
        )

    def keep(self, rows: Sequence[Mapping[str, Any]], versions: Mapping[Use, int | None]) -> None:
        """Write inputs and outputs, once their versions are known: a row written twice costs twice."""
        if rows:
            kept = [{**{n: x[n] for n in _KEPT}, "v": versions.get((*_key(x), x["d"]))} for x in rows]
            self._db.execute(_KEEP, [json.dumps(kept, default=str)])

    def write(self, rows: Sequence[Mapping[str, Any]]) -> tuple[dict[int, Any], dict[Use, int | None]]:
        """Return since when which assets have other versions than before, and the versions of outputs."""
        outs = {_key(x): x for x in rows if x["d"] == "out"}
        if not outs:
            return {}, {}
        told = self._ask(_WRITTEN, outs.values())
        versions = {_key(row): row["known"] for row in told}
        known = [outs[key] for key, version in versions.items() if version is not None]
        moved = {row["a"]: row["at"] for row in self._ask(_REFRESH, known)} if known else {}
        fresh = [outs[_key(row)] for row in told if row["new"]]
        if fresh:
            versions |= self._observe(fresh)
        for x in fresh:
            moved[x["a"]] = min(moved.get(x["a"], x["at"]), x["at"])
        return moved, {(*key, "out"): version for key, version in versions.items()}

    def _observe(self, fresh: Sequence[Mapping[str, Any]]) -> dict[tuple[int, int, int], int]:
        """Write versions nobody has written yet, and return them."""
        self._lock({x["a"] for x in fresh})
        named = [x for x in fresh if x["named"] is not None]
        made = {_key(row): row["v"] for row in self._ask(_ADOPT, named)} if named else {}
        rest = [x for x in fresh if _key(x) not in made]
        return made | ({_key(row): row["v"] for row in self._ask(_OBSERVE, rest)} if rest else {})

    def read(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return inputs with their versions."""
        if not rows:
            return []
        told = self._ask(_READ, rows)
        found = [_found(row) for row in told if row["external"] and (row["v"] is None or row["unknown"])]
        if found:
            self._lock({x["a"] for x in found})
            self._db.execute(_FIND, [json.dumps(found, default=str)])
            mine = {_key(row): row for row in rows}
            lacking = {_key(row) for row in told if row["v"] is None or row["unknown"]}
            told = [row for row in told if _key(row) not in lacking]
            told += self._ask(_READ, [mine[key] for key in lacking])
        return [{**row, "d": "in"} for row in told]

    def late(self, moved: Mapping[int, Any]) -> list[dict[str, Any]]:
        """Move reads that came after writes heard of just now; return each with the version it had and has."""
        if not moved:
            return []
        news = json.dumps([{"a": a, "at": at} for a, at in moved.items()], default=str)
        rows = self._db.rows(_LATE, [news])
        before = {_key(row): row["old"] for row in rows}
        nothing = {"d": "in", "named": None, "own": None, "sh": None}
        told = self.read([{**{n: row[n] for n in ("r", "t", "a", "at")}, **nothing} for row in rows])
        self._point(told)
        return [{**row, "old": before[_key(row)]} for row in told if row["v"] != before[_key(row)]]

    def derive(self, pairs: Sequence[tuple[int, int, int]]) -> None:
        """Say of changes in place which version they changed: of (run, try, asset)."""
        if pairs:
            self._db.execute(
                """UPDATE dataml.version v SET parent_id = i.version_id
                   FROM jsonb_to_recordset(%s) x(r bigint, t int, a bigint)
                   JOIN dataml.run_io o ON (o.run_key, o.try_number, o.asset_id, o.direction) = (x.r, x.t, x.a, 'out')
                   JOIN dataml.run_io i ON (i.run_key, i.try_number, i.asset_id, i.direction) = (x.r, x.t, x.a, 'in')
                   WHERE v.version_id = o.version_id AND v.origin = 'observed' AND i.version_id <> o.version_id
                     AND v.parent_id IS DISTINCT FROM i.version_id""",
                [json.dumps([{"r": r, "t": t, "a": a} for r, t, a in pairs])],
            )

    def forget(self, versions: Sequence[int], assets: Sequence[int]) -> None:
        """Remove versions that events led to and later events took back: those given, and *found* ones nobody read."""
        self._db.execute(
            """DELETE FROM dataml.version v
               WHERE v.version_id IN (
                   SELECT o.version_id FROM dataml.version o WHERE o.version_id = ANY (%s) AND o.origin = 'observed'
                   UNION ALL SELECT f.version_id FROM dataml.version f WHERE f.fact_key = ANY (%s))
                 AND NOT EXISTS (SELECT FROM dataml.run_io io WHERE io.version_id = v.version_id)
                 AND NOT EXISTS (SELECT FROM dataml.edge e WHERE e.src_id = v.version_id OR e.dst_id = v.version_id)
                 AND NOT EXISTS (SELECT FROM dataml.version c WHERE c.parent_id = v.version_id)
                 AND NOT EXISTS (SELECT FROM dataml.pin p WHERE p.version_id = v.version_id)
                 AND NOT EXISTS (SELECT FROM dataml.report r WHERE r.version_id = v.version_id)
                 AND NOT EXISTS (SELECT FROM dataml.alias l WHERE l.version_id = v.version_id)""",
            [list(versions), [f"found/{asset}" for asset in assets]],
        )

    def _lock(self, assets: set[int]) -> None:
        """Hold the numbers of assets, as whoever publishes does."""
        self._db.execute(
            "SELECT FROM dataml.asset WHERE asset_id = ANY (%s) ORDER BY asset_id FOR NO KEY UPDATE",
            [sorted(assets)],
        )

    def _point(self, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self._db.execute(_POINT, [_told(rows, (*_ENDS, "v"))])

    def _ask(self, query: str, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return self._db.rows(query, [_told(rows, _ASKED)])


def _told(rows: Iterable[Mapping[str, Any]], names: Sequence[str]) -> str:
    return json.dumps([{name: row.get(name) for name in names} for row in rows], default=str)


def _key(row: Mapping[str, Any]) -> tuple[int, int, int]:
    return row["r"], row["t"], row["a"]


def _found(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the version that was there when it was first read, or first read by its name."""
    named = row["named"]
    return {
        "a": row["a"], "r": row["r"], "sh": row["sh"], "at": row["at"],
        "key": f"found/{row['a']}/{named}" if named else f"found/{row['a']}",
        "facts": {"dataset_version": named} if named else {},
    }  # fmt: skip

"""Columns of the graph as the page draws them: what flows between nodes that are shown, and where one column leads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.reading_lineage import LineageReading

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.adapters.postgres.reading_lineage import Bounds, By, Way

FLOWS = 20_000
# Columns of one node that are named; a table with more says how many it has.
NAMED = 300

_FLOW_OF_VERSIONS = """
SELECT e.src_id AS src, f ->> 1 AS src_column, e.dst_id AS dst, f ->> 0 AS dst_column, f ->> 2 AS kind, f ->> 3 AS via,
       m.method, m.confidence, e.created_at AS at
FROM {start} dataml.edge e {on} JOIN dataml.column_map m USING (column_map)
CROSS JOIN LATERAL jsonb_array_elements(m.mapping) f
WHERE {where} AND (%s::timestamptz IS NULL OR e.created_at <= %s)
ORDER BY e.edge_id, f ->> 0, f ->> 1, f ->> 2, f ->> 3 LIMIT %s
"""
# Of a pair that was mapped anew only the newest mapping is shown, or what had been seen by a time.
_FLOW_OF_ASSETS = """
SELECT c.src, c.src_column, c.dst, c.dst_column, c.kind, NULL AS via, c.method, c.confidence, c.first_at AS at
FROM {start} dataml.column_edge c {on} JOIN dataml.asset_edge e ON (e.src, e.dst, e.job_id) = (c.src, c.dst, c.job_id)
WHERE {where} AND CASE WHEN %s::timestamptz IS NULL THEN c.last_at >= e.mapped_at ELSE c.first_at <= %s END
ORDER BY c.dst, c.dst_column, c.src, c.src_column, c.kind LIMIT %s
"""
_BETWEEN = {
    "version": _FLOW_OF_VERSIONS.format(
        start="", on="", where="e.src_id = ANY (%s::bigint[]) AND e.dst_id = ANY (%s::bigint[])"
    ),
    "asset": _FLOW_OF_ASSETS.format(
        start="", on="", where="c.src = ANY (%s::bigint[]) AND c.dst = ANY (%s::bigint[])"
    ),
}
_FROM = "unnest(%s::bigint[], %s::text[]) k(n, name) JOIN"
# A column that decides all of a dataset ends in its every column, written as an empty name.
_STEP = {
    "version": {
        "upstream": _FLOW_OF_VERSIONS.format(
            start=_FROM, on="ON e.dst_id = k.n", where="(f ->> 0 IN (k.name, '') OR k.name = '')"
        ),
        "downstream": _FLOW_OF_VERSIONS.format(
            start=_FROM, on="ON e.src_id = k.n", where="(f ->> 1 = k.name OR k.name = '')"
        ),
    },
    "asset": {
        "upstream": _FLOW_OF_ASSETS.format(
            start=_FROM, on="ON c.dst = k.n", where="(c.dst_column IN (k.name, '') OR k.name = '')"
        ),
        "downstream": _FLOW_OF_ASSETS.format(
            start=_FROM, on="ON c.src = k.n", where="(c.src_column = k.name OR k.name = '')"
        ),
    },
}
_COLUMNS = {
    "version": """SELECT v.version_id AS n, b.columns FROM dataml.version v JOIN dataml.asset a USING (asset_id)
                  JOIN dataml.schema_blob b ON b.schema_hash = coalesce(v.schema_hash, a.schema_hash)
                  WHERE v.version_id = ANY (%s)""",
    "asset": """SELECT a.asset_id AS n, b.columns FROM dataml.asset a JOIN dataml.schema_blob b ON b.schema_hash =
                  coalesce(a.schema_hash, (SELECT v.schema_hash FROM dataml.version v
                                           WHERE v.asset_id = a.asset_id ORDER BY v.number DESC LIMIT 1))
                WHERE a.asset_id = ANY (%s)""",
}


class ColumnReading:
    """Columns and the flows between them, in the graph of versions or the one of assets by name.

    :param connection: the ledger's connection; the caller closes it.
    """

    def __init__(self, connection: Connection, by: By) -> None:
        self._db = connection
        self._graph = LineageReading(connection, by)
        self._by = by

    def between(self, nodes: Sequence[str], *, bounds: Bounds) -> dict[str, Any]:
        """Return every flow between columns of some nodes, and the columns of each."""
        numbers = [self._graph.number(node) for node in nodes]
        found = self._db.rows(_BETWEEN[self._by], [numbers, numbers, bounds.at, bounds.at, FLOWS + 1])
        flows = self._named(found[:FLOWS])
        return {
            "by": self._by, "columns": self._columns(numbers, found), "flows": flows, "truncated": len(found) > FLOWS,
        }  # fmt: skip

    def trace(self, node: str, column: str, *, way: Way, bounds: Bounds) -> dict[str, Any]:
        """Return what a column was made from and decided by, and what it went into, with the nodes of both."""
        start = self._graph.number(node), column
        depths: dict[int, int] = {start[0]: 0}
        flows: dict[tuple[Any, ...], dict[str, Any]] = {}
        cut = False
        for one, sign in (("upstream", -1), ("downstream", 1)):
            if way in (one, "both"):
                cut |= self._follow(start, one, sign, bounds, depths, flows)
        picture = self._graph.picture(depths, at=bounds.at)
        found = list(flows.values())
        return picture | {
            "start": node, "truncated": cut, "moments": [], "flows": self._named(found),
            "columns": self._columns(list(depths), found, also=[start]),
        }  # fmt: skip

    def _follow(
        self,
        start: tuple[int, str],
        way: str,
        sign: int,
        bounds: Bounds,
        depths: dict[int, int],
        flows: dict[tuple[Any, ...], dict[str, Any]],
    ) -> bool:
        """Walk one way, level by level; whether there is more than was asked for."""
        far = "src" if way == "upstream" else "dst"
        seen, frontier = {start}, [start]
        for level in range(1, bounds.depth + 1):
            rows = self._db.rows(
                _STEP[self._by][way],
                [[n for n, _ in frontier], [name for _, name in frontier], bounds.at, bounds.at, FLOWS + 1],
            )
            frontier = []
            for row in rows[:FLOWS]:
                end = row[far], row[f"{far}_column"]
                if end[0] not in depths and len(depths) >= bounds.limit:
                    return True
                depths.setdefault(end[0], sign * level)
                flows[
                    row["src"], row["src_column"], row["dst"], row["dst_column"], row["kind"], row["via"]
                ] = row
                if end not in seen:
                    seen.add(end)
                    frontier.append(end)
            if len(rows) > FLOWS:
                return True
            if not frontier:
                return False
        return bool(frontier)

    def _named(self, flows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        name = self._graph.name
        return [flow | {"src": name(flow["src"]), "dst": name(flow["dst"])} for flow in flows]

    def _columns(
        self,
        numbers: list[int],
        flows: Iterable[dict[str, Any]],
        *,
        also: Iterable[tuple[int, str]] = (),
    ) -> list[dict[str, Any]]:
        """Return the columns of nodes: those its schema names, and those that only a mapping knows."""
        known: dict[int, dict[str, str | None]] = {number: {} for number in numbers}
        for row in self._db.rows(_COLUMNS[self._by], [numbers]):
            known[row["n"]] = {column[0]: column[1] for column in row["columns"]}
        ends = [(flow[end], flow[f"{end}_column"]) for flow in flows for end in ("src", "dst")]
        used = {(number, name) for number, name in (*ends, *also) if name and number in known}
        for number, name in sorted(used):
            known[number].setdefault(name, None)
        return [
            {
                "node": self._graph.name(number), "total": len(names),
                "columns": [
                    {"name": name, "type": type_} for at, (name, type_) in enumerate(names.items())
                    if at < NAMED or (number, name) in used
                ],
            }
            for number, names in known.items() if names
        ]  # fmt: skip

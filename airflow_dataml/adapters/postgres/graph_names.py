"""The graph by name: assets and columns, which jobs join them, since when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.adapters.postgres.graph_walks import Steps, walk_from
from airflow_dataml.core.errors import AssetNotFoundError, SpecError
from airflow_dataml.core.lineage import Graph, Node

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.lineage import Direction

# A task known by its operator's edges and by its OpenLineage events is one job in the end, so names suffice.
_ASSETS = Steps(
    edges="""SELECT e.{far}::text AS far, 'asset:' || e.src AS src, 'asset:' || e.dst AS dst, j.name AS kind
             FROM dataml.asset_edge e JOIN dataml.job j USING (job_id)
             WHERE e.{near} = ANY (%s::bigint[]) AND (%s::timestamptz IS NULL OR e.first_at <= %s)
             ORDER BY e.last_at DESC, e.src, e.dst LIMIT %s""",
    near={"upstream": ("dst", "src"), "downstream": ("src", "dst")},
)
# Of a pair that was mapped anew only the newest mapping is shown, or those that had been seen by a time. A
# column that decides all of a dataset ends in its every column, written as an empty name.
_COLUMNS = Steps(
    edges="""SELECT {far} AS far, 'column:' || c.src || ':' || c.src_column AS src,
                    'column:' || c.dst || ':' || c.dst_column AS dst, c.kind
             FROM (SELECT split_part(k, ':', 1)::bigint AS asset, substr(k, strpos(k, ':') + 1) AS name
                   FROM unnest(%s::text[]) k) k
             JOIN dataml.column_edge c ON {near}
             JOIN dataml.asset_edge e ON (e.src, e.dst, e.job_id) = (c.src, c.dst, c.job_id)
             WHERE CASE WHEN %s::timestamptz IS NULL THEN c.last_at >= e.mapped_at ELSE c.first_at <= %s END
             ORDER BY c.dst, c.dst_column, c.src, c.src_column LIMIT %s""",
    near={
        "upstream": (
            "c.dst = k.asset AND (c.dst_column IN (k.name, '') OR k.name = '')",
            "c.src || ':' || c.src_column",
        ),
        "downstream": (
            "c.src = k.asset AND (c.src_column = k.name OR k.name = '')",
            "c.dst || ':' || c.dst_column",
        ),
    },
)
_UNSEEN = """
WITH RECURSIVE unseen (asset_id) AS (
  SELECT e.dst FROM dataml.asset_edge e JOIN dataml.asset a ON a.asset_id = e.src
  LEFT JOIN dataml.column_map m USING (column_map)
  WHERE a.name = ANY (%s) AND e.src <> e.dst AND coalesce(m.method, 'table') = 'table'
  UNION SELECT e.dst FROM dataml.asset_edge e JOIN unseen u ON e.src = u.asset_id
)
SELECT a.name FROM unseen JOIN dataml.asset a USING (asset_id) ORDER BY a.name
"""
_ASSET_LABELS = """
SELECT 'asset:' || a.asset_id AS node, a.name AS label, a.kind,
       jsonb_strip_nulls(jsonb_build_object('subtype', a.subtype, 'status', nullif(a.status, 'active'),
         'owner', a.owner, 'last_write', a.last_write, 'asset', a.name)) AS detail
FROM dataml.asset a WHERE a.asset_id = ANY (%s::bigint[])
"""


class NameGraph:
    """Walks over assets and columns, whatever their versions."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def find(self, name: str) -> int:
        """Return the asset of a name: its own, another one of its, or the end of one that nobody else has.

        :raises AssetNotFoundError: with the closest names.
        """
        rows = self._db.rows(
            """SELECT asset_id, place FROM (
                 SELECT coalesce(merged_into, asset_id) AS asset_id, 1 AS place FROM dataml.asset WHERE name = %s
                 UNION ALL SELECT asset_id, 2 FROM dataml.asset_alias WHERE name = %s
                 UNION ALL (SELECT asset_id, 3 FROM dataml.asset
                            WHERE right(name, length(%s) + 1) IN ('.' || %s, '/' || %s) LIMIT 20)) f
               GROUP BY asset_id, place ORDER BY place""",
            [name] * 5,
        )
        best = [row["asset_id"] for row in rows if row["place"] == rows[0]["place"]]
        if len(set(best)) > 1:
            meant = self._db.rows(
                "SELECT name FROM dataml.asset WHERE asset_id = ANY (%s) ORDER BY name LIMIT 10", [best]
            )
            msg = f"{name!r} is the end of several names: write one of {', '.join(row['name'] for row in meant)}."
            raise AssetNotFoundError(msg)
        if not best:
            known = self._db.rows("SELECT name FROM dataml.asset ORDER BY name LIMIT 1000")
            what = "asset"
            raise AssetNotFoundError.from_available(what, name, [row["name"] for row in known])
        return int(best[0])

    def version(self, ref: str) -> int | None:
        """Return the newest version of an asset of any name, or the one whose number is behind an @."""
        name, at, number = ref.rpartition("@")
        wanted = int(number) if at and number.isdigit() else None
        return self._db.scalar(  # type: ignore[no-any-return]  # an id or nothing
            """SELECT version_id FROM dataml.version WHERE asset_id = %s AND (%s::int IS NULL OR number = %s)
               ORDER BY created_at DESC, number DESC LIMIT 1""",
            [self.find(name if wanted is not None else ref), wanted, wanted],
        )

    def decisions(self, subject: str) -> list[dict[str, Any]]:
        """Return what the audit chain has about a version, oldest first."""
        return self._db.rows(
            "SELECT seq, at::text AS at, actor, action, detail FROM dataml.audit WHERE subject = %s ORDER BY seq",
            [subject],
        )

    def walk(
        self,
        name: str,
        *,
        direction: Direction,
        depth: int = 20,
        limit: int = 1000,
        at: datetime | None = None,
    ) -> Graph:
        """Return the assets that an asset is made from, or that are made from it.

        :param limit: assets at most; a larger graph comes back cut and says so.
        :param at: only what was known then.
        """
        start = self.find(name)
        depths, edges, cut = walk_from(
            self._db, _ASSETS, [str(start)], direction=direction, depth=depth, limit=limit, at=at
        )
        return Graph(f"asset:{start}", direction, self._assets(depths), edges, cut)

    def between(
        self, source: str, target: str, *, depth: int = 20, limit: int = 5000, at: datetime | None = None
    ) -> Graph:
        """Return the assets and edges on a way from one asset down to another."""
        start, end = self.find(source), self.find(target)
        kept: dict[str, Any] = {"depth": depth, "limit": limit, "at": at}
        down, below, cut_down = walk_from(self._db, _ASSETS, [str(start)], direction="downstream", **kept)
        up, above, cut_up = walk_from(self._db, _ASSETS, [str(end)], direction="upstream", **kept)
        way = {key: steps for key, steps in down.items() if key in up}
        ends = {f"asset:{key}" for key in way}
        edges = tuple(e for e in dict.fromkeys((*below, *above)) if e[0] in ends and e[1] in ends)
        return Graph(f"asset:{start}", "downstream", self._assets(way), edges, cut_down or cut_up)

    def columns(
        self,
        name: str,
        column: str,
        *,
        direction: Direction,
        depth: int = 20,
        limit: int = 1000,
        at: datetime | None = None,
    ) -> Graph:
        """Return the columns that a column is made from or decided by, or the other way round.

        :param limit: columns at most; a larger graph comes back cut and says so.
        :param at: every mapping seen by then; otherwise the newest of each pair of assets.
        """
        start = f"{self.find(name)}:{column}"
        depths, edges, cut = walk_from(
            self._db, _COLUMNS, [start], direction=direction, depth=depth, limit=limit, at=at
        )
        return Graph(f"column:{start}", direction, self._columns(depths), edges, cut)

    def made_from(self, asset: str, column: str) -> list[tuple[str, str]]:
        """Return the columns that are made from a column, with their assets; ``*`` where it decides which rows there are.

        :raises SpecError: there are more than can be told.
        """
        graph = self.columns(asset, column, direction="downstream", limit=5000)
        if graph.truncated:
            msg = (
                f"{asset}.{column} goes into more than 5000 columns: ask for one of those it goes into first."
            )
            raise SpecError(msg)
        return [(n.detail["asset"], n.detail["column"] or "*") for n in graph.nodes if n.node != graph.start]

    def made_unseen(self, assets: Sequence[str]) -> list[str]:
        """Return the assets that are made from some in a way of which no columns are known, and what is made of those."""
        return [row["name"] for row in self._db.rows(_UNSEEN, [list(assets)])]

    def _assets(self, depths: dict[str, int]) -> tuple[Node, ...]:
        rows = self._labels(depths)
        found = [Node(depth=depths[row["node"].partition(":")[2]], **row) for row in rows]
        return tuple(sorted(found, key=lambda n: (n.depth, n.label)))

    def _columns(self, depths: dict[str, int]) -> tuple[Node, ...]:
        names = {
            row["node"].partition(":")[2]: row["label"]
            for row in self._labels({key.partition(":")[0] for key in depths})
        }
        found = []
        for key, depth in depths.items():
            asset, _, column = key.partition(":")
            detail = {"asset": names[asset], "column": column}
            found.append(Node(f"column:{key}", f"{names[asset]}.{column or '*'}", "column", depth, detail))
        return tuple(sorted(found, key=lambda n: (n.depth, n.label)))

    def _labels(self, ids: Iterable[str]) -> Sequence[dict[str, Any]]:
        return self._db.rows(_ASSET_LABELS, [[int(one) for one in ids]])

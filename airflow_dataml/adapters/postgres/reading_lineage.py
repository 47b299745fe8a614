"""The graph as the page draws it: what is around a node, between two, and everything downstream.

Walks go level by level and are bounded in breadth, so that one hub neither fills the picture nor holds up
the ledger; a node says how many edges it has each way, so that a reader can go on from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.adapters.postgres import reading_lineage_sql as sql
from airflow_dataml.core.errors import NotFoundError, SpecError, VersionNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection

By = Literal["version", "asset"]
Way = Literal["upstream", "downstream", "both"]
# Neighbours of one node at most, of which the newest are taken, and edges of one picture.
FAN = 40
EDGES = 30_000
MOMENTS = 120
# What an impact counts at most; and whom it names.
REACHED = 10_000
NAMED = 200
_ENDS = {"upstream": ("dst", "src"), "downstream": ("src", "dst")}


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a walk goes.

    :param depth: steps from the start.
    :param limit: nodes in all.
    :param fan: neighbours of one node.
    :param at: only edges that were known then.
    """

    depth: int = 3
    limit: int = 250
    fan: int = FAN
    at: datetime | None = None


class LineageReading:
    """Pictures of the graph of versions, or of the one of assets by name.

    :param connection: the ledger's connection; the caller closes it.
    :param by: which of the two graphs.
    """

    def __init__(self, connection: Connection, by: By) -> None:
        self._db = connection
        self.by = by

    def around(self, node: str, *, way: Way, bounds: Bounds) -> dict[str, Any]:
        """Return what a node came from and went into, with the moments at which that became known."""
        start = self.number(node)
        depths, cut = self._reached(start, way, bounds)
        picture = self.picture(depths, at=bounds.at) | {"start": node, "truncated": cut}
        if bounds.at is None:
            return picture | {"moments": sampled(edge["at"] for edge in picture["edges"])}
        whole, _ = self._reached(start, way, Bounds(bounds.depth, bounds.limit, bounds.fan))
        return picture | {"moments": sampled(edge["at"] for edge in self._edges(list(whole), None))}

    def between(self, source: str, target: str, *, bounds: Bounds) -> dict[str, Any]:
        """Return every node on a way from one down to the other; no node where there is no way."""
        first, last = self.number(source), self.number(target)
        down, cut_down = self._walk(first, "downstream", bounds)
        up, cut_up = self._walk(last, "upstream", bounds)
        way = {n: depth for n, depth in down.items() if n in up}
        picture = self.picture(way, at=bounds.at)
        return picture | {
            "start": source, "truncated": cut_down or cut_up,
            "moments": sampled(edge["at"] for edge in picture["edges"]),
        }  # fmt: skip

    def impact(self, node: str, *, at: datetime | None = None) -> dict[str, Any]:
        """Return everything downstream of a node: how much of each kind, which models, whose it is."""
        bounds = Bounds(depth=1000, limit=REACHED, at=at)
        depths, cut = self._closure(self.number(node), bounds)
        ids = list(depths)
        counts = self._db.rows(sql.KINDS[self.by], [ids])
        models = self._db.rows(sql.MODELS[self.by], [ids, list(depths.values()), NAMED])
        owners = self._db.rows(sql.OWNERS[self.by], [ids, NAMED])
        return {
            "start": node, "by": self.by, "kinds": counts, "models": models, "owners": owners, "truncated": cut,
            "nodes": [self.name(n) for n in ids[: bounds.limit]],
        }  # fmt: skip

    def picture(self, depths: dict[int, int], *, at: datetime | None) -> dict[str, Any]:
        """Return nodes with their facts, and all edges between them."""
        numbers = list(depths)
        nodes = self.nodes(numbers, at=at)
        for node in nodes:
            node["depth"] = depths[self.number(node["node"])]
        known = {self.number(node["node"]) for node in nodes}
        edges = [
            edge | {"src": self.name(edge["src"]), "dst": self.name(edge["dst"])}
            for edge in self._edges(numbers, at)
            if edge["src"] in known and edge["dst"] in known
        ]
        nodes.sort(key=lambda node: (node["depth"], node["asset"], node["number"] or 0, node["node"]))
        return {"by": self.by, "nodes": nodes, "edges": edges}

    def nodes(self, numbers: Sequence[int], *, at: datetime | None = None) -> list[dict[str, Any]]:
        """Return the facts of nodes, and how many edges each has either way; those that are gone are left out."""
        if self.by == "asset":
            return self._db.rows(sql.ASSETS, [at, at, at, at, list(numbers)])
        above, below = [n for n in numbers if n > 0], [-n for n in numbers if n < 0]
        found = self._db.rows(sql.VERSIONS, [at, at, at, at, above]) if above else []
        return found + (self._db.rows(sql.REPORTS, [at, at, at, at, below]) if below else [])

    def number(self, node: str) -> int:
        """Return a node as the number it has in edges.

        :raises SpecError: it is no node of this graph.
        """
        kind, _, number = node.partition(":")
        signs = {"asset": {"asset": 1}, "version": {"version": 1, "report": -1}}[self.by]
        if kind not in signs or not number.isdecimal():
            wanted = " or ".join(f"{one}:17" for one in signs)
            msg = f"node {node!r} is not in the graph of {self.by}s: give {wanted}."
            raise SpecError(msg)
        return signs[kind] * int(number)

    def name(self, number: int) -> str:
        """Return a number of an edge's end as the node it is."""
        if self.by == "asset":
            return f"asset:{number}"
        return f"version:{number}" if number > 0 else f"report:{-number}"

    def version(self, asset_id: int, asset: str, wanted: str | None) -> str:
        """Return a version of an asset of any name: by number or alias, else what readers get, else its newest.

        :raises VersionNotFoundError: there is none.
        """
        number = int(wanted) if wanted and wanted.isdecimal() else None
        found = self._db.scalar(sql.VERSION, [asset_id, wanted, wanted, number, wanted])
        if found is None:
            missing = f"no version {wanted!r}" if wanted else "no version yet"
            msg = f"{asset!r} has {missing}: look at it in the graph of assets."
            raise VersionNotFoundError(msg)
        return f"version:{found}"

    def require(self, node: str) -> None:
        """Refuse a node that the ledger does not have.

        :raises NotFoundError: there is no such node.
        """
        number = self.number(node)
        if not self._db.scalar(
            sql.EXISTS["asset" if self.by == "asset" else "version" if number > 0 else "report"],
            [abs(number)],
        ):
            msg = f"node {node} is not in the ledger; it may have been removed since this address was made."
            raise NotFoundError(msg)

    def _reached(self, start: int, way: Way, bounds: Bounds) -> tuple[dict[int, int], bool]:
        """Return how far from the start nodes are: what it came from counts backwards."""
        if way != "both":
            depths, cut = self._walk(start, way, bounds)
            return {n: -d if way == "upstream" else d for n, d in depths.items()}, cut
        # What is above and what is below share the room, so that neither hides the other.
        up, cut_up = self._walk(
            start, "upstream", Bounds(bounds.depth, bounds.limit // 2, bounds.fan, bounds.at)
        )
        room = bounds.limit - len(up) + 1
        down, cut_down = self._walk(start, "downstream", Bounds(bounds.depth, room, bounds.fan, bounds.at))
        if cut_up and len(down) < bounds.limit // 2:
            room = bounds.limit - len(down) + 1
            up, cut_up = self._walk(start, "upstream", Bounds(bounds.depth, room, bounds.fan, bounds.at))
        return {**{n: -d for n, d in up.items()}, **{n: d for n, d in down.items() if d or n not in up}}, (
            cut_up or cut_down
        )

    def _walk(self, start: int, way: str, bounds: Bounds) -> tuple[dict[int, int], bool]:
        near, far = _ENDS[way]
        query = sql.STEP[self.by].format(near=near, far=far)
        depths, frontier, level, cut = {start: 0}, [start], 0, False
        while frontier and level < bounds.depth and not cut:
            level += 1
            most = bounds.limit * 4
            rows = self._db.rows(query, [frontier, bounds.at, bounds.at, bounds.fan + 1, most])
            cut = len(rows) == most
            frontier = []
            for row in rows:
                if row["place"] > bounds.fan:
                    cut = True
                elif row["far"] not in depths:
                    if len(depths) >= bounds.limit:
                        cut = True
                        break
                    depths[row["far"]] = level
                    frontier.append(row["far"])
        return depths, cut

    def _closure(self, start: int, bounds: Bounds) -> tuple[dict[int, int], bool]:
        query = sql.ALL[self.by]
        depths: dict[int, int] = {start: 0}
        frontier, level = [start], 0
        while frontier and len(depths) <= bounds.limit:
            level += 1
            rows = self._db.rows(query, [frontier, bounds.at, bounds.at, bounds.limit + 1])
            frontier = [row["far"] for row in rows if row["far"] not in depths]
            depths.update(dict.fromkeys(frontier, level))
        cut = len(depths) > bounds.limit
        del depths[start]
        return dict(list(depths.items())[: bounds.limit]), cut

    def _edges(self, numbers: list[int], at: datetime | None) -> list[dict[str, Any]]:
        return self._db.rows(sql.EDGES[self.by], [numbers, numbers, at, at, EDGES])


def sampled(moments: Iterable[datetime], most: int = MOMENTS) -> list[datetime]:
    """Return moments, each once and in order; of too many evenly spread ones, the first and the last among them."""
    ordered = sorted(set(moments))
    if len(ordered) <= most:
        return ordered
    last = len(ordered) - 1
    return [ordered[round(step * last / (most - 1))] for step in range(most)]

"""Breadth-first walks: one query per level, bounded in depth and breadth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_dataml.adapters.postgres.connection import Connection
    from airflow_dataml.core.lineage import Direction

# A node with more edges than this per node asked for is a hub whose neighbours nobody looks at one by one.
_EDGES_PER_NODE = 20


@dataclass(frozen=True, slots=True)
class Steps:
    """How one kind of graph is walked.

    :param edges: a query for the edges of one level, with ``{near}`` and ``{far}``, which takes the level's keys,
        a time twice, and how many edges at most; it returns ``far``, ``src``, ``dst`` and ``kind``.
    :param near: the two ends' expressions by direction: where the level is, and where the next one is.
    """

    edges: str
    near: Mapping[Direction, tuple[str, str]]


def walk_from(
    connection: Connection,
    steps: Steps,
    start: Sequence[str],
    *,
    direction: Direction,
    depth: int,
    limit: int,
    at: datetime | None = None,
) -> tuple[dict[str, int], tuple[tuple[str, str, str], ...], bool]:
    """Return depths by key, edges, and whether there is more than was asked for.

    :param at: only what was known then.
    """
    near, far = steps.near[direction]
    query = steps.edges.format(near=near, far=far)
    depths = dict.fromkeys(start, 0)
    edges: dict[tuple[str, str, str], None] = {}
    frontier, level, cut = list(start), 0, False
    most = limit * _EDGES_PER_NODE
    while frontier and level < depth and not cut:
        level += 1
        rows: list[dict[str, Any]] = connection.rows(query, [frontier, at, at, most + 1])
        frontier, cut = [], len(rows) > most
        for row in rows[:most]:
            if row["far"] not in depths:
                if len(depths) >= limit:
                    cut = True
                    continue
                depths[row["far"]] = level
                frontier.append(row["far"])
            edges[row["src"], row["dst"], row["kind"]] = None
    return depths, tuple(edges), cut or bool(frontier)

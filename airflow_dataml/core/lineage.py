"""The graph of versions: nodes, edges and walks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from airflow_dataml.core.column_lineage import ColumnMap

EdgeKind = Literal[
    "derived",
    "trained_on",
    "evaluated_on",
    "scored",
    "scored_by",
    "monitored",
    "reason",
    "warm_started",
    "taught",
    "weighted",
]
Direction = Literal["upstream", "downstream"]


@dataclass(frozen=True, slots=True)
class NodeId:
    """A node of the graph: a version or a report."""

    kind: Literal["version", "report"]
    id: int

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


def version_node(version_id: int) -> NodeId:
    """Node of a version."""
    return NodeId("version", version_id)


def report_node(report_id: int) -> NodeId:
    """Node of a report."""
    return NodeId("report", report_id)


@dataclass(frozen=True, slots=True)
class Edge:
    """``source`` went into ``target``: data flows along the arrow.

    :param columns: which columns went into which, where that is known.
    """

    source: NodeId
    target: NodeId
    kind: EdgeKind
    columns: ColumnMap | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node with what a reader wants to see of it."""

    node: str
    label: str
    kind: str
    depth: int
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Graph:
    """Nodes reached from a start, and the edges among them."""

    start: str
    direction: Direction
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str, str], ...]
    truncated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

"""The graph as the page draws it: around a node, between two, by columns, and what a change would reach.

A node is ``version:17``, ``report:3`` or, by name, ``asset:5``; a person's own words for it, an asset's name
and perhaps a version, are understood too. Every answer is bounded and says when there is more.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from airflow_dataml.adapters.postgres.reading_columns import ColumnReading
from airflow_dataml.adapters.postgres.reading_lineage import FAN, Bounds, LineageReading
from airflow_dataml.api import models_lineage as models
from airflow_dataml.api.ledger import Ledger  # noqa: TC001 - FastAPI resolves annotations while running
from airflow_dataml.core.errors import SpecError

if TYPE_CHECKING:
    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

router = APIRouter()
By = Literal["version", "asset"]
Way = Literal["upstream", "downstream", "both"]
Name = Annotated[str | None, Query(max_length=2000)]
Word = Annotated[str | None, Query(max_length=48)]
At = Annotated[datetime | None, Query(description="only what was known then")]
Nodes = Annotated[str, Query(max_length=48_000, description="nodes with commas between them")]


def _bounds(
    depth: Annotated[int, Query(ge=1, le=50)] = 3,
    limit: Annotated[int, Query(ge=2, le=5000, description="nodes at most")] = 250,
    fan: Annotated[int, Query(ge=1, le=1000, description="neighbours of one node at most")] = FAN,
    at: At = None,
) -> Bounds:
    return Bounds(depth, limit, fan, at)


Bounded = Annotated[Bounds, Depends(_bounds)]


@router.get("/graph", response_model=models.LineageGraph)
def around(
    *,
    ledger: Ledger,
    bounds: Bounded,
    asset: Name = None,
    version: Word = None,
    node: Word = None,
    by: By = "version",
    direction: Way = "both",
) -> dict[str, Any]:
    """Return what is around a node: what it came from, what it went into."""
    reading = LineageReading(ledger.connection, by)
    return reading.around(_node(ledger, reading, asset, version, node), way=direction, bounds=bounds)


@router.get("/graph/path", response_model=models.LineageGraph)
def path(
    *,
    ledger: Ledger,
    bounds: Bounded,
    source: Word = None,
    target: Word = None,
    source_asset: Name = None,
    target_asset: Name = None,
    by: By = "version",
) -> dict[str, Any]:
    """Return every node on a way from one node down to another; none where there is no way."""
    reading = LineageReading(ledger.connection, by)
    first = _node(ledger, reading, source_asset, None, source, "source")
    last = _node(ledger, reading, target_asset, None, target, "target")
    return reading.between(first, last, bounds=bounds)


@router.get("/graph/impact", response_model=models.Impact)
def impact(
    *,
    ledger: Ledger,
    asset: Name = None,
    version: Word = None,
    node: Word = None,
    by: By = "version",
    at: At = None,
) -> dict[str, Any]:
    """Return everything downstream: how much of each kind, which models, and whose it is."""
    reading = LineageReading(ledger.connection, by)
    return reading.impact(_node(ledger, reading, asset, version, node), at=at)


@router.get("/graph/columns", response_model=models.ColumnGraph)
def columns(*, ledger: Ledger, bounds: Bounded, nodes: Nodes, by: By = "version") -> dict[str, Any]:
    """Return the columns of nodes that are shown, and what flows between them."""
    asked = [node for node in nodes.split(",") if node]
    return ColumnReading(ledger.connection, by).between(asked, bounds=bounds)


@router.get("/graph/column", response_model=models.ColumnTrace)
def column(
    *,
    ledger: Ledger,
    bounds: Bounded,
    column: Annotated[str, Query(max_length=2000)],
    asset: Name = None,
    version: Word = None,
    node: Word = None,
    by: By = "version",
    direction: Way = "both",
) -> dict[str, Any]:
    """Return what one column was made from and decided by, and what it went into."""
    reading = LineageReading(ledger.connection, by)
    start = _node(ledger, reading, asset, version, node)
    return ColumnReading(ledger.connection, by).trace(start, column, way=direction, bounds=bounds)


def _node(
    ledger: PostgresLedger,
    reading: LineageReading,
    asset: str | None,
    version: str | None,
    node: str | None,
    what: str = "node",
) -> str:
    """Return the node that was asked for, by its own name or by an asset's."""
    if node:
        reading.require(node)
        return node
    if not asset:
        msg = f"no {what} was given to draw the graph around: name an asset, or a node such as version:17."
        raise SpecError(msg)
    entry = ledger.assets.get(asset)
    if reading.by == "asset":
        return f"asset:{entry['asset_id']}"
    return reading.version(entry["asset_id"], str(entry["name"]), version)

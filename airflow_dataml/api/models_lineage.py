"""What the API answers of the graph and of the delivery of events, as types."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic resolves annotations while running
from typing import Literal

from pydantic import Field

from airflow_dataml.api.models import Answer

By = Literal["version", "asset"]


class LineageNode(Answer):
    """A version, a report, or an asset by name.

    :param depth: steps from the start; below zero what it came from.
    :param number: of the version; of an asset, of its newest one.
    :param at: when it was made, of an asset when it was last written.
    :param verdict: of its newest checks, evaluation or monitoring.
    :param stale: whether its asset's promise of freshness is broken; ``None`` where it promised nothing.
    :param incidents: open ones of its asset.
    :param ups: nodes it has above, 100 at most.
    :param downs: nodes it has below, 100 at most.
    """

    node: str
    asset: str
    kind: str
    title: str | None = None
    subtype: str | None = None
    status: str = "active"
    owner: str | None = None
    source: str = "declared"
    number: int | None = None
    aliases: list[str] = Field(default_factory=list)
    origin: str | None = None
    rows: int | None = None
    partition_key: str | None = None
    at: datetime | None = None
    last_write: datetime | None = None
    freshness_s: int | None = None
    stale: bool | None = None
    verdict: str | None = None
    incidents: int = 0
    dag_id: str | None = None
    run_id: str | None = None
    task_id: str | None = None
    map_index: int | None = None
    job: str | None = None
    depth: int = 0
    ups: int = 0
    downs: int = 0


class LineageEdge(Answer):
    """``src`` went into ``dst``.

    :param at: when it was first known.
    :param jobs: who did it; of many the first.
    :param mapped: whether it is known by columns.
    """

    src: str
    dst: str
    kind: str
    at: datetime
    last_at: datetime | None = None
    runs: int | None = None
    jobs: list[str] = Field(default_factory=list)
    mapped: bool = False


class LineageGraph(Answer):
    """A picture of the graph.

    :param moments: when something in it became known, for going back in time; of many, evenly spread ones.
    :param truncated: there is more than was asked for.
    """

    by: By
    start: str
    nodes: list[LineageNode]
    edges: list[LineageEdge]
    moments: list[datetime] = Field(default_factory=list)
    truncated: bool = False


class NodeColumn(Answer):
    """A column of a node; its type where the schema is known."""

    name: str
    type: str | None = None


class NodeColumns(Answer):
    """The columns of a node, of many the first and those that something flows through."""

    node: str
    total: int
    columns: list[NodeColumn]


class ColumnFlow(Answer):
    """A column went into another, or decides it; an empty ``dst_column`` stands for every one.

    :param kind: ``direct``, its values are in it; ``indirect``, it filters, joins, groups or sorts.
    :param method: how this is known: declared, analyzer, sqlglot, facet or table.
    """

    src: str
    src_column: str
    dst: str
    dst_column: str
    kind: Literal["direct", "indirect"]
    via: str | None = None
    method: str
    confidence: float
    at: datetime


class ColumnGraph(Answer):
    """Columns of some nodes and what flows between them."""

    by: By
    columns: list[NodeColumns]
    flows: list[ColumnFlow]
    truncated: bool = False


class ColumnTrace(LineageGraph):
    """Where one column came from and went to, with the nodes on the way."""

    columns: list[NodeColumns]
    flows: list[ColumnFlow]


class KindCount(Answer):
    """How much of one kind; versions only where the graph of versions was asked."""

    kind: str
    assets: int
    versions: int | None = None


class ImpactModel(Answer):
    """A model that something upstream of it reaches.

    :param number: its newest version that is reached.
    :param steps: edges between, at least.
    """

    name: str
    owner: str | None = None
    steps: int
    versions: int
    number: int | None = None


class ImpactOwner(Answer):
    """Somebody to tell, and for how many assets."""

    owner: str
    assets: int


class Impact(Answer):
    """Everything downstream of a node.

    :param nodes: what is reached, nearest first; of very many the first.
    """

    by: By
    start: str
    kinds: list[KindCount]
    models: list[ImpactModel]
    owners: list[ImpactOwner]
    nodes: list[str]
    truncated: bool = False


class Projection(Answer):
    """How far the graph is behind the events that came.

    :param lag_s: age of the oldest event that is not in the graph, seconds.
    """

    waiting: int
    oldest_waiting: datetime | None = None
    lag_s: float | None = None
    newest_event: datetime | None = None


class Spool(Answer):
    """Events on the API server's own disk; every other host has a spool of its own.

    :param ledger_missed: whether a process of this host could not reach the ledger a moment ago.
    """

    folder: str
    waiting: int
    refused: int
    ledger_missed: bool


class PulseBar(Answer):
    """What became of a number of consecutive events at one backend.

    :param took_s: the longest from being kept to being delivered, seconds.
    """

    since: datetime
    until: datetime
    events: int
    delivered: int
    pending: int
    dead: int
    took_s: float | None = None


class BackendPulse(Answer):
    """The newest events of a backend as bars, oldest first."""

    name: str
    bars: list[PulseBar]


class Pulse(Answer):
    """How events come through just now."""

    projection: Projection
    spool: Spool
    backends: list[BackendPulse]


class RefusedEvent(Answer):
    """An event the graph could not take, and why; backends get it all the same."""

    event_id: int
    source: str
    event_type: str | None = None
    event_time: datetime
    received_at: datetime
    error: str | None = None
    job_namespace: str | None = None
    job_name: str | None = None

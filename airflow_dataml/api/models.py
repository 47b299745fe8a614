"""What the API answers, as types: the catalog, reports, incidents, the audit chain and lineage.

The page's TypeScript is made from these, so a field that is not here is not seen by it. What only some
assets have is ``None`` for the others, never absent.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic resolves annotations while running
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.alarm_record import ReasonCode  # noqa: TC001 - pydantic resolves annotations while running


class Answer(BaseModel):
    """Base of everything the API answers; what the ledger knows besides stays there."""

    model_config = ConfigDict(
        extra="ignore", populate_by_name=True, json_schema_serialization_defaults_required=True
    )


class Ask(BaseModel):
    """Base of everything a person asks the API to change; what it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True)


Item = TypeVar("Item")


class Page(Answer, Generic[Item]):
    """One page of a list; hand ``next`` back as ``after`` or ``before``, ``None`` says that nothing follows."""

    items: list[Item]
    next: int | str | None


class Problem(Answer):
    """Why there is no answer, in words."""

    detail: str


class AssetRow(Answer):
    """One line of the catalog.

    :param stale: whether its promise of freshness is broken; ``None`` where it promised nothing.
    :param freshness_s: the promise: seconds between two writes.
    :param verdict: of its newest checks; ``None`` where it was never checked.
    :param producers: tasks and other jobs that write it.
    :param models: models that depend on it.
    """

    name: str
    kind: str
    subtype: str | None = None
    status: Literal["active", "missing", "deleted"] = "active"
    owner: str | None = None
    description: str | None = None
    importance: str | None = None
    domain: str | None = None
    asset_group: str | None = None
    tags: list[str] = []
    terms: list[str] = []
    source: str = "declared"
    version: int | None = None
    rows: int | None = None
    verdict: str | None = None
    incidents: int = 0
    last_write: datetime | None = None
    freshness_s: int | None = None
    stale: bool | None = None
    producers: list[str] = []
    consumers: list[str] = []
    models: list[str] = []


class Found(Page[AssetRow]):
    """A page of the catalog.

    :param mended: what was looked for instead of words that nothing is called, by the word typed.
    :param capped: more was found than is ranked; another word narrows it down.
    """

    mended: dict[str, list[str]] = {}
    capped: bool = False


class Words(Answer):
    """Words of the catalog that begin as what was typed."""

    words: list[str]


class ColumnDoc(Answer):
    """A column and what people say of it."""

    name: str
    type: str
    description: str | None = None
    tags: list[str] = []
    terms: list[str] = []


class OtherName(Answer):
    """What an asset is called elsewhere."""

    namespace: str
    name: str


class Neighbour(Answer):
    """An asset that is made from this one, or this one from it, and by which jobs."""

    asset: str
    kind: str
    owner: str | None = None
    jobs: list[str]
    runs: int
    last_at: datetime


class AliasRow(Answer):
    """An alias, where it stands and since when."""

    name: str
    version: int
    moved_at: datetime


class ContractStanding(Answer):
    """The last verification of a dataset."""

    report_id: int
    verdict: str
    created_at: datetime
    engine: str | None = None
    engine_version: str | None = None
    digest: str | None = None
    checks: int = 0


class IncidentRow(Answer):
    """Something that went wrong, and whether somebody mended it."""

    incident_id: int
    asset: str
    kind: str
    severity: str
    state: Literal["new", "acknowledged", "assigned", "resolved"]
    title: str
    report_id: int
    suspects: list[Any] = []
    opened_at: datetime
    resolved_at: datetime | None = None
    resolution: str | None = None
    assignee: str | None = None


class Asset(AssetRow):
    """One catalog entry with everything that stands with it.

    :param bytes: of all its versions' rows together.
    :param quarantined: rows that are set aside now.
    """

    uri: str
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    written_at: datetime | None = None
    versions: int = 0
    documentation: str | None = None
    columns: list[ColumnDoc] = []
    names: list[OtherName] = []
    location: dict[str, Any] = {}
    aliases: list[AliasRow] = []
    open_incidents: list[IncidentRow] = []
    bytes: int = 0
    quarantined: int = 0
    contract: ContractStanding | None = None


class WorstCheck(Answer):
    """A check that did not pass, as a report's card shows it."""

    name: str
    verdict: str
    column: str | None = None
    observed: Any = None
    threshold: str | None = None
    unit: str | None = None
    detail: str | None = None


class ReportRow(Answer):
    """A report without its body."""

    report_id: int
    asset: str
    kind: str
    verdict: str
    created_at: datetime
    version: int | None = None
    part_id: int | None = None
    summary: Any = None
    action: str | None = None
    reasons: Any = None
    worst: list[WorstCheck] = []


class Report(Answer):
    """A report with its body, whose form depends on its kind."""

    report_id: int
    asset: str
    kind: str
    verdict: str
    created_at: datetime
    version_id: int | None = None
    part_id: int | None = None
    body: dict[str, Any]


class GraphNode(Answer):
    """A version or a report of the graph."""

    node: str
    label: str
    kind: str
    depth: int
    detail: dict[str, Any] = {}


class Graph(Answer):
    """What a walk reached; an edge is ``[from, to, kind]``."""

    start: str
    direction: Literal["upstream", "downstream"]
    nodes: list[GraphNode]
    edges: list[tuple[str, str, str]]
    truncated: bool = False


class AuditEntry(Answer):
    """One link of the audit chain."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Any = None
    hash: str


class AuditPage(Page[AuditEntry]):
    """Audit entries; with ``verify`` how many the chain has, and its first fault."""

    entries: int | None = Field(default=None, description="asked for with verify")
    fault: str | None = None


class Move(Ask):
    """Where an incident shall go, and why.

    :param words: what was found or done; a resolution needs some.
    :param assignee: whom it is given to.
    :param reason: of a resolution, what the alarm turned out to be.
    """

    state: Literal["acknowledged", "assigned", "resolved"]
    reason: ReasonCode | None = None
    words: str = Field(default="", max_length=2000)
    assignee: str | None = Field(default=None, max_length=200)


class Backend(Answer):
    """Where lineage events go besides, and how far behind it is.

    :param lag_s: age of the oldest event it does not have, seconds.
    """

    name: str
    kind: str
    target: str
    state: str
    failures: int = 0
    retry_at: datetime | None = None
    last_error: str | None = None
    last_delivered_at: datetime | None = None
    pending: int = 0
    oldest_pending: datetime | None = None
    lag_s: float | None = None
    dead: int = 0


class Delivery(Answer):
    """Every backend, and what the ledger itself has not settled yet.

    :param unprojected: events that are not in the graph yet.
    :param refused: events the graph refused, with the reason kept.
    :param unfanned: events no backend was told of yet.
    """

    backends: list[Backend]
    unprojected: int
    refused: int
    unfanned: int


class DeadLetter(Answer):
    """An event a backend did not take, and why."""

    backend: str
    event_id: int
    attempts: int
    last_error: str | None = None
    event_type: str | None = None
    event_time: datetime
    ordering_key: str
    job_namespace: str | None = None
    job_name: str | None = None


class Replay(Ask):
    """Which dead letters shall be sent again: one, or all of the backend."""

    event_id: int | None = Field(default=None, ge=1)


class Replayed(Answer):
    """How many dead letters wait to be sent again."""

    replayed: int

"""What the API answers about incidents and the audit chain, as types."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic resolves annotations while running
from typing import Any

from pydantic import Field

from airflow_dataml.api.models import Answer, AuditEntry, IncidentRow, Page, WorstCheck
from airflow_dataml.api.models_model import Followed, WindowFacts, Writer


class Evidence(Writer):
    """The report an incident was opened with.

    :param checks: how many checks it holds; ``worst`` are those that did not pass, the worst first.
    :param window: of a monitor report, what moved.
    """

    report_id: int
    kind: str
    verdict: str
    created_at: datetime
    version: int | None = None
    summary: str | None = None
    partition_key: str | None = None
    rows: int | None = None
    checks: int = 0
    worst: list[WorstCheck] = Field(default_factory=list)
    window: WindowFacts | None = None


class LinkedVersion(Answer):
    """A version an incident has to do with, and how."""

    asset: str
    version: int
    role: str
    created_at: datetime


class UpstreamVersion(Writer):
    """A version that what went wrong was made from, so many steps away."""

    asset: str
    version: int
    depth: int
    created_at: datetime


class Event(Answer):
    """One moment of an incident."""

    at: datetime
    what: str
    who: str | None = None
    words: str | None = None
    verdict: str | None = None
    report: int | None = None


class Incident(IncidentRow):
    """One incident with its evidence, what it may come from, and what was done about it.

    :param blame: the newest report that ranks what may have caused it.
    :param decision: what was decided on the report that opened it.
    """

    asset_kind: str
    partition_key: str | None = None
    evidence: Evidence
    linked: list[LinkedVersion]
    upstream: list[UpstreamVersion]
    blame: int | None = None
    decision: Followed | None = None
    timeline: list[Event]


class AuditPage(Page[AuditEntry]):
    """Audit entries; with ``verify`` how many the chain has, and its first fault.

    :param actions: every action the chain holds, where the first page was asked for.
    """

    actions: list[str] | None = None
    entries: int | None = Field(default=None, description="asked for with verify")
    fault: str | None = None


class Line(Answer):
    """One line of the export."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: Any
    prev_hash: str
    hash: str


class ApprovalAnswer(Answer):
    """What one person answered."""

    voter: str
    approves: bool
    voted_at: datetime
    comment: str = ""


class Released(Answer):
    """One asset of what is to be released.

    :param version: what readers are to see; of a staged batch there is none yet.
    :param left: what they saw when it was asked.
    """

    asset: str
    kind: str
    version: str | None = None
    left: str | None = None


class ApprovalRow(Answer):
    """Who was asked to approve what, what they answered, and how it stands.

    :param state: ``waiting``, ``approved``, ``rejected``, ``expired``, ``void``, or ``tampered with``.
    """

    entry: int
    state: str
    release_hash: str
    releases: list[Released]
    required: int
    approvers: list[str]
    requesters: list[str]
    asked_by: str
    requested_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    votes: list[ApprovalAnswer]
    reasons: list[str]

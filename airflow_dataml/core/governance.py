"""Evidence and decisions: reports, audit entries, incidents."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from datetime import datetime

ReportKind = Literal[
    "check",
    "profile",
    "evaluation",
    "monitor",
    "decision",
    "training",
    "tuning",
    "diff",
    "overdue",
    "explanation",
    "card",
    "reproduction",
    "registry-drift",
    "approval",
    "scoring",
    "impact",
    "reach",
    "transform",
    "blame",
    "reported",
]
IncidentKind = Literal["data", "drift", "decay"]


@dataclass(frozen=True, slots=True)
class Report:
    """Immutable evidence: what was looked at, what was found, what it means."""

    report_id: int
    asset: str
    kind: str
    verdict: str
    body: dict[str, Any]
    created_at: datetime
    version_id: int | None = None
    part_id: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"created_at": self.created_at.isoformat()}


@dataclass(frozen=True, slots=True)
class Incident:
    """An opened problem with state, severity and what opened it."""

    incident_id: int
    asset: str
    kind: str
    severity: str
    state: str
    title: str
    report_id: int
    opened_at: datetime
    partition_key: str | None = None
    resolved_at: datetime | None = None
    resolution: str | None = None
    suspects: list[Any] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        data = asdict(self)
        data["opened_at"] = self.opened_at.isoformat()
        data["resolved_at"] = self.resolved_at.isoformat() if self.resolved_at else None
        return data


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One step of the audit chain.

    :param intact: whether its content is what was hashed when it was written.
    """

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]
    intact: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided and why; written as a report of kind ``decision``."""

    action: str
    reasons: tuple[str, ...]
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {"action": self.action, "reasons": list(self.reasons), "facts": self.facts}

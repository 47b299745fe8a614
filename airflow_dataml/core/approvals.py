"""Approvals: who must agree to a release, what they answered, and what that comes to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.release import Release

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.governance import AuditEntry

ANYONE = "anyone"
#: What the audit chain calls the steps of an approval.
REQUESTED, VOTED, REFUSED_VOTE, ENDED = "request approval", "vote", "refuse vote", "end approval"
#: How an approval ends whose content changed while it was waited for.
VOIDED = "void"
_WEEK = 7 * 24 * 3600.0


class ApprovalPolicy(BaseModel):
    """Who must agree before something is released.

    :param required: how many different people must approve.
    :param approvers: user ids, as Airflow's auth manager has them (with the simple one, names); or ``anyone`` whom
        Airflow lets answer. Airflow takes no answer from anybody else.
    :param requester_may_approve: whether who triggered the run, or made a version it releases, counts.
    :param rejections: how many people must reject for it to be over.
    :param expires_after: seconds from the request; nothing is answered, and nothing released, after them.
    :param on_expiry: ``reject`` skips what comes after the task, ``fail`` fails it. Nothing is ever approved by
        waiting.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    required: int = Field(1, ge=1)
    approvers: tuple[str, ...] = Field((ANYONE,), min_length=1)
    requester_may_approve: bool = False
    rejections: int = Field(1, ge=1)
    expires_after: float = Field(_WEEK, gt=0)
    on_expiry: Literal["reject", "fail"] = "reject"

    @model_validator(mode="after")
    def _attainable(self) -> Self:
        if self.named is not None and self.required > len(set(self.named)):
            msg = (
                f"{self.required} approvals are required and only {len(set(self.named))} people may approve."
            )
            raise ValueError(msg)
        return self

    @property
    def named(self) -> tuple[str, ...] | None:
        """The approvers by name; ``None`` where anyone is."""
        return None if ANYONE in self.approvers else self.approvers

    def eligible(self, requesters: Iterable[str]) -> tuple[str, ...] | None:
        """The named approvers without those who asked; ``None`` where anyone is.

        :raises PolicyError: too few are left.

        >>> ApprovalPolicy(approvers=("ann", "bob")).eligible(["bob"])
        ('ann',)
        """
        if self.named is None:
            return None
        asked = set() if self.requester_may_approve else {name.casefold() for name in requesters}
        left = tuple(name for name in dict.fromkeys(self.named) if name.casefold() not in asked)
        if len(left) < self.required:
            msg = f"{self.required} approvals are required, {', '.join(sorted(asked))} asked and may not approve, and that leaves {list(left)}: name more approvers."
            raise PolicyError(msg)
        return left


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """What is to be released, and who asked whom.

    :param key: which task asked, and the how manieth time.
    :param requesters: names of those who asked.
    """

    key: str
    release: Release
    policy: ApprovalPolicy
    requesters: tuple[str, ...]
    requested_at: datetime

    @property
    def release_hash(self) -> str:
        """What an answer is bound to."""
        return self.release.release_hash

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {
            "key": self.key,
            "release": self.release.to_dict(),
            "policy": self.policy.model_dump(mode="json"),
            "requesters": list(self.requesters),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], requested_at: datetime) -> Self:
        """Read what ``to_dict`` wrote; the hash is computed anew."""
        return cls(
            key=data["key"],
            release=Release.from_dict(data["release"]),
            policy=ApprovalPolicy.model_validate(data["policy"]),
            requesters=tuple(data["requesters"]),
            requested_at=requested_at,
        )


@dataclass(frozen=True, slots=True)
class ApprovalVote:
    """What one person answered in Airflow.

    :param release_hash: what the answer is bound to.
    :param ti_id: task instance whose request was answered, which is where Airflow keeps the answer.
    """

    voter_id: str
    voter: str
    approves: bool
    voted_at: datetime
    release_hash: str
    ti_id: str
    comment: str = ""

    @property
    def names(self) -> frozenset[str]:
        """What Airflow calls the voter."""
        return frozenset((self.voter_id, self.voter))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self) | {"voted_at": self.voted_at.isoformat()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what ``to_dict`` wrote."""
        known = {name: data[name] for name in cls.__slots__ if name in data}
        return cls(**known | {"voted_at": datetime.fromisoformat(data["voted_at"])})


@dataclass(frozen=True, slots=True)
class Approval:
    """A request with its answers.

    :param asked_by: the task that asked, as the audit chain names it; answers come from no other.
    :param ended: what it came to, once it is over.
    """

    request: ApprovalRequest
    asked_by: str
    votes: tuple[ApprovalVote, ...] = ()
    ended: str | None = None
    reasons: tuple[str, ...] = field(default=())
    ended_at: datetime | None = None

    @property
    def expires_at(self) -> datetime:
        """When nothing is answered any more, by the policy it was asked with."""
        return self.request.requested_at + timedelta(seconds=self.request.policy.expires_after)

    def standing(self, *, now: datetime) -> str:
        """How it stands, in a word or two."""
        if self.ended is None:
            return "waiting" if self.expires_at > now else "over, unanswered"
        words = {"approve": "approved", "reject": "rejected", "expire": "expired", VOIDED: "void"}
        return words.get(self.ended, self.ended)

    def decide(self, *, now: datetime) -> Decision:
        """Return what it comes to, by the policy it was asked with."""
        return tally(request=self.request, votes=self.votes, policy=self.request.policy, now=now)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return self.request.to_dict() | {
            "release_hash": self.request.release_hash,
            "asked_by": self.asked_by,
            "requested_at": self.request.requested_at.isoformat(),
            "expires_at": self.expires_at.isoformat(),
            "votes": [vote.to_dict() for vote in self.votes],
            "ended": self.ended,
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "reasons": list(self.reasons),
        }


def tally(
    *,
    request: ApprovalRequest,
    votes: Sequence[ApprovalVote],
    policy: ApprovalPolicy,
    now: datetime,
    requesters: Iterable[str] = (),
) -> Decision:
    """Count votes: ``approve``, ``reject``, ``expire`` or ``wait``, and why.

    Of each person the last answer counts. An answer to other content, one that came too late, one of
    somebody who is not asked, and an approval of who asked for it count for nothing.

    :param policy: what is gone by, which need not be what was asked with.
    :param requesters: people who asked, besides those of the request.

    >>> from airflow_dataml.core.release import ReleaseEntry
    >>> release = Release.of([ReleaseEntry("demand", "model", "abc", "demand@2", "demand@1")])
    >>> asked = ApprovalRequest("t", release, ApprovalPolicy(), ("ann",), datetime(2026, 1, 1, tzinfo=UTC))
    >>> at = datetime(2026, 1, 2, tzinfo=UTC)
    >>> vote = ApprovalVote("bob", "bob", True, at, release.release_hash, "ti")
    >>> tally(request=asked, votes=[vote], policy=asked.policy, now=at).reasons
    ('approved by bob, 1 of 1',)
    """
    ends = request.requested_at + timedelta(seconds=policy.expires_after)
    asked = {name.casefold() for name in (*request.requesters, *requesters)}
    counted: dict[str, ApprovalVote] = {}
    ignored: list[dict[str, str]] = []
    for vote in sorted(votes, key=lambda one: one.voted_at):
        if why := _void(vote, request, policy, ends, asked):
            ignored.append({"voter": vote.voter, "why": why})
        else:
            counted[vote.voter_id] = vote
    approved = sorted(vote.voter for vote in counted.values() if vote.approves)
    rejected = sorted(vote.voter for vote in counted.values() if not vote.approves)
    said = {"approved_by": approved, "rejected_by": rejected, "not_counted": ignored}
    action, reason = _verdict(policy, approved, rejected, expired=now > ends, ends=ends)
    because = [f"{one['voter']} does not count: {one['why']}" for one in ignored]
    return Decision(action, (reason, *because), said | {"expires_at": ends.isoformat()})


def _void(
    vote: ApprovalVote, request: ApprovalRequest, policy: ApprovalPolicy, ends: datetime, asked: set[str]
) -> str | None:
    if vote.release_hash != request.release_hash:
        return f"answered about {vote.release_hash} and this is {request.release_hash}"
    if vote.voted_at > ends:
        return f"answered at {vote.voted_at:%Y-%m-%d %H:%M:%S}, after the end"
    if policy.named is not None and not vote.names & set(policy.named):
        return "is none of the approvers"
    if vote.approves and not policy.requester_may_approve and asked & {one.casefold() for one in vote.names}:
        return "asked for it"
    return None


def _verdict(
    policy: ApprovalPolicy, approved: list[str], rejected: list[str], *, expired: bool, ends: datetime
) -> tuple[str, str]:
    share = f"{len(approved)} of {policy.required}"
    if len(rejected) >= policy.rejections:
        return "reject", f"rejected by {', '.join(rejected)}"
    if expired:
        return "expire", f"over since {ends:%Y-%m-%d %H:%M:%S} UTC, with {share} approvals"
    if len(approved) >= policy.required:
        return "approve", f"approved by {', '.join(approved)}, {share}"
    return "wait", f"{share} approvals"


def approvals_in(entries: Iterable[AuditEntry]) -> tuple[Approval, ...]:
    """Read the approvals of one release from its audit entries, oldest first.

    An answer that another task wrote than the one that asked is none.
    """
    found: dict[str, Approval] = {}
    for entry in entries:
        detail = entry.detail
        key = str(detail.get("key") or detail.get("request"))
        if entry.action == REQUESTED:
            found.pop(key, None)
            found[key] = Approval(ApprovalRequest.from_dict(detail, entry.at), entry.actor)
        elif key in found and found[key].asked_by == entry.actor:
            found[key] = _after(found[key], entry)
    return tuple(found.values())


def _after(approval: Approval, entry: AuditEntry) -> Approval:
    ended, reasons, ended_at, votes = approval.ended, approval.reasons, approval.ended_at, approval.votes
    if entry.action == VOTED:
        votes = (*votes, ApprovalVote.from_dict(entry.detail))
    elif entry.action == ENDED:
        ended, reasons, ended_at = entry.detail["action"], tuple(entry.detail["reasons"]), entry.at
    return Approval(approval.request, approval.asked_by, votes, ended, reasons, ended_at)


def subject_of(release_hash: str) -> str:
    """What the audit chain calls a release."""
    return f"release {release_hash}"


def now_utc() -> datetime:
    """The time, as votes are dated."""
    return datetime.now(UTC)

"""Approve: ask people about a release, keep what they answer, and hold releases to it.

The audit chain is where an approval lives: the request, every answer and the end are entries of it, bound to the
release's hash, and nothing else says that something is approved.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.approvals import (
    ENDED,
    REFUSED_VOTE,
    REQUESTED,
    VOIDED,
    VOTED,
    Approval,
    ApprovalRequest,
    approvals_in,
    now_utc,
    subject_of,
)
from airflow_dataml.core.errors import ApprovalDeniedError, StaleVersionError
from airflow_dataml.core.governance import Decision
from airflow_dataml.core.quality import Verdict
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.approved import requesters_of, require_intact

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_dataml.core.approvals import ApprovalPolicy, ApprovalVote
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.release import Release, ReleaseEntry
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
#: What the audit chain calls the end of an approval at each version it was about.
_ENDS = {"approve": "approve", "reject": "refuse approval", "expire": "let approval expire"}


@dataclass(frozen=True, slots=True)
class Asking:
    """Where an approval stands.

    :param reports: ids of the reports on it, by asset; none while it is waited for.
    """

    approval: Approval
    decision: Decision
    reports: dict[str, int]

    @property
    def over(self) -> bool:
        """Whether no answer is waited for."""
        return self.decision.action != "wait"

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, small enough for XCom."""
        said = {"action": self.decision.action, "reasons": list(self.decision.reasons)}
        return said | {"release_hash": self.approval.request.release_hash, "reports": self.reports}


def request_approval(
    *,
    ledger: Ledger,
    identity: RunIdentity,
    release: Release,
    policy: ApprovalPolicy,
    now: datetime | None = None,
) -> Asking:
    """Ask for the approval of a release; a retry finds its request with the answers it has.

    What was rejected or approved in this task stays so; what expired, or was asked by another policy, is asked
    for anew.

    :raises PolicyError: those who asked may not approve, and too few others are named.
    """
    requesters = requesters_of(ledger=ledger, release=release, triggered_by=identity.triggered_by)
    policy.eligible(requesters)
    run = _begin(ledger, identity, release)
    with ledger.transaction():
        _lock(ledger, release)
        found = _of_run(ledger, run, release.release_hash)
        if _says_nothing(ledger, run, found, release, policy):
            _void(ledger, run, found, "it is asked for by another policy")
            run, found = ledger.runs.renew(run), None
        if found is None:
            _ask(ledger, run, release, policy, requesters)
            found = _asked(ledger, run, release.release_hash)
        return _settled(ledger, run, found, now or now_utc())


def record_vote(
    *,
    ledger: Ledger,
    identity: RunIdentity,
    release: Release,
    vote: ApprovalVote,
    now: datetime | None = None,
) -> Asking:
    """Keep what somebody answered, and return what it comes to; the same answer twice is one.

    Only a person's answer is a vote: whoever calls this hands over what Airflow's own record of the answer says.

    :raises ApprovalDeniedError: this task did not ask.
    """
    run = _begin(ledger, identity, release)
    with ledger.transaction():
        _lock(ledger, release)
        found = _asked(ledger, run, release.release_hash)
        if found.ended is None and vote not in found.votes:
            detail = {"request": found.request.key} | vote.to_dict()
            ledger.audit.add(action=VOTED, subject=subject_of(release.release_hash), run=run, detail=detail)
            found = _asked(ledger, run, release.release_hash)
            said = "approves" if vote.approves else "rejects"
            log.info("%s %s release %s", vote.voter, said, release.release_hash)
        return _settled(ledger, run, found, now or now_utc())


def refuse_vote(
    *, ledger: Ledger, identity: RunIdentity, release: Release, why: str, now: datetime | None = None
) -> Asking:
    """Keep that an answer was no person's, which counts for nothing.

    :raises ApprovalDeniedError: this task did not ask.
    """
    run = _begin(ledger, identity, release)
    with ledger.transaction():
        _lock(ledger, release)
        found = _asked(ledger, run, release.release_hash)
        detail = {"request": found.request.key, "why": why}
        ledger.audit.add(
            action=REFUSED_VOTE, subject=subject_of(release.release_hash), run=run, detail=detail
        )
        log.warning("An answer does not count: %s", why)
        return _settled(ledger, run, found, now or now_utc())


def settle_approval(
    *, ledger: Ledger, identity: RunIdentity, release: Release, now: datetime | None = None
) -> Asking:
    """Return where the approval stands now, and end it when its time is over.

    :raises ApprovalDeniedError: this task did not ask.
    """
    run = _begin(ledger, identity, release)
    with ledger.transaction():
        _lock(ledger, release)
        return _settled(ledger, run, _asked(ledger, run, release.release_hash), now or now_utc())


def require_same(*, ledger: Ledger, identity: RunIdentity, asked: str, release: Release) -> None:
    """Refuse to go on with a release that is not what people were asked about, and void their answers.

    :param asked: the hash they were asked about.
    :raises StaleVersionError: the content changed.
    """
    if release.release_hash == asked:
        return
    run = _begin(ledger, identity, release)
    with ledger.transaction():
        _void(ledger, run, _of_run(ledger, run, asked), f"the content changed to {release.release_hash}")
    msg = f"release {asked} was asked about and the content is {release.release_hash} now, so its answers are void: run the task again to ask about that."
    raise StaleVersionError(msg)


def _begin(ledger: Ledger, identity: RunIdentity, release: Release) -> TaskRun:
    return ledger.runs.begin(identity, input_digest=digest_of(approval=release.release_hash))


def _lock(ledger: Ledger, release: Release) -> None:
    for entry in release.entries:
        ledger.assets.lock(entry.asset)


def _key(run: TaskRun) -> str:
    return f"{run.identity.task}#{run.generation}"


def _of_run(ledger: Ledger, run: TaskRun, release_hash: str) -> Approval | None:
    """Return what this task asked about this content."""
    entries = ledger.audit.entries(subject_of(release_hash))
    require_intact(entries)
    return next((one for one in approvals_in(entries) if one.request.key == _key(run)), None)


def _says_nothing(
    ledger: Ledger, run: TaskRun, found: Approval | None, release: Release, policy: ApprovalPolicy
) -> bool:
    """Whether what this task asked before is no answer to what it asks now."""
    if found is not None:
        return found.ended in ("expire", VOIDED) or found.request.policy != policy
    kept = ledger.reports.of_fact(run.fact(release.entries[0].asset), "approval")
    return kept is not None and kept.body["release_hash"] != release.release_hash


def _asked(ledger: Ledger, run: TaskRun, release_hash: str) -> Approval:
    found = _of_run(ledger, run, release_hash)
    if found is None:
        msg = "this task asked for no approval of this content: ask first."
        raise ApprovalDeniedError(msg)
    return found


def _ask(
    ledger: Ledger, run: TaskRun, release: Release, policy: ApprovalPolicy, requesters: tuple[str, ...]
) -> None:
    request = ApprovalRequest(_key(run), release, policy, requesters, now_utc())
    ledger.audit.add(
        action=REQUESTED, subject=subject_of(release.release_hash), run=run, detail=request.to_dict()
    )
    log.info("Asked for the approval of release %s: %s", release.release_hash, policy)


def _void(ledger: Ledger, run: TaskRun, found: Approval | None, why: str) -> None:
    if found is not None and found.ended is None:
        detail = {"request": found.request.key, "action": VOIDED, "reasons": [why]}
        ledger.audit.add(action=ENDED, subject=subject_of(found.request.release_hash), run=run, detail=detail)


def _settled(ledger: Ledger, run: TaskRun, found: Approval, now: datetime) -> Asking:
    """Write the end of an approval that is over; one that ended keeps its end."""
    release = found.request.release
    if found.ended is not None:
        kept = [ledger.reports.of_fact(run.fact(entry.asset), "approval") for entry in release.entries]
        return Asking(
            found, Decision(found.ended, found.reasons), {one.asset: one.report_id for one in kept if one}
        )
    decision = found.decide(now=now)
    if decision.action == "wait":
        return Asking(found, decision, {})
    detail = {"request": found.request.key} | decision.to_dict()
    ledger.audit.add(action=ENDED, subject=subject_of(release.release_hash), run=run, detail=detail)
    reports = [_reported(ledger, run, found, decision, entry) for entry in release.entries]
    ledger.runs.finish(run)
    log.info(
        "Approval of release %s: %s. %s", release.release_hash, decision.action, "; ".join(decision.reasons)
    )
    return Asking(found, decision, {one.asset: one.report_id for one in reports})


def _reported(
    ledger: Ledger, run: TaskRun, found: Approval, decision: Decision, entry: ReleaseEntry
) -> Report:
    version = ledger.versions.find(entry.version) if entry.version else None
    summary = {"summary": "; ".join(decision.reasons), "version": entry.version}
    report = ledger.reports.add(
        run=run,
        fact=run.fact(entry.asset),
        kind="approval",
        verdict=Verdict.PASS if decision.action == "approve" else Verdict.FAIL,
        body=decision.to_dict() | found.to_dict() | summary,
        version_id=version.version_id if version else None,
    )
    ledger.audit.add(
        action=_ENDS[decision.action],
        subject=entry.version or entry.asset,
        run=run,
        detail={
            "report": report.report_id,
            "release_hash": found.request.release_hash,
            "reasons": list(decision.reasons),
        },
    )
    return report

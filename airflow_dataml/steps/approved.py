"""Hold a release to its approval: the answers in the audit chain are counted again, by whoever releases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_dataml.core.approvals import approvals_in, now_utc, subject_of, tally
from airflow_dataml.core.errors import ApprovalDeniedError
from airflow_dataml.core.release import Release, ReleaseEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from airflow_dataml.core.approvals import Approval, ApprovalPolicy
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import AuditEntry
    from airflow_dataml.core.ports import Ledger


def release_of_model(version: Version, champion: Version | None) -> Release:
    """Return what making a model version champion releases, with the hash that approvals of it have."""
    left = champion.ref if champion else None
    entry = ReleaseEntry(version.asset, "model", version.facts["artifact_digest"], version.ref, left)
    return Release.of([entry])


def requesters_of(*, ledger: Ledger, release: Release, triggered_by: str | None) -> tuple[str, ...]:
    """Return who asks for a release: who triggered the run, and the runs that made its versions."""
    named = [entry.version for entry in release.entries if entry.version]
    makers = [ledger.runs.triggered_by(ledger.versions.find(ref).version_id) for ref in named]
    return tuple(sorted({name for name in (triggered_by, *makers) if name}))


def require_approval(
    *,
    ledger: Ledger,
    release: Release,
    policy: ApprovalPolicy,
    triggered_by: str | None = None,
    now: datetime | None = None,
) -> Approval:
    """Return the approval of a release, or refuse: it is counted again, from the answers in the audit chain.

    The newest request for exactly this content counts, by the policy of whoever releases; a verdict that some task
    returned counts for nothing. Call it with the assets locked, in the transaction that releases.

    :param triggered_by: who triggered the releasing run, who counts as asking too.
    :raises ApprovalDeniedError: nobody was asked, it is not over, it was rejected, is over, or has too few votes.
    """
    entries = ledger.audit.entries(subject_of(release.release_hash))
    require_intact(entries)
    approvals = approvals_in(entries)
    if not approvals:
        raise ApprovalDeniedError(_nobody_asked(ledger, release), {"release": release.to_dict()})
    found = approvals[-1]
    asking = requesters_of(ledger=ledger, release=release, triggered_by=triggered_by)
    decision = tally(
        request=found.request, votes=found.votes, policy=policy, now=now or now_utc(), requesters=asking
    )
    if decision.action != "approve" or found.ended != "approve":
        over = found.ended not in (None, "approve")
        why = "; ".join(found.reasons if over else decision.reasons)
        word = "waits" if found.ended is None else "is not approved"
        msg = f"release {release.release_hash} {word}: {why}. It was asked for by {found.asked_by}."
        raise ApprovalDeniedError(msg, found.to_dict() | {"decision": decision.to_dict()})
    return found


def require_intact(entries: Sequence[AuditEntry]) -> None:
    """Refuse to count answers when an entry is not what was written.

    :raises ApprovalDeniedError: says which.
    """
    if changed := [entry.seq for entry in entries if not entry.intact]:
        msg = f"audit entries {changed} were changed after they were written, so no answer counts: run dataml audit verify."
        raise ApprovalDeniedError(msg)


def _nobody_asked(ledger: Ledger, release: Release) -> str:
    msg = f"nobody was asked to approve release {release.release_hash} ({_listed(release.entries)})"
    for entry in release.entries:
        other = ledger.reports.latest(asset=entry.asset, kind="approval")
        if other is not None:
            return f"{msg}; report {other.report_id} is of {other.body['release_hash']}, which is other content: ask about this one."
    return f"{msg}: run an ApprovalOperator before."


def _listed(entries: Iterable[ReleaseEntry]) -> str:
    return ", ".join(entry.version or entry.asset for entry in entries)

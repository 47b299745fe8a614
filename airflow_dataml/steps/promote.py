"""Promote: move the champion alias, with its reasons, in one transaction."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import AliasMovedError, PromotionRefusedError
from airflow_dataml.core.evaluation import decide_promotion
from airflow_dataml.core.retraining import limited
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.aliases import MLFLOW_TOPIC, move_aliases
from airflow_dataml.steps.approved import release_of_model, require_approval
from airflow_dataml.steps.asked import action_asked_for
from airflow_dataml.steps.registry_state import sender

if TYPE_CHECKING:
    from airflow_dataml.core.approvals import ApprovalPolicy
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Decision, Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.registry import ModelRegistry
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)


def promote_model(
    *,
    ledger: Ledger,
    identity: RunIdentity,
    model: str,
    evaluation: int,
    approval: ApprovalPolicy | None = None,
) -> Report:
    """Decide on an evaluation report, move the aliases, and return the decision report.

    Promoted: the version becomes ``champion``, the old one ``previous``. Kept: the version becomes
    ``challenger`` and scores as a shadow. Where a decision asked for the training, the version becomes no more than
    that allows: a challenger, or nothing but registered, and then no alias moves.

    :param evaluation: id of the evaluation report.
    :param approval: who must have approved exactly this content before it becomes champion; nobody unless given.
    :raises PromotionRefusedError: the report is not an evaluation, or one of another model.
    :raises ApprovalDeniedError: it would be promoted, and those people did not approve it, or not in time.
    :raises AliasMovedError: the champion changed since the evaluation.
    """
    evidence = ledger.reports.get(evaluation)
    if evidence.kind != "evaluation" or evidence.version_id is None:
        msg = f"report {evaluation} is a {evidence.kind!r} report; a promotion needs an evaluation."
        raise PromotionRefusedError(msg, evidence.body)
    if evidence.asset != model:
        msg = f"report {evaluation} evaluates {evidence.asset!r}, and {model!r} is to be promoted: hand over its own evaluation."
        raise PromotionRefusedError(msg, evidence.body)
    run = ledger.runs.begin(identity, input_digest=digest_of(evaluation=evaluation))
    version = ledger.versions.by_id(evidence.version_id)
    fact = run.fact(version.asset)
    with ledger.transaction():
        ledger.assets.lock(version.asset)
        report = ledger.reports.of_fact(fact, "decision")
        if report is None:
            report = _decide(ledger, run, version, evidence, approval)
        ledger.runs.finish(run)
    log.info("Decision on %s: %s. %s", version.ref, report.body["action"], "; ".join(report.body["reasons"]))
    return report


def _decide(
    ledger: Ledger, run: TaskRun, version: Version, evidence: Report, approval: ApprovalPolicy | None
) -> Report:
    champion = ledger.versions.alias(version.asset, "champion")
    expected = evidence.body["champion_id"]
    if (champion.version_id if champion else None) != expected:
        msg = (
            f"the champion of {version.asset!r} is {champion.ref if champion else 'gone'} and was "
            f"{evidence.body['champion_ref'] or 'none'} when {version.ref} was evaluated: evaluate again."
        )
        raise AliasMovedError(msg)
    decision = decide_promotion(
        verdict=evidence.verdict, reason=str(evidence.body["summary"]), first=champion is None
    )
    asked_by, allowed = action_asked_for(ledger=ledger, version=version)
    decision = limited(decision, allowed=allowed, asked_by=asked_by)
    if approval is not None and decision.action == "promote":
        decision = _approved(ledger, run, version, champion, approval, decision)
    report = ledger.reports.add(
        run=run,
        fact=run.fact(version.asset),
        kind="decision",
        verdict=evidence.verdict,
        body=decision.to_dict() | {"evaluation": evidence.report_id, "version": version.ref},
        version_id=version.version_id,
    )
    if allowed != "register":
        _move(ledger, run, version, champion, decision, report)
    ledger.audit.add(
        action=decision.action,
        subject=version.ref,
        run=run,
        detail={"report": report.report_id} | decision.to_dict(),
    )
    return report


def _approved(
    ledger: Ledger,
    run: TaskRun,
    version: Version,
    champion: Version | None,
    policy: ApprovalPolicy,
    decision: Decision,
) -> Decision:
    """Hold a promotion to its approval; the decision says who approved."""
    release = release_of_model(version, champion)
    found = require_approval(
        ledger=ledger, release=release, policy=policy, triggered_by=run.identity.triggered_by
    )
    facts = {"release_hash": release.release_hash, "approval": found.request.key}
    return replace(decision, reasons=(*decision.reasons, *found.reasons), facts=dict(decision.facts) | facts)


def _move(
    ledger: Ledger,
    run: TaskRun,
    version: Version,
    champion: Version | None,
    decision: Decision,
    report: Report,
) -> None:
    moves: dict[str, Version | None] = {"candidate": None}
    if decision.action == "promote":
        moves |= {"champion": version, "challenger": None}
        if champion is not None:
            moves["previous"] = champion
        _close_incidents(ledger, version)
    else:
        moves["challenger"] = version
    move_aliases(ledger, run, model=version.asset, moves=moves, report_id=report.report_id)


def _close_incidents(ledger: Ledger, version: Version) -> None:
    for incident in ledger.incidents.list(asset=version.asset):
        if incident.state != "resolved" and incident.kind in ("drift", "decay"):
            ledger.incidents.resolve(incident.incident_id, resolution=f"replaced by {version.ref}")


def drain_aliases(*, ledger: Ledger, registry: ModelRegistry) -> int:
    """Bring the registry's aliases to where the ledger has them; returns how many events went out.

    A registry that does not answer costs one attempt; the events wait in the outbox. An alias that somebody
    else moved there is left as it is and written down; see ``reconcile_model``.
    """
    return ledger.outbox.deliver(MLFLOW_TOPIC, sender(ledger, registry))

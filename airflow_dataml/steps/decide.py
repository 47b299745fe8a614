"""Decide: retrain, fix the data, or wait; after a monitor report, or because time or new data say so."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.feed_faults import FeedFault
from airflow_dataml.core.lineage import Edge, report_node
from airflow_dataml.core.retraining import RETRAIN, WAIT, decide_retrain
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.feed import faults_of
from airflow_dataml.steps.standing import standing_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.retraining import RetrainPolicy
    from airflow_dataml.core.runs import RunIdentity, TaskRun

log = logging.getLogger(__name__)
UNKNOWN = "unknown"


def decide_after_monitor(
    *, ledger: Ledger, identity: RunIdentity, monitor: int, policy: RetrainPolicy
) -> Report:
    """Apply a retrain policy to a monitor report and keep the decision.

    A batch whose profile tells of a broken feed gets a data incident on its dataset, and never a retraining.

    :param monitor: id of the monitor report.
    :raises SpecError: the report is of another kind, or about a branch.
    """
    evidence = ledger.reports.get(monitor)
    if evidence.kind != "monitor":
        msg = f"report {monitor} is a {evidence.kind!r} report; a retrain decision needs a monitor report."
        raise SpecError(msg)
    if branch := evidence.body.get("branch"):
        msg = f"report {monitor} is about branch {branch!r}, and models have no branches: decide on what everybody reads."
        raise SpecError(msg)
    run = ledger.runs.begin(
        identity, input_digest=digest_of(monitor=monitor, policy=policy.model_dump(mode="json"))
    )
    return _decide(ledger, run, evidence.asset, policy, evidence)


def decide_on_standing(*, ledger: Ledger, identity: RunIdentity, model: str, policy: RetrainPolicy) -> Report:
    """Apply what a retrain policy says of age and new data to a model that no window was watched of; keep the decision.

    :raises SpecError: the policy asks for nothing of the kind.
    :raises NotFoundError: the model has no champion.
    """
    if policy.max_age is None and policy.new_rows is None and policy.new_batches is None:
        msg = (
            f"the decision on {model!r} has no monitor report and its policy no max_age, new_rows or new_batches: "
            "without one of them nothing can follow."
        )
        raise SpecError(msg)
    run = ledger.runs.begin(
        identity, input_digest=digest_of(model=model, policy=policy.model_dump(mode="json"))
    )
    return _decide(ledger, run, model, policy, None)


def _decide(
    ledger: Ledger, run: TaskRun, model: str, policy: RetrainPolicy, evidence: Report | None
) -> Report:
    with ledger.transaction():
        ledger.assets.lock(model)
        report = ledger.reports.of_fact(run.fact(model), "decision")
        if report is None:
            report = _record(ledger, run, model, policy, evidence)
        ledger.runs.finish(run)
    log.info("Decision for %s: %s. %s", model, report.body["action"], "; ".join(report.body["reasons"]))
    return report


def _record(
    ledger: Ledger, run: TaskRun, model: str, policy: RetrainPolicy, evidence: Report | None
) -> Report:
    champion = _champion(ledger, model, evidence)
    feed, faults = "", tuple[FeedFault, ...]()
    if evidence is not None and champion is not None:
        feed, faults = faults_of(
            ledger=ledger, champion=champion, monitor=evidence, trusted=policy.trusted_columns
        )
    body = evidence.body if evidence else {"findings": {}, "feed_broken": [], "partition_key": None}
    decision = decide_retrain(
        findings=body["findings"],
        feed_broken=[*body["feed_broken"], *(f"feed {feed} is broken, {fault}" for fault in faults)],
        policy=policy,
        pending=ledger.reports.unanswered(asset=model, action="retrain") is not None,
        standing=standing_of(ledger=ledger, model=model, champion=champion, policy=policy, monitor=evidence),
    )
    now = ledger.versions.alias(model, "champion")
    if decision.action == RETRAIN and champion and now and now.version_id != champion.version_id:
        # What was found of a version that serves no more says nothing of the one that took its place.
        why = f"{champion.ref} was watched, {now.ref} is champion"
        decision = replace(decision, action=WAIT, reasons=(*decision.reasons, why), facts={})
    told: dict[str, Any] = {"feed_faults": [fault.to_dict() for fault in faults]} if faults else {}
    report = ledger.reports.add(
        run=run,
        fact=run.fact(model),
        kind="decision",
        verdict=evidence.verdict if evidence else UNKNOWN,
        body=decision.to_dict()
        | {
            "monitor": evidence.report_id if evidence else None,
            "partition_key": body["partition_key"],
            "policy": policy.model_dump(mode="json"),
        }
        | told,
        version_id=champion.version_id if champion else None,
    )
    if evidence is not None:
        edge = Edge(report_node(evidence.report_id), report_node(report.report_id), "reason")
        ledger.lineage.add([edge], run=run)
    if faults:
        _open_incident(ledger, feed, body["partition_key"], faults, report)
    ledger.audit.add(
        action=decision.action,
        subject=model,
        run=run,
        detail={"report": report.report_id} | decision.to_dict(),
    )
    return report


def _champion(ledger: Ledger, model: str, evidence: Report | None) -> Version | None:
    """The version that was watched; a model served elsewhere may have none here."""
    if evidence is None:
        return ledger.versions.find(f"{model}@champion")
    if evidence.version_id is not None:
        return ledger.versions.by_id(evidence.version_id)
    return ledger.versions.alias(model, "champion")


def _open_incident(
    ledger: Ledger, dataset: str, key: str, faults: Sequence[FeedFault], report: Report
) -> None:
    more = f", and {len(faults) - 1} more" if len(faults) > 1 else ""
    _, new = ledger.incidents.open(
        asset=dataset,
        kind="data",
        severity="high",
        title=f"batch {key}: {faults[0]}{more}",
        report_id=report.report_id,
        partition_key=key,
    )
    if new:
        log.warning("The feed %s is broken in batch %s: %s%s", dataset, key, faults[0], more)

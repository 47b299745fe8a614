"""Decide: retrain, fix the data, or wait, after a monitor report."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.lineage import Edge, report_node
from airflow_dataml.core.monitoring import decide_retrain
from airflow_dataml.core.runs import digest_of

if TYPE_CHECKING:
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.monitoring import RetrainPolicy
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity

log = logging.getLogger(__name__)


def decide_after_monitor(
    *, ledger: Ledger, identity: RunIdentity, monitor: int, policy: RetrainPolicy
) -> Report:
    """Apply a retrain policy to a monitor report and keep the decision.

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
    fact = run.fact(evidence.asset)
    with ledger.transaction():
        ledger.assets.lock(evidence.asset)
        report = ledger.reports.of_fact(fact, "decision")
        if report is None:
            decision = decide_retrain(
                findings=evidence.body["findings"],
                feed_broken=evidence.body["feed_broken"],
                policy=policy,
                pending=ledger.reports.unanswered(asset=evidence.asset, action="retrain") is not None,
            )
            report = ledger.reports.add(
                run=run,
                fact=fact,
                kind="decision",
                verdict=evidence.verdict,
                body=decision.to_dict()
                | {
                    "monitor": monitor,
                    "partition_key": evidence.body["partition_key"],
                    "policy": policy.model_dump(mode="json"),
                },
                version_id=evidence.version_id,
            )
            ledger.lineage.add([Edge(report_node(monitor), report_node(report.report_id), "reason")], run=run)
            ledger.audit.add(
                action=decision.action,
                subject=evidence.asset,
                run=run,
                detail={"report": report.report_id} | decision.to_dict(),
            )
        ledger.runs.finish(run)
    log.info(
        "Decision for %s: %s. %s", evidence.asset, report.body["action"], "; ".join(report.body["reasons"])
    )
    return report

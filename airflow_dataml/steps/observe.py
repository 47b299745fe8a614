"""Observe: one scored batch against what its model is used to, and its realised performance."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.lineage import Edge, report_node, version_node
from airflow_dataml.core.monitor_evidence import taken_up, told_of
from airflow_dataml.core.monitor_verdict import (
    alarm_findings,
    counted_drift,
    incident_of,
    late_incident,
    summary_of,
    verdict_of,
    window_findings,
)
from airflow_dataml.steps.observing import SCORE, Look, find_reference, find_window, no_reference
from airflow_dataml.steps.observing import Window as Window  # noqa: PLC0414 - where it was first
from airflow_dataml.steps.observing_arrivals import earlier_batches
from airflow_dataml.steps.observing_attribution import measure_attribution
from airflow_dataml.steps.observing_drift import measure_drift
from airflow_dataml.steps.observing_errors import watch_errors
from airflow_dataml.steps.observing_history import earlier_bodies, importance_of, state_before
from airflow_dataml.steps.observing_labels import labels_of
from airflow_dataml.steps.observing_metrics import judge_metrics, split_metrics
from airflow_dataml.steps.observing_performance import measure_performance
from airflow_dataml.steps.observing_slices import slice_losses

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.monitoring import MonitorPolicy
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.runs import RunIdentity, TaskRun
    from airflow_dataml.steps.observing import Reference, Watch
    from airflow_dataml.steps.observing_drift import Drift

log = logging.getLogger(__name__)
# Warnings that one report holds.
_WARNINGS = 100


def observe_batch(
    *,
    ledger: Ledger,
    warehouse: Warehouse,
    identity: RunIdentity,
    model: str,
    predictions: str,
    key_columns: Sequence[str],
    partition_key: str,
    policy: MonitorPolicy,
    labels: str | None = None,
    branch: str | None = None,
    now: datetime | None = None,
) -> Report:
    """Look at one batch for drift of inputs and predictions and for decay; open an incident on an alarm.

    Inputs are compared with the profile of the exact dataset version the champion was trained on, or what
    ``policy.reference`` names, predictions with its scores there, realised loss with its loss on the holdout at
    release. A task that is run again once more labels have come writes another report.

    :param key_columns: columns that join predictions to the labels.
    :param labels: the dataset that brings labels later; else they are in the scored dataset.
    :param branch: look at what was scored there. Nobody else reads it, so the report is one on its predictions,
        not on the model, and opens no incident.
    :param now: the time by which predictions and labels may be late.
    :raises NotFoundError: the batch has not been scored.
    """
    window = find_window(ledger, predictions, partition_key, branch)
    found = labels_of(ledger, window, keys=key_columns, labels=labels, branch=branch)
    earlier = earlier_batches(ledger, window, policy, keys=key_columns, labels=labels, branch=branch)
    subject = model if branch is None else window.predictions.asset
    look = Look(ledger, warehouse, subject, window, found, earlier, policy, branch, now or datetime.now(UTC))
    reference = find_reference(ledger, warehouse, window, policy)
    run = ledger.runs.begin(identity, input_digest=look.input_digest)
    report = ledger.reports.of_fact(run.fact(subject), "monitor")
    if report is not None:
        log.info("An earlier try observed this batch (report %d); kept", report.report_id)
        return report
    body, drift = _looked(look, reference)
    return record(look, run, body, drift)


def _looked(look: Look, reference: Reference | None) -> tuple[dict[str, Any], Drift]:
    """The body of the report, and the drift whose evidence is still to be summed up."""
    window, policy = look.window, look.policy
    shares = importance_of(look.ledger, window.champion) if policy.importance is not None else None
    drift = measure_drift(look, reference, shares)
    moved, warnings = window_findings((*drift.inputs, *drift.slices), drift.scores, shares, policy)
    told = measure_performance(look)
    slices = drift.slices_body(policy.min_rows)
    earlier = earlier_bodies(look) if slices or policy.metrics else []
    if slices:
        groups = [(one.column, one.value) for one in drift.groups]
        quiet = [body for body in earlier if not body["findings"].get("decay")]
        slices["performance"], worse = slice_losses(look, groups, quiet)
        told.decay.extend(worse)
    metrics = judge_metrics(look, reference, told.body, earlier)
    attribution, rests = measure_attribution(look)
    more, light = split_metrics(metrics, policy)
    warnings += light
    body = {
        "partition_key": window.part.partition_key,
        "model": window.champion.ref,
        "predictions": window.predictions.ref,
        "features": window.features.ref,
        "reference": reference.ref if reference else None,
        "rows": window.rows,
        "policy": policy.model_dump(mode="json"),
        "inputs": [s.to_dict() for s in drift.inputs],
        "blind": list(drift.blind),
        "prediction": [s.to_dict() for s in drift.scores],
        "performance": told.body,
        "findings": {"decay": told.decay} | moved | told.findings | rests | more,
        "feed_broken": _broken_feeds(look.ledger, window),
    }
    optional = {
        "branch": look.branch,
        "reference_batch": reference.batch if reference else None,
        "no_reference": None if reference else no_reference(look.ledger, window),
        "distances": drift.distances,
        "warnings": warnings[:_WARNINGS],
        "slices": slices,
        "labels": told.labels,
        "estimated": told.estimated,
        "metrics": [one.to_dict() for one in metrics],
        "attribution": attribution,
        "counting": counted_drift(drift.inputs, shares, policy),
        "importance": shares,
    }
    return body | {name: value for name, value in optional.items() if value}, drift


def _broken_feeds(ledger: Ledger, window: Window) -> list[str]:
    """Open data incidents on what this batch was made from: its numbers may not be the world's."""
    graph = ledger.lineage.walk(str(version_node(window.features.version_id)), direction="upstream")
    assets = sorted({node.label.partition("@")[0] for node in graph.nodes})
    return [
        f"feed {incident.asset} has an open data incident: {incident.title}"
        for incident in ledger.incidents.open_data(assets)
        # A few rows set aside do not make the rest of a feed wrong.
        if incident.severity != "low" and incident.partition_key in (None, window.part.partition_key)
    ]


def _over_time(look: Watch, body: dict[str, Any], drift: Drift) -> dict[str, Any]:
    """Sum the evidence up; the caller holds the asset's lock, so that no two windows take up the same state."""
    if look.policy.alarm_budget is None:
        return body
    before = state_before(look.ledger, look.subject, body, champion=look.champion)
    state = taken_up(
        before.body["over_time"] if before else None,
        report=before.report_id if before else None,
        batch=body["partition_key"],
        found=drift.evidence,
        within=drift.within,
        policy=look.policy,
    )
    text = told_of(state)
    findings = body["findings"] | alarm_findings(state, text, score=SCORE)
    return body | {"findings": findings, "over_time": state | {"told": text}}


def record(look: Watch, run: TaskRun, body: dict[str, Any], drift: Drift) -> Report:
    """Write what a look found: evidence summed up, the verdict, and the incidents it opens, in one transaction."""
    ledger = look.ledger
    with ledger.transaction():
        if look.policy.alarm_budget is not None:
            ledger.assets.lock(look.subject)
        body = _over_time(look, body, drift)
        if isinstance(look, Look):
            body = watch_errors(look, body)
        verdict = verdict_of(body, look.policy)
        report = ledger.reports.add(
            run=run,
            fact=run.fact(look.subject),
            kind="monitor",
            verdict=verdict,
            body=body | {"summary": summary_of(body)},
            version_id=look.about.version_id,
        )
        node = report_node(report.report_id)
        ledger.lineage.add((Edge(source, node, "monitored") for source in look.sources), run=run)
        # What never came is missing whoever is champion.
        found = None if _replaced(look, body) else incident_of(body, verdict)
        for incident in (found, late_incident(body)):
            if incident is not None and "branch" not in body:
                kind, severity, title = incident
                ledger.incidents.open(
                    asset=look.subject, kind=kind, severity=severity, title=title, report_id=report.report_id
                )
        ledger.runs.finish(run)
    log.info(
        "Batch %s with %s: %s. %s",
        body["partition_key"],
        look.champion.ref,
        verdict,
        report.body["summary"],
    )
    return report


def _replaced(look: Watch, body: Mapping[str, Any]) -> bool:
    """Whether another version is the champion meanwhile: nobody can act on an alarm about the one that was watched."""
    champion = look.ledger.versions.alias(look.champion.asset, "champion")
    if champion is None or champion.version_id == look.champion.version_id:
        return False
    log.info(
        "Batch %s was scored by %s, and the champion is %s meanwhile: the report opens no incident",
        body["partition_key"],
        look.champion.ref,
        champion.ref,
    )
    return True

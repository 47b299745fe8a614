"""Observe what was reported: a window of a model served elsewhere, by its counts, as one that was scored here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import NotFoundError, PolicyError, SpecError
from airflow_dataml.core.lineage import report_node, version_node
from airflow_dataml.core.monitor_policy import FIRST, PREVIOUS, REPORTED
from airflow_dataml.core.monitor_verdict import counted_drift, window_findings
from airflow_dataml.core.monitoring import decayed
from airflow_dataml.core.reported import ReportedLabels
from airflow_dataml.core.reported_counting import profile_of
from airflow_dataml.core.runs import digest_of
from airflow_dataml.steps.estimated import calibration_of, expect_cells
from airflow_dataml.steps.observe import record
from airflow_dataml.steps.observing import SCORE, score_profile
from airflow_dataml.steps.observing_arrivals import decay_text
from airflow_dataml.steps.observing_drift import Drift, Sides, judge_drift
from airflow_dataml.steps.observing_history import importance_of
from airflow_dataml.steps.observing_labels import Realised, loss_at_release
from airflow_dataml.steps.observing_performance import estimated_decay
from airflow_dataml.steps.reported_reference import (
    find_window_report,
    last_report,
    named,
    reference_of,
    reference_report,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.lineage import NodeId
    from airflow_dataml.core.monitoring import MonitorPolicy
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.core.runs import RunIdentity
    from airflow_dataml.core.statistics import Interval

log = logging.getLogger(__name__)
# How far back a window of any version of the model is looked for.
_REPORTS = 50
# Warnings that one report holds.
_WARNINGS = 100
# What needs rows, or batches of a dataset.
_ROWS_ONLY = (
    "slices",
    "labels_from",
    "max_label_delay",
    "max_prediction_delay",
    "attribution_tolerance",
    "metrics",
    "errors",
)


@dataclass(frozen=True, slots=True)
class ReportedLook:
    """One look at a reported window.

    :param window: what was reported of it last.
    :param reference: what it is compared with: its name, profile, and histogram of scores, if there is one.
    """

    ledger: Ledger
    subject: str
    policy: MonitorPolicy
    champion: Version
    window: Report
    reference: _Known | None

    @property
    def about(self) -> Version:
        """The version the report is on."""
        return self.champion

    @property
    def sources(self) -> list[NodeId]:
        """What was looked at."""
        return [report_node(self.window.report_id), version_node(self.champion.version_id)]


@dataclass(frozen=True, slots=True)
class _Known:
    ref: str
    profile: dict[str, Any]
    scores: dict[str, Any] | None = None
    labels: Mapping[str, Any] | None = None
    batch: str | None = None


def observe_reported(
    *, ledger: Ledger, identity: RunIdentity, model: str, partition_key: str, policy: MonitorPolicy
) -> Report:
    """Look at a reported window as ``observe_batch`` does at one that was scored here; open an incident on an alarm.

    The champion's window is looked at where it was reported, else that of the version that was reported last.

    :raises NotFoundError: the window was not reported.
    :raises SpecError: it was counted in the bins of another reference than the policy names.
    :raises PolicyError: the policy asks for what counts cannot tell.
    """
    if wrong := [name for name in _ROWS_ONLY if getattr(policy, name)]:
        msg = f"{', '.join(wrong)} of the policy cannot be told from counts: leave out what needs rows, or log the predictions."
        raise PolicyError(msg)
    version, window = _find(ledger, model, partition_key)
    look = ReportedLook(ledger, model, policy, version, window, _reference(ledger, version, window, policy))
    digest = digest_of(reported=window.report_id, policy=policy.model_dump(mode="json"))
    run = ledger.runs.begin(identity, input_digest=digest)
    report = ledger.reports.of_fact(run.fact(model), "monitor")
    if report is not None:
        log.info("An earlier try observed this window (report %d); kept", report.report_id)
        return report
    body, drift = _looked(look)
    return record(look, run, body, drift)


def _find(ledger: Ledger, model: str, key: str) -> tuple[Version, Report]:
    champion = ledger.versions.alias(model, "champion")
    tried = [champion] if champion else []
    tried += [
        v
        for v in ledger.versions.list(model)[:_REPORTS]
        if champion is None or v.version_id != champion.version_id
    ]
    for version in tried:
        found = find_window_report(ledger, version, key)
        if found is not None:
            return version, found
    newest = {str(last.body["newest"]) for one in tried if (last := last_report(ledger, one))}
    what = f"reported window of {model}"
    raise NotFoundError.from_available(what, key, sorted(newest))


def _reference(ledger: Ledger, version: Version, window: Report, policy: MonitorPolicy) -> _Known | None:
    """Return what the policy compares with; ``None`` for the window that is itself the first."""
    body = window.body
    if policy.reference == PREVIOUS:
        before = find_window_report(ledger, version, body["before"]) if body["before"] else None
        if before is None or before.body["against"] != body["against"]:
            return None
        known = f"{version.ref} window {before.body['partition_key']}"
        return _Known(
            known, profile_of(before.body, own=True), before.body["score"], None, before.body["partition_key"]
        )
    if policy.reference != body["reference"]:
        msg = (
            f"window {body['partition_key']!r} of {version.ref} was counted in the bins of reference {body['reference']!r}, and "
            f"the policy says {policy.reference!r}: say the same in both."
        )
        raise SpecError(msg)
    if policy.reference == FIRST and body["first"] == body["partition_key"]:
        return None
    ref, profile, _ = reference_of(ledger, version, policy.reference)
    if policy.reference in (REPORTED, FIRST):
        reported = reference_report(ledger, version, policy.reference)
        if reported is not None:
            known = named(version, reported, policy.reference)
            return _Known(known, profile, reported.body["score"], reported.body["labels"])
    cells = version.facts.get("score_cells") or None
    return _Known(ref, profile, {"grid": [0.0, 1.0], "cells": cells} if cells else None)


def _looked(look: ReportedLook) -> tuple[dict[str, Any], Drift]:
    """The body of the report, and the drift whose evidence is still to be summed up."""
    said, policy, reference = look.window.body, look.policy, look.reference
    shares = importance_of(look.ledger, look.champion) if policy.importance is not None else None
    drift = Drift()
    if reference is not None:
        sides = Sides(
            reference.profile, profile_of(said, own=False), _scores(reference.scores, said["score"])
        )
        drift = judge_drift(sides, columns=tuple(said["features"]), policy=policy, shares=shares)
    moved, warnings = window_findings(drift.inputs, drift.scores, shares, policy)
    performance, decay = _performance(look)
    expected = _expected(look)
    feared = [] if performance["now"] else estimated_decay(expected, _released(look), policy)
    body = {
        "partition_key": said["partition_key"],
        "model": look.champion.ref,
        "reported": look.window.report_id,
        "reference": reference.ref if reference else None,
        "rows": said["rows"],
        "policy": policy.model_dump(mode="json"),
        "inputs": [s.to_dict() for s in drift.inputs],
        "blind": list(drift.blind),
        "prediction": [s.to_dict() for s in drift.scores],
        "performance": performance,
        "findings": {"decay": decay} | moved | ({"estimated_decay": feared} if feared else {}),
        "feed_broken": [],
    }
    optional = {
        "reference_batch": reference.batch if reference else None,
        "no_reference": None if reference else _no_reference(said, policy),
        "distances": drift.distances,
        "warnings": warnings[:_WARNINGS],
        "estimated": expected,
        "counting": counted_drift(drift.inputs, shares, policy),
        "importance": shares,
    }
    return body | {name: value for name, value in optional.items() if value}, drift


def _no_reference(said: Mapping[str, Any], policy: MonitorPolicy) -> str:
    if policy.reference == FIRST:
        return (
            f"window {said['partition_key']} is the first that was reported: later ones are compared with it"
        )
    if said["before"]:
        return f"window {said['before']} before is no reference: it was counted in other bins"
    return "no window was reported before: there is nothing to compare with yet"


def _scores(
    before: Mapping[str, Any] | None, now: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Any]] | None:
    if before is None or now is None or not before["cells"]:
        return None
    sides = score_profile(before["cells"]), score_profile(now["cells"])
    for side in sides:
        side["columns"][SCORE]["grid"] = list(now["grid"])
    return sides


def _released(look: ReportedLook) -> Interval | None:
    """The loss at release; of a model that was never evaluated here that of the reported reference."""
    found = loss_at_release(look.ledger, look.champion)
    if found is None and look.reference is not None and look.reference.labels:
        return _realised(look.reference.labels, 0).loss(
            level=look.policy.confidence, min_rows=look.policy.min_rows
        )
    return found


def _realised(labels: Mapping[str, Any] | None, scored: int) -> Realised:
    rows, _, total, squares = ReportedLabels.model_validate(labels).sums if labels else (0, 0.0, 0.0, 0.0)
    return Realised(rows, scored, total, squares)


def _performance(look: ReportedLook) -> tuple[dict[str, Any], list[str]]:
    """Realised performance by the labels that were reported, and whether the loss has surely grown."""
    said, policy = look.window.body, look.policy
    released = _released(look)
    found = _realised(said["labels"], sum(n for _, n in said["score"]["cells"]) if said["score"] else 0)
    now = found.loss(level=policy.confidence, min_rows=policy.min_rows)
    body = {
        "released": released.estimate if released else None,
        "released_high": released.high if released else None,
        "now": now.to_dict() if now else None,
        "labelled": found.rows,
        "scored": found.scored,
        "label_share": round(found.share, 6),
    }
    worse = released is not None and now is not None and decayed(released=released, now=now, policy=policy)
    return body, [decay_text(released, now, policy)] if worse and released and now else []


def _expected(look: ReportedLook) -> dict[str, Any] | None:
    """Performance expected without labels, where the scores were counted in the cells of the calibration too."""
    cells = (look.window.body["score"] or {}).get("calibrated")
    if cells is None:
        return None
    try:
        evaluation, calibration = calibration_of(look.ledger, look.champion)
        what = f"window {look.window.body['partition_key']} has"
        pairs = [(int(cell), int(n)) for cell, n in cells]
        return expect_cells(pairs, evaluation, calibration, policy=look.policy, what=what, of=look.champion)
    except NotFoundError as err:
        log.info("No estimate without labels: %s", err)
        return None

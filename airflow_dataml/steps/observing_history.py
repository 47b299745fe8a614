"""Observing history: what earlier reports on a model say that the next one builds on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report
    from airflow_dataml.core.ports import Ledger
    from airflow_dataml.steps.observing import Look, Window

# How far back the state of a monitor is looked for among the reports on its model.
_REPORTS = 200
# What the evidence over time depends on; with other values it begins anew.
_STATE = ("alarm_budget", "tolerance", "min_rows", "importance", "slices", "slice_groups", "errors")


def reports_before(ledger: Ledger, subject: str, body: Mapping[str, Any]) -> Iterator[Report]:
    """Monitor reports on the same model version and world, newest first."""
    for report in ledger.reports.recent(asset=subject, kind="monitor", limit=_REPORTS):
        if report.body.get("model") != body["model"]:
            continue
        if report.body.get("branch") == body.get("branch"):
            yield report


def state_before(
    ledger: Ledger, subject: str, body: Mapping[str, Any], *, champion: Version
) -> Report | None:
    """The newest report whose evidence goes on: of the same model, reference and budget."""
    last = ledger.reports.latest(asset=subject, kind="monitor", version_id=champion.version_id)
    # Mostly the newest one; the bodies of all others need not be read then.
    if last is not None and _goes_on(last.body, body):
        return last
    found = (report for report in reports_before(ledger, subject, body) if _goes_on(report.body, body))
    return next(found, None)


def _goes_on(before: Mapping[str, Any], body: Mapping[str, Any]) -> bool:
    if not before.get("over_time") or any(
        before.get(n) != body.get(n) for n in ("reference", "model", "branch")
    ):
        return False
    return all(before["policy"].get(name) == body["policy"].get(name) for name in _STATE)


def judged_labels(ledger: Ledger, subject: str, window: Window, branch: str | None) -> dict[str, int]:
    """How many labels of each batch an earlier report has judged, the most of any report."""
    seen: dict[str, int] = {}
    for report in reports_before(ledger, subject, {"model": window.champion.ref, "branch": branch}):
        performance = report.body.get("performance") or {}
        said = [
            (one["partition_key"], one["labelled"])
            for one in report.body.get("labels") or ()
            if one["judged"]
        ]
        if performance.get("now"):
            said.append((report.body["partition_key"], performance.get("labelled", performance["now"]["n"])))
        for batch, labelled in said:
            seen[batch] = max(seen.get(batch, 0), labelled)
    return seen


def earlier_bodies(look: Look) -> list[Mapping[str, Any]]:
    """The newest report of each other batch of the model, newest first."""
    window = look.window
    found: dict[str, Mapping[str, Any]] = {}
    for report in reports_before(
        look.ledger, look.subject, {"model": window.champion.ref, "branch": look.branch}
    ):
        batch = report.body["partition_key"]
        if batch != window.part.partition_key:
            found.setdefault(batch, report.body)
    return list(found.values())


def importance_of(ledger: Ledger, champion: Version) -> dict[str, float] | None:
    """Each feature's share in the champion's newest explanation; ``None`` where nobody explained it."""
    report = ledger.reports.latest(asset=champion.asset, kind="explanation", version_id=champion.version_id)
    if report is None:
        return None
    return {one["feature"]: float(one["share"]) for one in report.body["features"]}

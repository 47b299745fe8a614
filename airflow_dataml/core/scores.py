"""Scores: a report in the few numbers that Airflow's own data-quality gates read from an asset's event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.expectations import counts
from airflow_dataml.core.quality import CheckResult, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.governance import Report

#: Where ``require_quality`` of Airflow's data-quality provider looks in the extra of an event.
EVENT_KEY = "airflow.dataquality.result"
_WARNED = 0.25


def score_of(verdicts: Sequence[Verdict]) -> float | None:
    """Return the share of checks that passed; one that warned counts for three quarters, as Airflow has it.

    >>> score_of([Verdict.PASS, Verdict.PASS, Verdict.WARN, Verdict.FAIL]), score_of([])
    (0.6875, None)
    """
    if not verdicts:
        return None
    lost = sum(
        _WARNED if verdict is Verdict.WARN else 1.0 for verdict in verdicts if verdict is not Verdict.PASS
    )
    return round(1.0 - lost / len(verdicts), 4)


def event_quality(report: Report) -> dict[str, Any]:
    """Return what the event of an asset says about its quality, under Airflow's key and in its words."""
    checks = [CheckResult.from_dict(check) for check in report.body.get("checks", ())]
    counted = [check for check in checks if counts(check)]
    named = {verdict: [check.name for check in counted if check.verdict is verdict] for verdict in Verdict}
    failed = [*named[Verdict.FAIL], *named[Verdict.ERROR], *named[Verdict.UNKNOWN]]
    summary = {
        "run_uid": str(report.report_id),
        "ruleset": report.body.get("contract_digest"),
        "table": report.body.get("relation"),
        "score": score_of([check.verdict for check in counted]),
        "passed": len(named[Verdict.PASS]),
        "warned": len(named[Verdict.WARN]),
        "failed": len(named[Verdict.FAIL]),
        "errored": len(named[Verdict.ERROR]) + len(named[Verdict.UNKNOWN]),
        "failed_rules": sorted(failed),
        "warned_rules": sorted(named[Verdict.WARN]),
        "verdict": report.verdict,
        "report": report.report_id,
    }
    return {EVENT_KEY: summary}

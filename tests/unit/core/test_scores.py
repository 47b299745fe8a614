"""What an event says of quality is in the words of Airflow's own data-quality gate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_dataml.core.governance import Report
from airflow_dataml.core.quality import CheckResult, Verdict
from airflow_dataml.core.scores import EVENT_KEY, event_quality, score_of


def check(name: str, verdict: Verdict, **said: Any) -> dict[str, Any]:
    facts = {"id": f"checks.{name}", "type": "missing", "column": None, "threshold": "0"} | said
    return CheckResult(name=name, verdict=verdict, **facts).to_dict()


def summary(*checks: dict[str, Any], verdict: str = "pass") -> dict[str, Any]:
    body = {"checks": list(checks), "relation": "public.rides", "contract_digest": "c"}
    report = Report(7, "rides", "check", verdict, body, datetime.now(UTC))
    found: dict[str, Any] = event_quality(report)[EVENT_KEY]
    return found


def test_every_verdict_is_counted_and_what_failed_is_named() -> None:
    found = summary(
        check("b", Verdict.FAIL), check("a", Verdict.ERROR), check("c", Verdict.WARN), check("d", Verdict.PASS),
        verdict="error",
    )  # fmt: skip
    assert found == {
        "run_uid": "7", "ruleset": "c", "table": "public.rides", "score": 0.4375, "passed": 1, "warned": 1, "failed": 1,
        "errored": 1, "failed_rules": ["a", "b"], "warned_rules": ["c"], "verdict": "error", "report": 7,
    }  # fmt: skip


def test_what_has_too_little_data_to_say_is_not_counted() -> None:
    young = check("rows", Verdict.UNKNOWN, id="x-dataml.anomalies.rows", level="warn")
    assert summary(young, check("d", Verdict.PASS))["score"] == 1.0


@pytest.mark.parametrize(
    ("verdicts", "score"),
    [([Verdict.PASS] * 3, 1.0), ([Verdict.UNKNOWN], 0.0), ([Verdict.WARN], 0.75), ([], None)],
    ids=["all", "none", "warned", "no check"],
)
def test_the_score_is_a_share(verdicts: list[Verdict], score: float | None) -> None:
    assert score_of(verdicts) == score

from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.monitor_evidence import factors, taken_up
from airflow_dataml.core.monitor_metrics import judge_metric
from airflow_dataml.core.monitor_policy import MonitorMetric, MonitorPolicy
from airflow_dataml.core.monitor_tests import column_distances, window_tests
from airflow_dataml.core.monitor_verdict import incident_of, late_incident, summary_of, verdict_of
from airflow_dataml.core.monitoring import corrected
from tests.unit.core.test_monitoring import categories, profile


def found(before: dict[str, Any], now: dict[str, Any], **policy: Any) -> dict[str, bool]:
    tests = window_tests(before, now, columns=["x"], policy=MonitorPolicy(**policy))
    return {s.test: s.drifted for s in corrected(tests, level=0.01)}


class TestWindow:
    @pytest.fixture
    def normal(self) -> Any:
        import numpy as np

        draw = np.random.default_rng(5)
        return lambda shift=0.0, n=5000: draw.normal(shift, 1, n)

    def test_numbers_are_asked_by_three_tests(self, normal: Any) -> None:
        before = profile(normal())
        assert found(before, profile(normal())) == {"values": False, "ks": False, "missing": False}
        assert found(before, profile(normal(1.0), nulls=3000)) == {
            "values": True,
            "ks": True,
            "missing": True,
        }

    def test_a_category_nobody_has_seen(self) -> None:
        before = categories(a=5000, b=5000)
        assert found(before, categories(a=2000, b=2000), tolerance=0.0)["new_category"] is False
        assert found(before, categories(a=2000, b=1900, c=100), tolerance=0.0)["new_category"] is True

    def test_what_the_reference_does_not_know_wholly_is_not_new(self) -> None:
        before = categories(a=5000, b=5000)
        before["columns"]["x"]["other"] = 5
        assert "new_category" not in found(before, categories(c=2000))

    def test_too_few_rows_say_nothing(self, normal: Any) -> None:
        assert found(profile(normal()), profile(normal(3.0, n=100))) == {}
        sides = profile(normal()), profile(normal(3.0, n=100))
        assert factors(*sides, columns=["x"], policy=MonitorPolicy()) == {}
        assert column_distances(*sides, columns=["x"], policy=MonitorPolicy()) == {}

    def test_a_quarter_of_quiet_days_opens_no_alarm_and_a_shift_does(self, normal: Any) -> None:
        policy, before = MonitorPolicy(alarm_budget=90, tolerance=0.02), profile(normal(n=20_000))
        state: dict[str, Any] | None = None
        for day in range(90):
            evidence = factors(before, profile(normal(n=1000)), columns=["x"], policy=policy)
            state = taken_up(state, report=day, batch=f"{day:03}", found=evidence, policy=policy)
            assert not state["alarm"]
        for day in range(90, 95):
            evidence = factors(before, profile(normal(0.4, n=1000)), columns=["x"], policy=policy)
            state = taken_up(state, report=day, batch=f"{day:03}", found=evidence, policy=policy)
            if state["alarm"]:
                break
        assert state is not None
        assert state["suspects"] == ["x"]


def body(*, rows: int = 1000, **said: Any) -> dict[str, Any]:
    findings = {"decay": [], "prediction_drift": [], "input_drift": []} | said.pop("findings", {})
    plain = {"model": "m@1", "partition_key": "k", "reference": "d@1", "blind": [], "rows": rows}
    plain |= {"inputs": [{"column": "x"}], "prediction": []}
    return plain | {"findings": findings} | said


@pytest.mark.parametrize(
    ("said", "verdict", "incident"),
    [
        ({}, "pass", None),
        ({"blind": ["x"]}, "unknown", None),
        ({"reference": None}, "unknown", None),
        ({"inputs": []}, "unknown", None),
        ({"inputs": [], "prediction": [{"column": "score"}]}, "pass", None),
        ({"warnings": ["x moved"]}, "warn", None),
        ({"findings": {"input_drift": ["x moved"]}}, "warn", ("drift", "low")),
        (
            {"findings": {"input_drift": ["x moved"]}, "counting": {"failed": True}},
            "fail",
            ("drift", "medium"),
        ),
        ({"findings": {"prediction_drift": ["score moved"]}}, "fail", ("drift", "medium")),
        ({"findings": {"decay": ["loss"], "input_drift": ["x moved"]}}, "fail", ("decay", "high")),
        ({"findings": {"estimated_decay": ["loss expected"]}}, "fail", ("decay", "medium")),
        ({"findings": {"metric_failed": ["m is 3"]}}, "fail", ("drift", "medium")),
        ({"findings": {"late": ["labels"]}, "rows": 3}, "warn", None),
        ({"findings": {"decay": ["loss"]}, "rows": 3}, "fail", ("decay", "high")),
        ({"findings": {"metric_failed": ["m is 3"]}, "rows": 3}, "fail", ("drift", "medium")),
        ({"rows": 3}, "unknown", None),
        (
            {
                "findings": {"prediction_drift": ["counted before"]},
                "over_time": {"counted": False, "told": "counted before"},
            },
            "fail",
            None,
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_verdict_and_incident(said: dict[str, Any], verdict: str, incident: tuple[str, str] | None) -> None:
    report = body(**said)
    judged = verdict_of(report, MonitorPolicy())
    opened = incident_of(report, judged)
    assert (judged, opened and opened[:2]) == (verdict, incident)


def test_what_is_late_is_an_incident_of_its_own() -> None:
    assert late_incident(body(findings={"late": ["labels of k are late"]})) == (
        "data",
        "medium",
        "m@1: labels of k are late",
    )
    assert late_incident(body()) is None


def test_a_quiet_report_says_so() -> None:
    assert summary_of(body()) == "no drift and no decay beyond the tolerances"
    assert "nothing was tested" in summary_of(body(inputs=[]))


def test_a_metric_without_a_past_is_unknown() -> None:
    metric = MonitorMetric(name="m", sql="SELECT 1", learned=5)
    state = judge_metric(metric, 1.0, [1.0, 2.0], level=0.01)
    assert (state.verdict, state.reason) == (
        "unknown",
        "2 batches before, 3 are needed to say what is usual",
    )


@pytest.mark.parametrize(
    ("value", "verdict", "reason"),
    [
        (0.1 + 0.2, "pass", None),
        (0.31, "unknown", "0.31, and the 3 batches before are all 0.3: what is unusual cannot be told"),
    ],
    ids=["rounding", "another value"],
)
def test_a_past_that_never_varied_foretells_no_distance(
    value: float, verdict: str, reason: str | None
) -> None:
    metric = MonitorMetric(name="m", sql="SELECT 1", direction="both", learned=5)
    state = judge_metric(metric, value, [0.3, 0.3, 0.3], level=0.01)
    assert (state.verdict, state.reason) == (verdict, reason)

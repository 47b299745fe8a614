from __future__ import annotations

from typing import Any

import numpy as np  # noqa: TID253 - every test here makes rows with it
import pytest
from pydantic import ValidationError

from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.metric_gates import Finding, MetricGate, Scored, judge_gates

DRAW = np.random.default_rng(8)
SIGNAL = DRAW.normal(0, 1.5, 4000)
LABELS = (DRAW.random(4000) < 1 / (1 + np.exp(-SIGNAL))).astype(float)


def noisy(noise: float) -> Any:
    return 1 / (1 + np.exp(-SIGNAL - np.random.default_rng(1).normal(0, noise, 4000)))


def judge(noise: tuple[float, float] = (0.1, 2.0), rows: int = 4000, **gate: Any) -> list[Finding]:
    scored = Scored("binary", LABELS[:rows], noisy(noise[0])[:rows], noisy(noise[1])[:rows], {})
    return judge_gates([MetricGate(**gate)], scored, error=0.05)


@pytest.mark.parametrize(
    ("gate", "verdict"),
    [
        ({"metric": "roc_auc", "threshold": 0.75}, "pass"),
        ({"metric": "roc_auc", "threshold": 0.95}, "fail"),
        ({"metric": "log_loss", "threshold": 0.6}, "pass"),
        ({"metric": "log_loss", "threshold": 0.3}, "fail"),
        ({"metric": "roc_auc", "min_absolute_change": 0.05}, "pass"),
        ({"metric": "roc_auc", "min_absolute_change": 0.3}, "fail"),
        ({"metric": "log_loss", "min_relative_change": 0.1}, "pass"),
        ({"metric": "log_loss", "min_relative_change": 0.9}, "fail"),
        ({"metric": "expected_calibration_error", "threshold": 0.1}, "pass"),
        ({"metric": "expected_calibration_error", "threshold": 0.001}, "unknown"),
    ],
    ids=str,
)
def test_a_gate_is_judged_on_the_whole_interval(gate: dict[str, Any], verdict: str) -> None:
    [found] = judge(**gate)
    assert found.verdict == verdict, found.reason


def test_what_straddles_the_threshold_is_unknown() -> None:
    [measured] = judge(rows=300, metric="accuracy", threshold=0.5)
    assert measured.interval is not None
    [found] = judge(rows=300, metric="accuracy", threshold=measured.interval.estimate)
    assert found.verdict == "unknown"
    assert "cannot be told" in found.reason


def test_every_condition_of_a_gate_is_a_finding() -> None:
    found = judge(metric="f1", threshold=0.5, min_absolute_change=0.01, min_relative_change=0.01)
    assert [one.name for one in found] == ["f1", "f1 change", "f1 relative change"]


def test_an_equal_model_passes_a_change_almost_never() -> None:
    passed = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        signal = draw.normal(0, 1, 500)
        labels = (draw.random(500) < 1 / (1 + np.exp(-signal))).astype(float)
        sides = [1 / (1 + np.exp(-signal - draw.normal(0, 0.5, 500))) for _ in range(2)]
        scored = Scored("binary", labels, sides[0], sides[1], {})
        gate = MetricGate(metric="roc_auc", min_absolute_change=0.0)
        passed += judge_gates([gate], scored, error=0.05)[0].verdict == "pass"
    # One end of a 95 % interval: 5 expected; a comparison of two numbers passes about 100.
    assert passed <= 12


def test_a_share_of_nothing_is_unknown() -> None:
    scored = Scored("regression", SIGNAL, SIGNAL, -SIGNAL, {})
    [found] = judge_gates([MetricGate(metric="r2", min_relative_change=0.1)], scored, error=0.05)
    assert found.verdict == "unknown"
    assert "a share is of something above 0" in found.reason


def test_latency_is_a_gate_too() -> None:
    gates = [
        MetricGate(metric="latency_p95", threshold=5.0),
        MetricGate(metric="latency_p50", min_relative_change=0.0),
    ]
    draw = np.random.default_rng(0)
    quick, slow = draw.uniform(1, 2, 300).tolist(), draw.uniform(3, 9, 300).tolist()
    for timings, verdicts in (
        ((quick, slow), ["pass", "pass"]),
        ((slow, quick), ["fail", "fail"]),
        ((quick, []), ["pass", "unknown"]),
        (([1.0] * 5, []), ["unknown", "unknown"]),
    ):
        scored = Scored("binary", LABELS, LABELS, LABELS, {}, timings)
        assert [one.verdict for one in judge_gates(gates, scored, error=0.05)] == verdicts


def test_a_metric_of_another_task_names_those_of_this_one() -> None:
    with pytest.raises(PolicyError, match=r"'r2' is no metric of a binary model: gate on one of roc_auc"):
        judge(metric="r2", threshold=0.5)


@pytest.mark.parametrize(
    ("gate", "match"),
    [
        ({"metric": "roc_auc"}, "asks nothing"),
        ({"metric": "log_loss", "threshold": 1, "greater_is_better": True}, "less is better"),
        ({"metric": "roc_auc", "threshold": float("nan")}, "finite number"),
        ({"metric": "roc_auc", "min_absolute_change": -1}, "greater than or equal"),
    ],
    ids=["nothing", "contradiction", "nan", "negative"],
)
def test_a_gate_that_means_nothing_is_refused(gate: dict[str, Any], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        MetricGate(**gate)


def test_a_gate_on_no_metric_is_refused() -> None:
    with pytest.raises((PolicyError, ValidationError), match="there is no metric 'rocauc'"):
        MetricGate(metric="rocauc", threshold=1)

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.monitor_policy import MonitorMetric, MonitorPolicy


@pytest.mark.parametrize(
    "said",
    [
        {"reference": "rides@7"},
        {"alarm_budget": 90},
        {"slices": ["kind"], "slice_groups": 3},
        {"importance": 0.05, "counting": {"drifted": 3, "important": 1}},
        {"labels_from": 3, "max_label_delay": "P7D", "max_prediction_delay": 3600},
        {"metrics": [{"name": "n", "sql": "SELECT 1", "limit": 2}]},
    ],
    ids=lambda said: next(iter(said)),
)
def test_what_was_said_is_recorded_and_read_again(said: dict[str, Any]) -> None:
    policy = MonitorPolicy.model_validate(said)
    recorded = policy.model_dump(mode="json")
    assert set(said) <= set(recorded)
    assert MonitorPolicy.model_validate(recorded) == policy


def test_a_number_is_a_budget_in_windows() -> None:
    assert MonitorPolicy.model_validate({"alarm_budget": 90}) == MonitorPolicy.model_validate(
        {"alarm_budget": {"windows": 90}}
    )


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"name": "m"}, "either sql or callable"),
        ({"name": "m", "sql": "SELECT 1", "callable": "a:b"}, "either sql or callable"),
        ({"name": "m", "callable": "a.b"}, "no package.module:function"),
        ({"name": "m", "sql": "SELECT 1", "limit": 1, "learned": 5}, "has a limit and is learned"),
        ({"name": "m", "sql": "SELECT 1", "limit": 1, "direction": "both"}, "a limit has one side"),
    ],
    ids=["nothing", "both", "no import path", "limit and learned", "two-sided limit"],
)
def test_a_metric_says_one_thing(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        MonitorMetric.model_validate(said)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"metrics": [{"name": "m", "sql": "SELECT 1"}] * 2}, "named twice"),
        ({"counting": {"drifted": 1, "important": 1}}, "needs importance"),
        ({"reference": "rides@current"}, "is not 'training', 'previous' or a dataset version"),
        ({"reference": "previous", "alarm_budget": 9}, "against one reference"),
        ({"counting": {}, "alarm_budget": 9}, "judges single windows"),
        ({"max_label_delay": "P7D"}, "max_label_delay needs labels_from"),
    ],
    ids=[
        "twice",
        "importance",
        "alias",
        "previous with a budget",
        "counting with a budget",
        "late but never",
    ],
)
def test_what_does_not_fit_together_is_refused(said: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        MonitorPolicy.model_validate(said)

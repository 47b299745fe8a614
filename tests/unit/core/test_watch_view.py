"""What monitor reports say over time is read whatever release wrote them."""

from __future__ import annotations

import math

import pytest

from airflow_dataml.core.watch_view import watch_dict, watch_view


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"over_time": 3, "labels": {}, "metrics": [1], "estimated": [], "policy": None, "warnings": "x"},
        {"over_time": {"budget": True, "detector": {"sums": []}}, "labels": [{"scored": 4}]},
    ],
    ids=["empty", "other types", "no names"],
)
def test_a_body_without_numbers_is_still_read(body):
    found = watch_view(body)
    assert found.evidence is None
    assert (found.expected, found.arrived, found.metrics, found.moved, found.promised, found.warnings) == (
        (), (), (), None, None, (),
    )  # fmt: skip


def test_sums_stand_against_the_bar_the_largest_first():
    detector = {"windows": 2, "sums": {"a": 1.0, "b": 500.0, "c": math.inf}}
    body = {"over_time": {"budget": 60, "alarm": True, "suspects": ["b"], "detector": detector}}
    found = watch_view(body).evidence
    assert found is not None
    assert list(found.sums) == ["b", "a"]
    assert found.bar == pytest.approx(math.log(60))
    assert found.evidence == pytest.approx(500 - math.log(2))
    assert (found.alarm, found.suspects, found.counted) == (True, ("b",), True)


def test_slices_weigh_as_much_as_all_columns_and_a_shared_budget_has_another_bar():
    detector = {"budget": 180, "windows": 1, "sums": {"a": 1.0, "b": 1.0}, "slices": {"a where x is y": 1.0}}
    found = watch_view({"over_time": {"budget": 90, "detector": detector}}).evidence
    assert found is not None
    assert found.bar == pytest.approx(math.log(180))
    assert found.evidence == pytest.approx(1.0)
    assert list(found.sums) == ["a", "a where x is y", "b"]


def test_what_never_came_is_promised_only_with_a_delay():
    performance = {"labelled": 10, "scored": 40}
    body = {"performance": performance, "policy": {"max_label_delay": "P45D", "min_label_share": 0.9}}
    assert (watch_view(body).labelled, watch_view(body).promised) == (10, 0.9)
    assert watch_view({"performance": performance}).promised is None


def test_all_of_it_is_json():
    loss = {"estimate": 0.3, "low": 0.2, "high": 0.4, "level": 0.99, "n": 7}
    body = {
        "labels": [{"partition_key": "2013-11", "scored": 9, "labelled": 7, "loss": loss}],
        "estimated": {"log_loss": {"estimate": 0.3, "low": 0.2, "high": 0.4, "released": 0.25}, "n": 9},
        "metrics": [{"name": "alarms", "value": 0.1, "high": 0.2, "verdict": "pass"}],
        "attribution": {"share_shift": 0.12},
    }  # fmt: skip
    told = watch_dict(body)
    assert told["arrived"][0]["loss"] == loss
    assert [one["metric"] for one in told["expected"]] == ["log_loss"]
    assert (told["metrics"][0]["high"], told["moved"]) == (0.2, 0.12)

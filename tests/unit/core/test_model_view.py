"""Reports of any release are read in one form."""

from __future__ import annotations

import pytest

from airflow_dataml.core.model_view import evaluation_view, window_view


@pytest.mark.parametrize(
    "body",
    [{}, {"difference": None, "challenger": 3, "policy": []}, {"challenger": {"loss": {"estimate": "x"}}}],
    ids=["empty", "other types", "no number"],
)
def test_an_evaluation_without_numbers_is_still_read(body):
    view = evaluation_view(body)
    assert view.difference is None
    assert view.margin is None


@pytest.mark.parametrize(
    "body",
    [{}, {"inputs": 1, "findings": [], "performance": None}, {"inputs": [{"psi": 1}, 4], "blind": "km"}],
    ids=["empty", "other types", "no column"],
)
def test_a_window_without_numbers_is_still_read(body):
    view = window_view(body)
    assert (view.inputs, view.now, view.limit, view.blind) == ((), None, None, ())


def test_what_is_borne_is_known_only_with_both_its_parts():
    performance, policy = {"released": 0.5}, {"decay_tolerance": 0.3}
    assert window_view({"performance": performance, "policy": policy}).limit == pytest.approx(0.65)
    assert window_view({"performance": performance}).limit is None


def test_true_is_no_number():
    assert evaluation_view({"rows": True, "policy": {"margin": False}}).rows is None

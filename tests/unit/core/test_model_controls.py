"""What a model must have, by how much depends on it."""

from __future__ import annotations

import pytest

from airflow_dataml.core.model_controls import ControlPolicy, judge_controls

SAID = {"owner": "ana", "description": "says which rides are late", "documentation": "Not for fines."}
MEASURED = {"evaluation": True, "explanation": True, "approval": True}


@pytest.mark.parametrize(
    ("importance", "missing"),
    [
        ("critical", ["owner", "description", "evaluation", "intended use", "explanation", "approval"]),
        ("high", ["owner", "description", "evaluation", "intended use", "explanation"]),
        ("moderate", ["owner", "description", "evaluation"]),
        ("low", ["owner"]),
        (None, ["owner", "description", "evaluation"]),
    ],
    ids=str,
)
def test_the_more_depends_on_it_the_more_is_asked(importance, missing):
    found = judge_controls(asset={"importance": importance}, evidence={}, policy=ControlPolicy())
    assert [one.control for one in found.missing] == missing
    assert (found.verdict, found.assumed) == ("fail", importance is None)
    assert all(one.remedy for one in found.missing)


@pytest.mark.parametrize("importance", ["critical", "high", "moderate", "low"], ids=str)
def test_with_everything_there_it_passes(importance):
    found = judge_controls(asset=SAID | {"importance": importance}, evidence=MEASURED, policy=ControlPolicy())
    assert (found.verdict, found.missing) == ("pass", ())
    assert found.summary == f"everything a model of {importance} importance needs is there"


def test_what_is_missing_is_told_with_what_to_do():
    found = judge_controls(
        asset=SAID | {"importance": "critical"},
        evidence=MEASURED | {"approval": False},
        policy=ControlPolicy(),
    )
    assert found.summary == (
        "a model of critical importance needs more: no approval: have a person approve this version"
    )


def test_nothing_may_be_asked_of_an_importance():
    found = judge_controls(asset={"importance": "low"}, evidence={}, policy=ControlPolicy(low=()))
    assert (found.verdict, found.results) == ("pass", ())


def test_a_documentation_of_blanks_is_none():
    found = judge_controls(
        asset=SAID | {"documentation": "  \n", "importance": "high"},
        evidence=MEASURED,
        policy=ControlPolicy(),
    )
    assert [one.control for one in found.missing] == ["intended use"]

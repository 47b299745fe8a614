"""Attributions, their drift, the groups of rows, and the rows that are looked at alone."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from airflow_dataml.core.explanation import (
    ExplanationSpec,
    attribution_drift,
    attributions,
    extremes_of,
    groups_of,
    summary_of,
    typical_values,
    verdict_of,
)
from airflow_dataml.core.features import CategoricalEncoding, FeatureEncoding, NumericEncoding


def kept(**shares):
    return [{"feature": n, "share": s, "importance": {"estimate": s}} for n, s in shares.items()]


class TestAttributions:
    def test_the_interval_is_students_over_the_repeats(self):
        [found] = attributions({"km": [1.0, 2.0, 3.0]}, level=0.95)
        assert (found.importance.estimate, found.importance.n) == (2.0, 3)
        # 4.302653 is the 97.5 % point of Student's t with two degrees of freedom.
        assert found.importance.high - 2.0 == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)

    def test_what_helps_nothing_has_no_share(self):
        found = attributions({"worse": [-0.1, -0.3], "km": [0.3, 0.3], "hour": [0.1, 0.1]})
        assert [(one.feature, round(one.share, 3)) for one in found] == [
            ("km", 0.75), ("hour", 0.25), ("worse", 0.0),
        ]  # fmt: skip

    def test_a_model_that_rests_on_nothing_has_no_shares(self):
        assert {one.share for one in attributions({"a": [0.0, 0.0], "b": [-1.0, 0.0]})} == {0.0}


class TestDrift:
    def test_the_same_explanation_did_not_move(self):
        drift = attribution_drift(kept(km=0.7, hour=0.3), kept(km=0.7, hour=0.3))
        assert (drift.rank_correlation, drift.share_shift) == (1.0, 0.0)

    def test_a_new_feature_counts_as_nothing_before(self):
        drift = attribution_drift(kept(km=1.0), kept(km=0.6, rain=0.4)).to_dict()
        assert drift["share_shift"] == pytest.approx(0.4)
        assert [one["feature"] for one in drift["shares"]] == ["km", "rain"]

    @pytest.mark.parametrize(
        ("old", "new"),
        [(kept(km=1.0), kept(km=1.0)), (kept(a=0.0, b=0.0), kept(a=0.4, b=0.6))],
        ids=["one feature", "all equal"],
    )
    def test_where_nothing_can_be_ranked_there_is_no_correlation(self, old, new):
        assert attribution_drift(old, new).rank_correlation is None


class TestGroups:
    def test_a_number_is_cut_into_quarters(self):
        found = groups_of("km", [float(n) for n in range(1, 9)] + [math.nan], kind="numeric")
        assert [len(rows) for _, rows in found] == [2, 2, 2, 2, 1]
        assert (found[0][0], found[-1][0]) == ("1 to 2.75", "missing")
        assert sorted(place for _, rows in found for place in rows.tolist()) == list(range(9))

    def test_a_constant_is_one_group(self):
        assert [(what, len(rows)) for what, rows in groups_of("km", [2.0] * 5, kind="numeric")] == [
            ("2 to 2", 5)
        ]

    def test_a_column_of_nothing_is_one_group(self):
        assert [what for what, _ in groups_of("km", [math.nan] * 3, kind="numeric")] == ["missing"]

    def test_of_many_values_the_most_frequent_are_taken(self):
        found = groups_of("kind", ["a", "b", "b", "c", "c", "c"], kind="categorical", most=2)
        assert [(what, len(rows)) for what, rows in found] == [("c", 3), ("b", 2)]


def test_each_extreme_row_is_taken_once():
    assert extremes_of([0.5, 0.1], 10) == [(1 - 1, "high"), (1, "low")]
    assert extremes_of([0.5], 0) == []


def test_typical_is_the_mean_and_the_most_frequent_value():
    encoding = FeatureEncoding(
        numeric=(NumericEncoding(name="km", mean=7.5, std=1.0, missing_fraction=0.0),),
        categorical=(
            CategoricalEncoding(name="kind", vocabulary=("bus", "tram")),
            CategoricalEncoding(name="void", vocabulary=()),
        ),
    )
    assert typical_values(encoding) == {"km": 7.5, "kind": "bus", "void": None}


@pytest.mark.parametrize(
    ("rows", "shift", "verdict"),
    [
        (50, None, "unknown"),
        (500, None, "pass"),
        (500, 0.2, "pass"),
        (500, 0.3, "warn"),
        (50, 0.3, "unknown"),
    ],
    ids=str,
)
def test_the_verdict_is_of_rows_and_drift(rows, shift, verdict):
    drift = None if shift is None else {"share_shift": shift, "against": "m@1"}
    assert verdict_of({"rows": rows, "drift": drift}, ExplanationSpec()) == verdict


def test_the_summary_names_what_leads_and_what_moved():
    body = {"rows": 900, "features": kept(km=0.8, hour=0.2), "drift": {"share_shift": 0.3, "against": "m@1"}}
    assert summary_of(body) == "permutation importance on 900 rows: km 80%, hour 20%; 30% moved since m@1"


def test_one_repeat_has_no_interval():
    with pytest.raises(ValidationError, match="greater than or equal to 2"):
        ExplanationSpec(repeats=1)

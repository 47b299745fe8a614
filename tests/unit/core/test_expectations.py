"""Verdicts of our own checks, and what they do to a report."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_dataml.core.anomaly import Point
from airflow_dataml.core.contract_expectations import AnomalyCheck, DistributionCheck, ReferenceCheck
from airflow_dataml.core.expectations import (
    Dangling,
    age,
    judge_anomaly,
    judge_distribution,
    judge_reference,
    measure,
    unanswered,
    verdict_of,
    with_expectations,
)
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict
from airflow_dataml.core.refs import Relation

NOW = datetime(2026, 1, 5, tzinfo=UTC)
PAST = [Point(float(value)) for value in (20, 22, 19, 21, 20, 23, 20, 18, 21, 22, 19, 20, 21, 20)]
KM = {"type": "double precision", "nulls": 1, "min": 1.0, "max": 5.0, "sum": 9.0, "squares": 35.0}


def report(*verdicts: Verdict, errors: tuple[str, ...] = ()) -> QualityReport:
    checks = tuple(CheckResult(str(n), "row_count", None, "rows", v, "> 0") for n, v in enumerate(verdicts))
    return QualityReport("e", "1", "d", Relation("a", "b"), 1, checks, NOW, NOW, errors)


@pytest.mark.parametrize(
    ("function", "column", "value"),
    [
        ("row_count", None, 4.0), ("missing", KM, 1.0), ("missing_percent", KM, 25.0), ("avg", KM, 3.0), ("min", KM, 1.0),
        ("max", KM, 5.0), ("sum", KM, 9.0), ("stddev", KM, 2.0), ("distinct", {"nulls": 0, "distinct": 3}, 3.0),
        ("distinct", KM, None), ("avg", None, None), ("avg", {"nulls": 0, "values": []}, None), ("stddev", {"nulls": 0, "values": []}, None),
        ("max", {"nulls": 0, "max": "2026-01-01"}, None), ("avg", KM | {"nulls": 4}, None), ("stddev", KM | {"nulls": 3}, None),
        ("missing", None, None),
    ],
)  # fmt: skip
def test_metrics_are_read_from_profiles(function: str, column: Any, value: float | None) -> None:
    assert measure(column, 4, function) == value


@pytest.mark.parametrize(
    ("newest", "hours"),
    [
        ("2026-01-04", 24.0),
        ("2026-01-04 23:00:00+00:00", 1.0),
        (None, None),
        (5.0, None),
        ("0044-03-15 BC", None),
    ],
    ids=str,
)
def test_an_age_needs_a_time(newest: Any, hours: float | None) -> None:
    assert age({"max": newest}, NOW) == hours


class TestVerdict:
    YOUNG = unanswered(AnomalyCheck(metric="row_count"), Verdict.UNKNOWN, "learns")

    def test_too_little_data_for_our_checks_does_not_count(self) -> None:
        found = with_expectations(report(Verdict.PASS), [self.YOUNG])
        assert (verdict_of(found), found.checks[-1].verdict) == (Verdict.PASS, Verdict.UNKNOWN)
        assert found.summary().startswith("1 had too little data of 2 checks")

    def test_too_little_data_for_the_engine_does(self) -> None:
        assert verdict_of(with_expectations(report(Verdict.UNKNOWN), [self.YOUNG])) is Verdict.UNKNOWN

    def test_an_error_of_the_engine_stays_one(self) -> None:
        assert verdict_of(report(Verdict.PASS, errors=("broke",))) is Verdict.ERROR

    def test_alone_it_is_no_evidence(self) -> None:
        assert verdict_of(with_expectations(report(), [self.YOUNG])) is Verdict.ERROR

    def test_it_survives_the_way_to_the_ledger(self) -> None:
        found = with_expectations(report(Verdict.PASS), [self.YOUNG])
        assert verdict_of(QualityReport.from_dict(found.to_dict())) is Verdict.PASS


class TestAnomaly:
    @pytest.mark.parametrize(
        ("value", "level", "verdict"),
        [(20.0, "fail", "pass"), (90.0, "fail", "fail"), (90.0, "warn", "warn"), (None, "warn", "error")],
    )
    def test_a_number_is_held_against_its_past(self, value: float | None, level: Any, verdict: str) -> None:
        found = judge_anomaly(AnomalyCheck(metric="row_count", level=level), value, PAST, at=NOW)
        assert (found.verdict.value, found.type, found.level) == (verdict, "anomaly", level)

    def test_the_range_is_told(self) -> None:
        found = judge_anomaly(AnomalyCheck(metric="row_count", name="rows a day"), 90.0, PAST, at=NOW)
        assert found.sentence.startswith("rows a day is 90, expected between ")
        assert found.diagnostics["method"] == "student-t"

    def test_a_short_past_is_told_and_does_not_warn(self) -> None:
        found = judge_anomaly(AnomalyCheck(metric="row_count"), 90.0, PAST[:3], at=NOW)
        assert (found.verdict, found.level, found.observed) == (Verdict.UNKNOWN, "warn", 90.0)
        assert found.sentence == "row_count: learns: 3 of at least 14 past values"


def numbers(cells: dict[int, int], *, nulls: int = 0) -> dict[str, Any]:
    column = {"type": "integer", "nulls": nulls, "grid": [0, 1], "cells": [[c, n] for c, n in cells.items()]}
    return {"rows": sum(cells.values()) + nulls, "columns": {"x": column}}


def words(values: dict[str, int], *, nulls: int = 0, other: int = 0, **more: Any) -> dict[str, Any]:
    column = {"type": "text", "nulls": nulls, "values": [[v, n] for v, n in values.items()], "other": other}
    return {"rows": sum(values.values()) + nulls + other, "columns": {"x": column | more}}


class TestDistribution:
    CHECK = DistributionCheck(column="x", reference="old@1", min_rows=100)

    @pytest.mark.parametrize(
        ("reference", "current", "verdict", "detail"),
        [
            pytest.param(numbers({1: 500, 2: 500}), numbers({1: 480, 2: 520}), "pass", "", id="same"),
            pytest.param(numbers({1: 500, 2: 500}), numbers({1: 100, 2: 900}), "fail", "values moved by 0.8", id="moved"),
            pytest.param(numbers({1: 60, 2: 60}), numbers({1: 40, 2: 80}), "pass", "", id="few rows move by chance"),
            pytest.param(numbers({1: 1000}), numbers({1: 600}, nulls=400), "fail", "missing moved", id="missing"),
            pytest.param(numbers({1: 50}), numbers({1: 500}), "unknown", "fewer than 100 values here or in old@1", id="few"),
            pytest.param(numbers({1: 500}), numbers({1025: 100, 1: 400}), "fail", "values moved", id="off the edges and seen"),
            pytest.param(numbers({1: 940, 1025: 60}), numbers({1: 940, 1025: 60}), "unknown", "outside the histogram", id="blind"),
            pytest.param(words({"a": 500, "b": 500}), words({"a": 470, "b": 530}), "pass", "", id="same words"),
            pytest.param(words({"a": 500, "b": 500}), words({"a": 450, "b": 450, "c": 100}), "fail", "new values moved", id="new word"),
            pytest.param(words({"a": 500, "b": 500}), words({"a": 500, "b": 499, "c": 1}), "pass", "", id="one new word is borne"),
            pytest.param(words({"a": 500}), numbers({1: 500}), "error", "is integer here and text in old@1", id="other kind"),
            pytest.param({"rows": 1, "columns": {}}, numbers({1: 500}), "error", "has no profile in old@1", id="no column"),
            pytest.param(numbers({1: 9}), {"rows": 1, "columns": {"x": {"width": 1}}}, "error", "point in time", id="time"),
        ],
    )  # fmt: skip
    def test_a_batch_is_held_against_a_version(
        self, reference: Any, current: Any, verdict: str, detail: str
    ) -> None:
        found = judge_distribution(self.CHECK, reference, current, version="old@1")
        assert found.verdict.value == verdict
        assert detail in found.detail

    def test_new_words_are_told_as_far_as_they_may_be_shown(self) -> None:
        pair = words({"a": 500}), words({"a": 100, "b": 300, "c": 100})
        shown = [judge_distribution(self.CHECK, *pair, version="old@1", show=n) for n in (1, 0)]
        assert [found.diagnostics["new_values"] for found in shown] == [["b"], []]

    @pytest.mark.parametrize("more", [{"other": 5}, {"sampled": 400.0}], ids=["cut off", "sampled"])
    def test_what_a_version_does_not_know_all_of_it_calls_nothing_new(self, more: dict[str, Any]) -> None:
        reference = words({"a": 500}, **more)
        found = judge_distribution(self.CHECK, reference, words({"a": 495, "b": 5}), version="old@1")
        assert [test["test"] for test in found.diagnostics["tests"]] == ["values", "missing"]


class TestReference:
    @pytest.mark.parametrize(("rows", "verdict"), [(0, "pass"), (2, "pass"), (3, "fail")])
    def test_rows_without_a_match_are_counted(self, rows: int, verdict: str) -> None:
        check = ReferenceCheck(columns=["a", "b"], dataset="keys", max_failed=2)
        found = judge_reference(check, Dangling(rows, 2, [{"key": ["x", "y"], "rows": 1}]), version="keys@1")
        assert (found.verdict.value, found.observed) == (verdict, rows)
        assert ("such as (x, y)" in found.sentence) == (verdict == "fail")

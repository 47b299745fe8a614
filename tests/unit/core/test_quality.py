"""Verdicts and reports."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from airflow_dataml.core.contract import Contract
from airflow_dataml.core.quality import CheckResult, QualityReport, Verdict
from airflow_dataml.core.refs import Relation

CONTRACT = """
dataset: w/rides
columns:
  - name: km
    checks:
      - missing:
      - aggregate: {function: avg, threshold: {must_be_less_than: 1200}}
checks:
  - row_count:
"""
NOW = datetime(2013, 2, 1, tzinfo=UTC)
ROWS, MISSING, AVERAGE = "checks.row_count", "columns.km.checks.missing", "columns.km.checks.aggregate"


def report(
    verdicts: dict[str, Verdict], *, rows: int | None = 10, errors: tuple[str, ...] = (), extension: str = ""
) -> QualityReport:
    """A report with these verdicts; a check that is not named has no result."""
    contract = Contract.from_text(CONTRACT + extension)
    known = {check.id: check for check in contract.checks}
    found = [CheckResult.of(known[name], verdict, observed=7) for name, verdict in verdicts.items()]
    return conclude(contract, found=found, rows=rows, errors=errors)


def conclude(contract: Contract, **facts: Any) -> QualityReport:
    return QualityReport.conclude(
        contract=contract,
        engine="fake",
        engine_version="1",
        relation=Relation("public", "rides"),
        started=NOW,
        finished=NOW,
        **facts,
    )


PASSING = {ROWS: Verdict.PASS, MISSING: Verdict.PASS, AVERAGE: Verdict.PASS}


def test_the_worst_verdict_does_not_depend_on_the_order() -> None:
    ranked = [Verdict.PASS, Verdict.WARN, Verdict.UNKNOWN, Verdict.FAIL, Verdict.ERROR]
    for better, worse in itertools.combinations(ranked, 2):
        assert Verdict.worst([better, worse]) is Verdict.worst([worse, better]) is worse


@pytest.mark.parametrize("verdict", [Verdict.WARN, Verdict.FAIL, Verdict.UNKNOWN, Verdict.ERROR], ids=str)
def test_one_check_decides_the_report(verdict: Verdict) -> None:
    assert report(PASSING | {AVERAGE: verdict}).verdict is verdict


def test_a_check_without_a_result_is_an_error() -> None:
    found = report({ROWS: Verdict.PASS, MISSING: Verdict.PASS})
    assert found.verdict is Verdict.ERROR
    assert (
        found.summary() == "1 could not be evaluated of 4 checks on 10 rows: avg(km) could not be evaluated."
    )


def test_an_error_beside_passing_checks_is_an_error() -> None:
    found = report(PASSING, errors=("the server\n  is  gone.",))
    assert found.verdict is Verdict.ERROR
    assert found.summary() == "all 4 checks passed on 10 rows: the server is gone."


def test_the_reason_comes_before_the_checks_it_voided() -> None:
    found = report({ROWS: Verdict.FAIL, AVERAGE: Verdict.ERROR}, rows=None, errors=("no column km",))
    assert (
        found.summary()
        == "1 failed, 3 could not be evaluated of 4 checks: no column km; row_count is 7, expected > 0."
    )


def test_an_answer_nobody_asked_for_is_an_error() -> None:
    other = Contract.from_text("dataset: w/x\ncolumns: []\nchecks: [schema: ]")
    found = conclude(
        other, found=[CheckResult.of(Contract.from_text(CONTRACT).checks[0], Verdict.PASS)], rows=1
    )
    assert found.errors == ("the engine answered a check that was not asked: checks.row_count",)


@pytest.mark.parametrize(
    ("extension", "average", "verdict"),
    [
        pytest.param("", Verdict.UNKNOWN, Verdict.FAIL, id="rows required"),
        pytest.param("x-dataml: {require_rows: false}", Verdict.PASS, Verdict.PASS, id="empty allowed"),
    ],
)
def test_an_empty_table(extension: str, average: Verdict, verdict: Verdict) -> None:
    found = report(PASSING | {AVERAGE: Verdict.ERROR}, rows=0, extension=extension)
    assert found.verdict is verdict
    assert next(check.verdict for check in found.checks if check.id == AVERAGE) is average


def test_rows_nobody_counted_are_an_error() -> None:
    assert report(PASSING, rows=None).verdict is Verdict.ERROR


def test_the_worst_checks_are_those_that_failed() -> None:
    found = report({ROWS: Verdict.WARN, MISSING: Verdict.ERROR, AVERAGE: Verdict.FAIL})
    assert [check.id for check in found.worst(2)] == [AVERAGE, MISSING]
    assert found.summary() == (
        "1 failed, 1 could not be evaluated, 1 warned of 4 checks on 10 rows: "
        "avg(km) is 7, expected < 1200; missing(km) is 7, expected = 0; row_count is 7, expected > 0."
    )


def test_a_passing_report_says_so() -> None:
    assert report(PASSING, rows=28834).summary() == "all 4 checks passed on 28,834 rows."


def test_a_report_survives_json() -> None:
    found = report(PASSING | {AVERAGE: Verdict.FAIL}, errors=("a",))
    values = json.loads(json.dumps(found.to_dict()))
    assert values["verdict"] == "error"
    assert QualityReport.from_dict(values) == found


def test_a_number_json_does_not_know_becomes_text() -> None:
    result = CheckResult.of(Contract.from_text(CONTRACT).checks[0], Verdict.FAIL, observed=float("nan"))
    assert result.observed == "nan"
    assert result.sentence == "row_count is nan, expected > 0"


def test_a_detail_replaces_the_number() -> None:
    result = CheckResult(
        "i", "schema", None, "schema", Verdict.FAIL, "as in the contract", 1, detail="column 'a' is missing"
    )
    assert result.sentence == "schema: column 'a' is missing"

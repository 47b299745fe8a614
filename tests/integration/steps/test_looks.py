"""Measuring one challenger again and again, with gates, slices and groups, on the real ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.errors import ConflictError, NotFoundError, SpecError
from airflow_dataml.core.evaluation import PromotionPolicy
from airflow_dataml.core.looks import Look
from airflow_dataml.steps.evaluate import Bench, evaluate_model
from tests.fakes import LineScorer
from tests.integration.steps.test_models import GOOD, POOR, Deployment
from tests.support import identity

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.core.datasets import Version
    from airflow_dataml.core.governance import Report

pytestmark = pytest.mark.integration
KM = {"column": "km", "edges": [5.0]}
# Between the two, so that one month is too little to tell.
FAIR = (0.02, 0.077)


def challenged(
    ledger: PostgresLedger, folder: Path, *lines: tuple[float, float]
) -> tuple[Deployment, Version]:
    deployment = Deployment(ledger, folder, *lines)
    deployment.first_champion()
    return deployment, deployment.challenge()[0]


def look(deployment: Deployment, version: Version, day: str, **policy: Any) -> Report:
    return deployment.evaluate(day, version.ref, looks=30, **policy)


def test_looks_count_every_row_once(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)
    first = look(deployment, version, "day 1")
    deployment.ingest(3)
    second = look(deployment, version, "day 2")
    found = [Look.from_dict(report.body["look"]) for report in (first, second)]
    assert [one.number for one in found] == [1, 2]
    assert found[1].previous == first.report_id
    assert found[1].since == found[0].until
    # The held out half of February, then all of March.
    assert 1000 <= found[0].total.n <= 1100
    assert found[1].total.n == found[0].total.n + 2000
    assert (second.body["rows"], second.body["dataset"]) == (2000, "rides@3")
    assert second.verdict == "pass"
    assert f"on {found[1].total.n} rows in 2 looks" in second.body["summary"]


def test_a_retry_looks_once(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)
    first = look(deployment, version, "day 1")
    deployment.ingest(3)
    assert look(deployment, version, "day 1").report_id == first.report_id


def test_without_new_rows_what_was_found_stays(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)
    first = look(deployment, version, "day 1")
    again = look(deployment, version, "day 2")
    assert again.body["look"] == first.body["look"]
    assert again.verdict == first.verdict
    assert again.body["summary"].startswith(f"no row came since report {first.report_id}: ")
    with pytest.raises(SpecError, match=f"no labelled row since report {again.report_id}"):
        look(deployment, version, "day 3", margin=0.5)
    deployment.ingest(3)
    assert look(deployment, version, "day 4").body["look"]["number"] == 2


def test_an_equal_challenger_is_never_promoted_however_often_one_looks(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    deployment, version = challenged(ledger, tmp_path, GOOD, FAIR)
    verdicts = [look(deployment, version, "day 2").verdict]
    for month in (3, 4, 5):
        deployment.ingest(month)
        verdicts.append(look(deployment, version, f"day {month}").verdict)
    assert "pass" not in verdicts


def test_another_champion_is_another_comparison(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)
    first = look(deployment, version, "day 1")
    deployment.promote("day 1", first)
    assert ledger.versions.find("ride_late@champion").ref == version.ref
    older = ledger.versions.find("ride_late@1")
    deployment.ingest(3)
    found = look(deployment, older, "day 2").body["look"]
    # From the holdout of its own training on, against a champion it never met.
    assert (found["number"], found["previous"]) == (1, None)


def test_two_looks_at_once_are_one_too_many(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)

    class Meanwhile(LineScorer):
        """While it is loaded, somebody else looks."""

        looked = False

        def __init__(self, model_dir: Path) -> None:
            super().__init__(model_dir)
            if not Meanwhile.looked:
                Meanwhile.looked = True
                look(deployment, version, "theirs")

    def mine() -> Report:
        return evaluate_model(
            ledger=ledger,
            warehouse=ledger.warehouse,
            identity=identity("evaluate", "mine"),
            challenger=version.ref,
            policy=PromotionPolicy(looks=30),
            bench=Bench(deployment.registry, Meanwhile, tmp_path),
        )

    with pytest.raises(ConflictError, match="another task looked at ride_late@2 meanwhile"):
        mine()
    deployment.ingest(3)
    assert mine().body["look"]["number"] == 2


def test_gates_slices_and_groups_are_judged_and_kept(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)
    report = deployment.evaluate(
        "ruled",
        version.ref,
        gates=[
            {"metric": "roc_auc_score", "threshold": 0.6},
            {"metric": "latency_p95", "threshold": 10_000},
        ],
        slices=[KM],
        fairness=[KM | {"max_difference": 0.2}],
    )
    kept = {
        kind: {one["name"]: one["verdict"] for one in report.body[kind]}
        for kind in ("gates", "slices", "fairness")
    }
    assert kept == {
        "gates": {"roc_auc": "pass", "latency_p95": "pass"},
        "slices": {"km=below 5": "pass", "km=5 and more": "pass"},
        # Long rides are late, and the model says so.
        "fairness": {"selection_rate by km, below 5/5 and more": "fail"},
    }
    assert report.verdict == "fail"
    assert deployment.promote("ruled", report).body["action"] == "keep"
    sides = [report.body[side]["metrics"] for side in ("challenger", "opponent")]
    assert all({"latency_p50", "latency_p95", "expected_calibration_error"} <= set(one) for one in sides)


def test_slices_add_up_over_looks(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)
    rules: dict[str, Any] = {"slices": [KM], "fairness": [KM]}
    first = look(deployment, version, "day 1", **rules)
    deployment.ingest(3)
    second = look(deployment, version, "day 2", **rules)
    rows = [sum(one["rows"] for one in report.body["slices"]) for report in (first, second)]
    assert rows[1] == rows[0] + 2000


def test_a_column_that_is_not_there_is_named(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment, version = challenged(ledger, tmp_path, POOR, GOOD)
    with pytest.raises(NotFoundError, match=r"column of rides@2 'lat' does not exist\. Did you mean 'late'"):
        deployment.evaluate("x", version.ref, slices=["lat"])
    assert deployment.evaluate("x", version.ref).verdict == "pass"

"""What a scored batch's labels are expected to show, on the real ledger."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import NotFoundError
from airflow_dataml.core.estimation import Calibration
from airflow_dataml.core.metrics import METRICS, measure
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.steps.estimated import estimate_batch, expect_batch, measure_batch, score_cells
from airflow_dataml.steps.observing import find_window
from airflow_dataml.steps.observing_labels import labels_of
from tests.integration.steps.test_models import GOOD, Deployment

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

pytestmark = pytest.mark.integration
BATCH = "2026-03"


def scored(ledger: PostgresLedger, folder: Path, *, longer: float = 0.0) -> Deployment:
    deployment = Deployment(ledger, folder, GOOD)
    deployment.first_champion()
    deployment.ingest(3, longer=longer)
    deployment.score(BATCH)
    return deployment


def estimated(ledger: PostgresLedger, **policy: Any) -> dict[str, Any] | None:
    return estimate_batch(
        ledger=ledger,
        warehouse=ledger.warehouse,
        window=find_window(ledger, "ride_scores", BATCH, None),
        policy=MonitorPolicy(**policy),
    )


def forget_calibration(ledger: PostgresLedger) -> None:
    ledger.connection.execute("ALTER TABLE dataml.report DISABLE TRIGGER USER")
    ledger.connection.execute("UPDATE dataml.report SET body = body - 'calibration'")


def test_a_batch_like_the_holdout_is_estimated_near_what_was_released(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    scored(ledger, tmp_path)
    evaluation = ledger.reports.latest(asset="ride_late", kind="evaluation")
    found = estimated(ledger)
    assert found is not None
    assert evaluation is not None
    assert (found["n"], found["level"], found["evaluation"]) == (2000, 0.99, evaluation.report_id)
    assert found["released"] == evaluation.body["challenger"]["loss"]["estimate"]
    for name in ("roc_auc", "log_loss", "brier_score_loss", "accuracy"):
        one = found[name]
        assert one["low"] < one["released"] < one["high"]
        assert one["estimate"] == pytest.approx(one["released"], abs=0.03)
    assert json.loads(json.dumps(found)) == found


def test_what_the_labels_show_lies_in_the_intervals(ledger: PostgresLedger, tmp_path: Path) -> None:
    scored(ledger, tmp_path, longer=-3.0)
    found = estimated(ledger)
    [measured] = ledger.connection.rows(
        """SELECT avg((s.score - r.late::int) ^ 2) AS brier, avg(((s.score >= 0.5) = r.late)::int) AS accuracy
           FROM public.ride_scores s JOIN public.rides r USING (id) WHERE s.model_role = 'champion'"""
    )
    assert found is not None
    # A short ride is never late, so the scores are surer and the loss is smaller.
    assert found["brier_score_loss"]["high"] < found["brier_score_loss"]["released"]
    assert found["brier_score_loss"]["low"] < measured["brier"] < found["brier_score_loss"]["high"]
    assert found["accuracy"]["low"] < measured["accuracy"] < found["accuracy"]["high"]


def test_the_database_counts_cells_as_the_calibration_does(ledger: PostgresLedger, tmp_path: Path) -> None:
    deployment = Deployment(ledger, tmp_path, GOOD)
    deployment.first_champion()
    # Holdout and batch have the same scores where the batch is the second half of February.
    deployment.score("2026-02")
    evaluation = ledger.reports.latest(asset="ride_late", kind="evaluation")
    assert evaluation is not None
    calibration = Calibration.from_dict(evaluation.body["calibration"])
    window = find_window(ledger, "ride_scores", "2026-02", None)
    counted = dict(score_cells(ledger.warehouse, window, calibration))
    assert sum(counted.values()) == 2000
    assert all(counted[cell] >= rows for cell, rows in enumerate(calibration.rows) if rows)


def test_a_version_without_a_calibration_has_no_estimate(ledger: PostgresLedger, tmp_path: Path) -> None:
    scored(ledger, tmp_path)
    forget_calibration(ledger)
    assert estimated(ledger) is None


def test_a_small_batch_has_no_estimate(ledger: PostgresLedger, tmp_path: Path) -> None:
    scored(ledger, tmp_path)
    assert estimated(ledger, min_rows=2001) is None


def test_measures_are_those_of_the_metrics(ledger: PostgresLedger, tmp_path: Path) -> None:
    scored(ledger, tmp_path)
    window = find_window(ledger, "ride_scores", BATCH, None)
    labels = labels_of(ledger, window, keys=("id",), labels=None, branch=None)
    rows = ledger.connection.rows(
        "SELECT late::int AS y, score FROM public.ride_scores JOIN public.rides USING (id)"
    )
    found = measure_batch(warehouse=ledger.warehouse, window=window, labels=labels)
    assert found.pop("n") == 2000
    for name, value in found.items():
        measured = measure(METRICS[name], [r["y"] for r in rows], [r["score"] for r in rows], level=0.95)
        assert measured is not None
        assert value == pytest.approx(measured.estimate)


def test_a_regression_is_measured_by_its_squared_errors(ledger: PostgresLedger, tmp_path: Path) -> None:
    scored(ledger, tmp_path)
    window = find_window(ledger, "ride_scores", BATCH, None)
    labels = labels_of(ledger, window, keys=("id",), labels=None, branch=None)
    facts = window.champion.facts
    regression = replace(
        window,
        champion=replace(window.champion, facts=facts | {"spec": facts["spec"] | {"task": "regression"}}),
    )
    found, same = (
        measure_batch(warehouse=ledger.warehouse, window=one, labels=labels) for one in (regression, window)
    )
    assert found["mean_squared_error"] == pytest.approx(same["brier_score_loss"])
    assert found["root_mean_squared_error"] == pytest.approx(same["brier_score_loss"] ** 0.5)


def test_a_report_from_before_classes_were_calibrated_says_what_to_do(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    scored(ledger, tmp_path)
    window = find_window(ledger, "ride_scores", BATCH, None)
    facts = window.champion.facts
    spec = facts["spec"] | {"task": "multiclass"}
    of_classes = replace(window, champion=replace(window.champion, facts=facts | {"spec": spec}))
    with pytest.raises(NotFoundError, match=r"no calibration of its probabilities.* ModelEvaluateOperator"):
        expect_batch(ledger=ledger, warehouse=ledger.warehouse, window=of_classes, policy=MonitorPolicy())


def test_a_target_may_be_called_as_a_column_of_the_predictions(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    scored(ledger, tmp_path)
    window = find_window(ledger, "ride_scores", BATCH, None)
    ledger.connection.execute(
        "CREATE TABLE public.outcomes AS SELECT id, late AS score, late AS model_role FROM public.rides"
    )
    labels = labels_of(ledger, window, keys=("id",), labels=None, branch=None)
    [part] = labels.parts
    columns = (Column("id", "integer"), Column("score", "boolean"), Column("model_role", "boolean"))
    elsewhere = replace(labels, parts=(replace(part, locator="public.outcomes", columns=columns),))
    facts = window.champion.facts
    found = measure_batch(warehouse=ledger.warehouse, window=window, labels=labels)
    for name in ("score", "model_role"):
        spec = facts["spec"] | {"target": name}
        named = replace(window, champion=replace(window.champion, facts=facts | {"spec": spec}))
        assert measure_batch(warehouse=ledger.warehouse, window=named, labels=elsewhere) == found

"""Estimates of a regression by its features and of classes by their probabilities, with real models and PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.estimation_classes import ClassCalibration
from airflow_dataml.core.estimation_losses import Binned, LossModel
from airflow_dataml.core.extras import load
from airflow_dataml.core.monitoring import MonitorPolicy
from airflow_dataml.steps.estimated import expect_batch, measure_batch
from airflow_dataml.steps.estimated_counts import SCORE, bin_sql, class_counts, loss_counts
from airflow_dataml.steps.observing import find_window
from airflow_dataml.steps.observing_labels import labels_of
from tests.integration.steps.test_classes import World

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger
    from airflow_dataml.steps.observing import Window

pytestmark = pytest.mark.integration
np = load("numpy", extra="monitoring")
BATCH = "2026-03"
REGRESSION = {
    "task": "regression",
    "target": "km",
    "features": [{"name": "carrier", "kind": "categorical"}, {"name": "outcome", "kind": "categorical"}, {"name": "flag"}],
}  # fmt: skip


def scored(ledger: PostgresLedger, folder: Path, **spec: Any) -> tuple[World, Window]:
    """A champion that was evaluated, and a batch that it scored."""
    world = World(ledger, folder)
    for month in (1, 2, 3):
        world.ingest(month, strange=100 if month == 3 and spec else 0)
    version = world.train("first", **spec)
    world.evaluate("first", version.ref)
    world.name_challenger(version, "champion")
    world.score(BATCH)
    return world, find_window(ledger, "ride_scores", BATCH, None)


def told(ledger: PostgresLedger, window: Window) -> tuple[dict[str, Any], dict[str, Any]]:
    expected = expect_batch(
        ledger=ledger, warehouse=ledger.warehouse, window=window, policy=MonitorPolicy(min_rows=100)
    )
    labels = labels_of(ledger, window, keys=("id",), labels=None, branch=None)
    return expected, measure_batch(warehouse=ledger.warehouse, window=window, labels=labels)


def evaluation(ledger: PostgresLedger) -> Any:
    report = ledger.reports.latest(asset="ride_outcome", kind="evaluation")
    assert report is not None
    return report


def test_a_regression_is_estimated_by_its_features(ledger: PostgresLedger, tmp_path: Path) -> None:
    world, window = scored(ledger, tmp_path, **REGRESSION)
    expected, measured = told(ledger, window)
    assert (expected["by"], expected["n"], measured["n"]) == ("features", 1000, 1000)
    assert "missing" not in expected
    for name in ("mean_squared_error", "root_mean_squared_error"):
        assert expected[name]["low"] < expected[name]["estimate"] < expected[name]["high"]
        assert measured[name] == pytest.approx(expected[name]["estimate"], rel=0.3)
    # The database counts bins as the model does, of categories it never saw and booleans too.
    model = LossModel.from_dict(evaluation(ledger).body["loss_model"])
    rows = world.rows("carrier, outcome, flag, score")
    columns = {
        name: np.array([row[name] for row in rows], dtype=object) for name in ("carrier", "outcome")
    } | {
        "flag": np.array([float(row["flag"]) for row in rows]),
        SCORE: np.array([row["score"] for row in rows]),
    }
    counted = loss_counts(ledger, ledger.warehouse, window, model)
    assert sorted(counted) == sorted(model.counts(columns))
    body = world.observe(BATCH).body
    assert body["estimated"]["by"] == "features"
    assert body["estimated"]["mean_squared_error"]["estimate"] == expected["mean_squared_error"]["estimate"]


def test_a_report_without_a_loss_model_is_asked_for_its_scores(
    ledger: PostgresLedger, tmp_path: Path
) -> None:
    _, window = scored(ledger, tmp_path, **REGRESSION)
    ledger.connection.execute("ALTER TABLE dataml.report DISABLE TRIGGER USER")
    ledger.connection.execute("UPDATE dataml.report SET body = body - 'loss_model'")
    expected, _ = told(ledger, window)
    assert expected["by"] == "scores"
    assert "holds no model of the loss by features" in expected["missing"]
    assert "ModelEvaluateOperator" in expected["missing"]
    assert set(expected["mean_squared_error"]) == {"estimate", "low", "high", "released"}


def test_classes_are_estimated_by_their_probabilities(ledger: PostgresLedger, tmp_path: Path) -> None:
    world, window = scored(ledger, tmp_path)
    expected, measured = told(ledger, window)
    assert (expected["by"], expected["n"], measured["n"]) == ("probabilities", 1000, 1000)
    [truth] = world.rows(
        "avg((label = outcome)::int) AS right, avg(-ln(greatest(1e-7, (probabilities ->> outcome)::float8))) AS loss"
    )
    assert measured["accuracy"] == pytest.approx(float(truth["right"]))
    assert measured["log_loss"] == pytest.approx(truth["loss"])
    for name in ("accuracy", "log_loss"):
        one = expected[name]
        assert one["low"] < measured[name] < one["high"]
        assert one["released"] == evaluation(ledger).body["calibration"]["released"][name]
    calibration = ClassCalibration.from_dict(evaluation(ledger).body["calibration"])
    rows = world.rows("probabilities")
    said = [[row["probabilities"][name] for name in calibration.classes] for row in rows]
    assert sorted(class_counts(ledger.warehouse, window, calibration)) == sorted(calibration.counts(said))
    estimated = world.observe(BATCH).body["estimated"]
    assert (estimated["by"], estimated["accuracy"]["estimate"]) == (
        "probabilities",
        expected["accuracy"]["estimate"],
    )


NUMBERS = [None, float("nan"), float("inf"), -float("inf"), -1.0, 0.1, 0.30000000000000004, 2.0, 1e300]
TEXTS = [None, "", "t", "true", "it's 100 %", "\\", "tram"]


@pytest.mark.parametrize(
    ("kind", "values", "feature"),
    [
        pytest.param("float8", NUMBERS, Binned("v", (0.1, 0.30000000000000004, 2.0)), id="numbers"),
        pytest.param("float8", NUMBERS, Binned("v", ()), id="one range"),
        pytest.param("text", TEXTS, Binned("v", None, ("true", "it's 100 %", "\\")), id="texts"),
        pytest.param("text", TEXTS, Binned("v", None, ()), id="no text"),
    ],
)
def test_bins_in_sql_are_those_in_python(
    ledger: PostgresLedger, kind: str, values: list[Any], feature: Binned
) -> None:
    ledger.connection.execute(f"CREATE TABLE public.edge (place serial, v {kind})")
    for value in values:
        ledger.connection.execute("INSERT INTO public.edge (v) VALUES (%s)", [value])
    found = ledger.connection.rows(f"SELECT {bin_sql(feature)} AS bin FROM public.edge ORDER BY place")
    read = np.array(values, dtype=float if kind == "float8" else object)
    if kind == "text":
        read = np.array([{"t": "true"}.get(one, one) for one in values], dtype=object)
    assert [row["bin"] for row in found] == feature.codes(read).tolist()

from __future__ import annotations

from typing import Any

import numpy as np  # noqa: TID253 - every test here makes rows with it
import pytest
from sklearn import metrics as sklearn_metrics  # noqa: TID253 - what these metrics are to equal

from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.metrics import (
    METRICS,
    calibration_error,
    contrast,
    measure,
    metric_named,
    metrics_of,
    timing,
)

DRAW = np.random.default_rng(3)
SIGNAL = DRAW.normal(0, 1, 1200)
LABELS = (DRAW.random(1200) < 1 / (1 + np.exp(-SIGNAL))).astype(float)
SCORES = np.round(1 / (1 + np.exp(-SIGNAL - DRAW.normal(0, 0.5, 1200))), 2)
TRUTH = SIGNAL * 3 + 2
GUESS = TRUTH + DRAW.normal(0, 1, 1200)

BINARY: dict[str, Any] = {
    "roc_auc_score": sklearn_metrics.roc_auc_score,
    "log_loss": lambda y, p: sklearn_metrics.log_loss(y, np.clip(p, 1e-7, 1 - 1e-7)),
    "brier_score_loss": sklearn_metrics.brier_score_loss,
    "accuracy_score": lambda y, p: sklearn_metrics.accuracy_score(y, p >= 0.5),
    "precision_score": lambda y, p: sklearn_metrics.precision_score(y, p >= 0.5),
    "recall_score": lambda y, p: sklearn_metrics.recall_score(y, p >= 0.5),
    "f1_score": lambda y, p: sklearn_metrics.f1_score(y, p >= 0.5),
}
REGRESSION: dict[str, Any] = {
    "mean_squared_error": sklearn_metrics.mean_squared_error,
    "root_mean_squared_error": sklearn_metrics.root_mean_squared_error,
    "mean_absolute_error": sklearn_metrics.mean_absolute_error,
    "r2_score": sklearn_metrics.r2_score,
}


@pytest.mark.parametrize("name", [*BINARY, *REGRESSION])
def test_a_metric_is_what_scikit_learn_says(name: str) -> None:
    labels, scores = (LABELS, SCORES) if name in BINARY else (TRUTH, GUESS)
    found = measure(metric_named(name), labels, scores, level=0.95)
    assert found is not None
    assert found.estimate == pytest.approx((BINARY | REGRESSION)[name](labels, scores))
    assert found.low < found.estimate < found.high


@pytest.mark.parametrize("name", [*BINARY, *REGRESSION])
def test_an_interval_is_that_of_the_bootstrap(name: str) -> None:
    labels, scores = (LABELS, SCORES) if name in BINARY else (TRUTH, GUESS)
    draw, wanted = np.random.default_rng(0), (BINARY | REGRESSION)[name]
    rows = [draw.integers(0, len(labels), len(labels)) for _ in range(300)]
    spread = float(np.std([wanted(labels[one], scores[one]) for one in rows]))
    found = measure(metric_named(name), labels, scores, level=0.95)
    assert found is not None
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(spread, rel=0.2)


def test_the_difference_of_two_models_is_paired() -> None:
    metric = METRICS["roc_auc"]
    other = np.clip(SCORES + np.random.default_rng(5).normal(0, 0.05, len(SCORES)), 0, 1)
    found = contrast(metric, LABELS, SCORES, other, factor=1.0, level=0.95)
    alone = measure(metric, LABELS, SCORES, level=0.95)
    assert found is not None
    assert alone is not None
    assert (found.high - found.low) < (alone.high - alone.low) / 2
    same = contrast(metric, LABELS, SCORES, SCORES, factor=1.0, level=0.95)
    assert same is not None
    assert (same.low, same.high) == (0.0, 0.0)


def test_calibration_holds_for_calibrated_and_for_overconfident_scores() -> None:
    draw = np.random.default_rng(11)
    missed = {"calibrated": 0, "overconfident": 0}
    for _ in range(150):
        truth = draw.random(1500)
        labels = (draw.random(1500) < truth).astype(float)
        missed["calibrated"] += calibration_error(labels, truth, level=0.95).low > 0
        # Every score is .1 too far from one half.
        bold = truth + np.where(truth > 0.5, 0.1, -0.1)
        found = calibration_error(labels, bold, level=0.95)
        missed["overconfident"] += not found.low <= 0.1 <= found.high
    assert max(missed.values()) <= 12, missed


def test_no_positive_leaves_precision_undefined() -> None:
    assert measure(METRICS["precision"], LABELS, SCORES * 0, level=0.95) is None
    assert measure(METRICS["roc_auc"], LABELS * 0, SCORES, level=0.95) is None
    assert measure(METRICS["accuracy"], [], [], level=0.95) is None


def test_a_constant_score_has_a_calibration() -> None:
    found = calibration_error(LABELS, np.full(len(LABELS), LABELS.mean()), level=0.95)
    assert (round(found.estimate, 9), found.low) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("asked", "name"),
    [("BinaryAUROC", "roc_auc"), ("binary_accuracy", "accuracy"), ("brier_score", "brier_score_loss")],
)
def test_torchmetrics_names_are_known(asked: str, name: str) -> None:
    assert metric_named(asked).name == name


def test_a_misspelt_metric_is_pointed_at() -> None:
    with pytest.raises(PolicyError, match=r"no metric 'log_los': did you mean 'log_loss'"):
        metric_named("log_los")


def test_timings_have_an_interval_that_holds() -> None:
    draw, kept = np.random.default_rng(2), 0
    for _ in range(200):
        found = timing(METRICS["latency_p95"], draw.exponential(1.0, 200), level=0.95)
        assert found is not None
        kept += found.low <= -np.log(0.05) <= found.high
    assert kept >= 180


PROBABILITIES = np.exp(DRAW.normal(0, 1, (900, 3)))
PROBABILITIES /= PROBABILITIES.sum(axis=1, keepdims=True)
CODES = (PROBABILITIES.cumsum(axis=1) < DRAW.random((900, 1))).sum(axis=1)
OTHERS = np.exp(DRAW.normal(0, 1, (900, 3)))
OTHERS /= OTHERS.sum(axis=1, keepdims=True)
OF_CLASSES: dict[str, Any] = {
    "log_loss": lambda y, p: sklearn_metrics.log_loss(y, p, labels=[0, 1, 2]),
    "accuracy_score": lambda y, p: sklearn_metrics.accuracy_score(y, p.argmax(axis=1)),
    "balanced_accuracy_score": lambda y, p: sklearn_metrics.balanced_accuracy_score(y, p.argmax(axis=1)),
    "f1_macro": lambda y, p: sklearn_metrics.f1_score(y, p.argmax(axis=1), average="macro"),
    "roc_auc_ovr": lambda y, p: sklearn_metrics.roc_auc_score(y, p, multi_class="ovr"),
}


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_metric_of_classes_is_what_scikit_learn_says(name: str) -> None:
    metric = metrics_of("multiclass")[metric_named(name).name]
    found = measure(metric, CODES, PROBABILITIES, level=0.95)
    wanted = OF_CLASSES[name]
    assert found is not None
    assert found.estimate == pytest.approx(wanted(CODES, PROBABILITIES))
    draw = np.random.default_rng(0)
    rows = [draw.integers(0, len(CODES), len(CODES)) for _ in range(200)]
    spread = float(np.std([wanted(CODES[one], PROBABILITIES[one]) for one in rows]))
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(spread, rel=0.2)
    difference = contrast(metric, CODES, PROBABILITIES, OTHERS, factor=1.0, level=0.95)
    assert difference is not None
    assert difference.estimate == pytest.approx(wanted(CODES, PROBABILITIES) - wanted(CODES, OTHERS))


def test_torchmetrics_names_of_classes_are_its_averages() -> None:
    names = ("MulticlassAUROC", "MulticlassF1Score", "MulticlassAccuracy", "multiclass_f1_score")
    assert [metric_named(name).name for name in names] == [
        "roc_auc_ovr",
        "f1_macro",
        "balanced_accuracy",
        "f1_macro",
    ]

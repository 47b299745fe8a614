"""Estimates without labels: against scikit-learn, against the truth of simulated worlds, and on the edge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_dataml.core.estimation import Calibration, estimate, isotonic
from airflow_dataml.core.extras import load
from airflow_dataml.core.metrics import METRICS

np = load("numpy", extra="monitoring")


def cells_of(calibration: Calibration, scores: Any) -> list[list[int]]:
    at = np.searchsorted(calibration.edges, scores, side="right")
    return [[cell, int(n)] for cell, n in zip(*np.unique(at, return_counts=True), strict=True)]


def binary(draw: Any, rows: int, *, shift: float = 0.0, slope: float = 1.0) -> Any:
    """Labels, and scores that are sharper than they should be where the slope is above 1."""
    logit = 1.5 * (draw.standard_normal(rows) + shift)
    labels = (draw.random(rows) < 1 / (1 + np.exp(-logit))).astype(float)
    return labels, 1 / (1 + np.exp(-slope * logit))


def regression(draw: Any, rows: int, *, shift: float = 0.0) -> Any:
    """The error grows with the score."""
    said = draw.gamma(2.0, 1.0 + shift, rows)
    return said + draw.standard_normal(rows) * (0.2 + said), said


def fitted(task: Any, sample: Any, **how: Any) -> Calibration:
    found = Calibration.fit(task=task, labels=sample[0], scores=sample[1], **how)
    assert found is not None
    return found


@pytest.mark.parametrize("seed", range(5))
def test_pools_are_those_of_scikit_learn(seed: int) -> None:
    regressor = load("sklearn.isotonic", extra="test").IsotonicRegression()

    draw = np.random.default_rng(seed)
    rows = draw.integers(1, 30, 60)
    sums = draw.binomial(rows, np.linspace(0.2, 0.6, 60))
    ours = np.concatenate([[total / n] * cells for cells, total, n in isotonic(sums.tolist(), rows.tolist())])
    theirs = regressor.fit(np.arange(60), sums / rows, sample_weight=rows).predict(np.arange(60))
    assert ours == pytest.approx(theirs)


def test_a_cell_without_a_row_goes_with_the_one_before() -> None:
    assert isotonic([0.0, 1.0, 0.0, 3.0], [0, 4, 0, 4]) == [(3, 1.0, 4), (1, 3.0, 4)]


def test_released_is_what_scikit_learn_measures() -> None:
    theirs = load("sklearn.metrics", extra="test")

    labels, scores = binary(np.random.default_rng(1), 3000)
    assert fitted("binary", (labels, scores)).released == pytest.approx(
        {
            "roc_auc": theirs.roc_auc_score(labels, scores),
            "log_loss": theirs.log_loss(labels, scores),
            "brier_score_loss": theirs.brier_score_loss(labels, scores),
            "accuracy": ((scores >= 0.5) == (labels > 0)).mean(),
        }
    )


@pytest.mark.parametrize(("task", "world"), [("binary", binary), ("regression", regression)])
def test_the_holdout_is_estimated_at_what_it_measured(task: Any, world: Any) -> None:
    sample = world(np.random.default_rng(2), 3000)
    calibration = fitted(task, sample)
    found = estimate(cells_of(calibration, sample[1]), calibration)
    assert {name: one.estimate for name, one in found.items()} == pytest.approx(dict(calibration.released))


@pytest.mark.parametrize(
    ("before", "now", "how"),
    [
        pytest.param(2000, 2000, {}, id="as before"),
        pytest.param(2000, 20_000, {"shift": 0.7}, id="more positives"),
        pytest.param(20_000, 2000, {"shift": -1.0, "slope": 2.0}, id="fewer, and sure of itself"),
    ],
)
def test_intervals_hold_what_is_measured(before: int, now: int, how: Any) -> None:
    draw, held, misses = np.random.default_rng(3), [], []
    slope = how.get("slope", 1.0)
    for _ in range(60):
        calibration = fitted("binary", binary(draw, before, slope=slope))
        labels, scores = binary(draw, now, **how)
        for name, one in estimate(cells_of(calibration, scores), calibration, level=0.95).items():
            influences = METRICS[name].influences
            assert influences is not None
            measured = influences(labels, scores, 0.5)
            assert measured is not None
            held.append(one.low <= measured[0] <= one.high)
            if name == "roc_auc":
                misses.append(one.estimate - measured[0])
    assert np.mean(held) >= 0.9
    # Unbiased too: the mean miss is far below the single one.
    assert abs(np.mean(misses)) < 0.005


def test_intervals_of_a_loss_hold_what_is_measured() -> None:
    draw, held = np.random.default_rng(4), []
    for _ in range(100):
        calibration = fitted("regression", regression(draw, 4000))
        labels, said = regression(draw, 2000, shift=0.2)
        one = estimate(cells_of(calibration, said), calibration, level=0.95)["mean_squared_error"]
        held.append(one.low <= ((labels - said) ** 2).mean() <= one.high)
    assert np.mean(held) >= 0.85


def test_the_loss_of_scores_with_larger_errors_is_higher() -> None:
    draw = np.random.default_rng(5)
    calibration = fitted("regression", regression(draw, 4000))
    found = estimate(cells_of(calibration, regression(draw, 2000, shift=0.5)[1]), calibration)
    assert found["mean_squared_error"].low > calibration.released["mean_squared_error"]
    assert found["root_mean_squared_error"].estimate == pytest.approx(
        found["mean_squared_error"].estimate ** 0.5
    )


def test_a_changed_meaning_of_the_scores_is_not_seen() -> None:
    labels, scores = binary(np.random.default_rng(6), 4000)
    calibration = fitted("binary", (labels, scores))
    assert estimate(cells_of(calibration, scores), calibration)["accuracy"].estimate > 0.7
    assert ((scores >= 0.5) == (1 - labels > 0)).mean() < 0.3


def test_a_calibration_outlives_json() -> None:
    calibration = fitted("binary", binary(np.random.default_rng(7), 3000))
    text = json.dumps(calibration.to_dict())
    assert Calibration.from_dict(json.loads(text)) == calibration
    # It is kept in a report.
    assert len(text) < 16_000


def test_equal_scores_share_a_cell_and_few_values_keep_their_own() -> None:
    calibration = fitted("binary", ([0, 1, 1, 0], [0.1, 0.7, 0.7, 0.3]))
    assert calibration.edges == (0.3, 0.5, 0.7)
    assert calibration.rows == (1, 1, 0, 2)
    # The cell nobody is in stands for its middle.
    assert calibration.scores[2] == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("labels", "scores"),
    [
        pytest.param([], [], id="no row"),
        pytest.param([1.0, float("nan")], [float("nan"), 0.4], id="no row with both"),
    ],
)
def test_nothing_is_fitted_on_nothing(labels: Any, scores: Any) -> None:
    assert Calibration.fit(task="binary", labels=labels, scores=scores) is None


def test_nothing_is_estimated_without_a_score() -> None:
    assert estimate([], fitted("binary", ([0, 1], [0.2, 0.8]))) == {}


def test_one_class_has_no_area_under_the_curve() -> None:
    calibration = fitted("binary", ([1, 1, 1], [0.2, 0.6, 0.8]))
    assert set(estimate([[0, 5]], calibration)) == {"log_loss", "brier_score_loss", "accuracy"}


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_one_score_is_enough(task: Any) -> None:
    calibration = fitted(task, ([0, 1, 1, 1], [0.75] * 4))
    cell = cells_of(calibration, [0.75])[0][0]
    for name, one in estimate([[cell, 10]], calibration).items():
        assert one.low <= one.estimate <= one.high
        assert one.estimate == pytest.approx(calibration.released[name])


def test_scores_beyond_those_of_the_holdout_are_taken_for_the_nearest() -> None:
    calibration = fitted("regression", regression(np.random.default_rng(8), 500))
    last = len(calibration.rows) - 1
    assert cells_of(calibration, [1e9]) == [[last, 1]]
    found = estimate([[last, 30]], calibration)["mean_squared_error"]
    assert found.estimate == pytest.approx(calibration.sums[last] / calibration.rows[last])


def test_few_rows_that_agree_are_not_taken_for_certainty() -> None:
    labels, said = [0.0] * 40 + [1.0] * 40 + [5.0], [0.0, 1.0] * 40 + [5.0]
    calibration = fitted("regression", (labels, said), cells=3)
    assert calibration.rows == (40, 40, 1)
    one = estimate([[2, 30]], calibration)["mean_squared_error"]
    assert (one.estimate, one.low) == (0.0, 0.0)
    assert one.high > 0.1

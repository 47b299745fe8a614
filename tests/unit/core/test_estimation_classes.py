"""Classes without labels: simulated worlds, the anchor, and the edge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_dataml.core.classes import class_log_losses
from airflow_dataml.core.estimation_classes import ClassCalibration
from airflow_dataml.core.extras import load

np = load("numpy", extra="monitoring")


def world(draw: Any, rows: int, classes: int, *, shift: float = 0.0) -> tuple[Any, Any]:
    """Labels, and probabilities that are surer than they should be; a shift makes the last classes likelier."""
    logit = draw.standard_normal((rows, classes)) * 1.5 + np.linspace(-1, 1, classes) * shift
    odds = np.exp(logit)
    shares = odds / odds.sum(axis=1, keepdims=True)
    labels = (shares.cumsum(axis=1) < draw.random((rows, 1))).sum(axis=1).clip(0, classes - 1)
    sure = np.exp(1.6 * logit)
    return labels, sure / sure.sum(axis=1, keepdims=True)


def fitted(labels: Any, said: Any) -> ClassCalibration:
    names = [f"c{at}" for at in range(said.shape[1])]
    found = ClassCalibration.fit(labels=labels, probabilities=said, classes=names)
    assert found is not None
    return found


def shown(labels: Any, said: Any) -> dict[str, float]:
    return {
        "log_loss": float(class_log_losses(labels, said).mean()),
        "accuracy": float((said.argmax(axis=1) == labels).mean()),
    }


def test_the_holdout_is_estimated_at_what_it_measured() -> None:
    labels, said = world(np.random.default_rng(0), 2000, 4)
    labels[:7] = -1
    calibration = fitted(labels, said)
    found = calibration.estimate(calibration.counts(said))
    assert {name: one.estimate for name, one in found.items()} == pytest.approx(shown(labels, said))
    assert dict(calibration.released) == pytest.approx(shown(labels, said))


@pytest.mark.parametrize(
    ("classes", "before", "now", "shift"),
    [
        pytest.param(3, 2000, 2000, 0.0, id="as before"),
        pytest.param(3, 2000, 10_000, 1.0, id="other classes"),
        pytest.param(10, 4000, 1000, 0.5, id="ten classes"),
        pytest.param(3, 400, 400, 1.0, id="few rows"),
    ],
)
def test_intervals_hold_what_is_measured(classes: int, before: int, now: int, shift: float) -> None:
    draw = np.random.default_rng(1)
    held: dict[str, list[bool]] = {"log_loss": [], "accuracy": []}
    misses: list[tuple[float, float]] = []
    for _ in range(80):
        calibration = fitted(*world(draw, before, classes))
        labels, said = world(draw, now, classes, shift=shift)
        truth = shown(labels, said)
        found = calibration.estimate(calibration.counts(said), level=0.95)
        for name, one in found.items():
            held[name].append(one.low <= truth[name] <= one.high)
        still = calibration.released["accuracy"] - truth["accuracy"]
        misses.append((abs(found["accuracy"].estimate - truth["accuracy"]), abs(still)))
    assert all(np.mean(inside) >= 0.88 for inside in held.values())
    if shift == 1.0 and before > 1000:
        ours, released = np.mean(misses, axis=0)
        assert ours < released / 2


def test_a_calibration_outlives_json_and_stays_small() -> None:
    draw = np.random.default_rng(2)
    for classes in (3, 100):
        calibration = fitted(*world(draw, 5000, classes))
        text = json.dumps(calibration.to_dict())
        assert ClassCalibration.from_dict(json.loads(text)) == calibration
        # It is kept in a report.
        assert len(text) < 64_000


def test_what_the_holdout_did_not_have_is_taken_for_what_is_nearest() -> None:
    said = np.array([[0.9, 0.1], [0.8, 0.2]] * 20)
    calibration = fitted(np.array([0, 1] * 20), said)
    # The second class was never predicted, and a third never known.
    found = calibration.estimate([("c1", True, 30, 10), ("c0", False, 1, 10), ("new", False, 3, 10)])
    assert found["accuracy"].n == 10
    assert 0 <= found["accuracy"].low <= found["accuracy"].high <= 1


def test_nothing_is_known_of_nothing() -> None:
    assert ClassCalibration.fit(labels=[], probabilities=np.empty((0, 2)), classes=("a", "b")) is None
    silent = np.full((3, 2), np.nan)
    assert ClassCalibration.fit(labels=[0, 1, 1], probabilities=silent, classes=("a", "b")) is None
    calibration = fitted(*world(np.random.default_rng(3), 100, 3))
    assert calibration.estimate([]) == {}


def test_a_class_that_was_always_right_may_yet_be_wrong() -> None:
    said = np.array([[0.99, 0.01]] * 50)
    calibration = fitted(np.zeros(50), said)
    one = calibration.estimate(calibration.counts(said[:10]))["accuracy"]
    assert one.estimate == 1
    assert one.low < 1

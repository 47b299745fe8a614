"""The loss of a regression by its features: simulated worlds, the anchor, and the edge."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_dataml.core.estimation import Calibration, estimate
from airflow_dataml.core.estimation_losses import Binned, LossModel
from airflow_dataml.core.extras import load
from airflow_dataml.core.loss_terms import fit_losses

np = load("numpy", extra="monitoring")


def world(draw: Any, rows: int, *, old: float = 0.0, taxis: float = 0.3) -> tuple[Any, dict[str, Any]]:
    """Errors are large for what is old, and far larger where a taxi is; the score says nothing of either."""
    columns = {
        "age": draw.gamma(2.0, 1.0 + old, rows),
        "kind": np.where(draw.random(rows) < taxis, "taxi", "bus").astype(object),
        "noise": draw.standard_normal(rows),
        "(score)": draw.standard_normal(rows),
    }
    wide = 0.3 + columns["age"] * np.where(columns["kind"] == "taxi", 1.0, 0.2)
    return (draw.standard_normal(rows) * wide) ** 2, columns


def fitted(losses: Any, columns: Any) -> LossModel:
    found = fit_losses(losses=losses, columns=columns)
    assert found is not None
    return found


def test_the_holdout_is_estimated_at_what_it_measured() -> None:
    losses, columns = world(np.random.default_rng(0), 3000)
    model = fitted(losses, columns)
    found = model.estimate(model.counts(columns))
    assert found["mean_squared_error"].estimate == pytest.approx(losses.mean(), rel=1e-12)
    assert found["root_mean_squared_error"].estimate == pytest.approx(losses.mean() ** 0.5)
    assert found["mean_squared_error"].n == 3000


def test_what_the_score_does_not_tell_the_features_do() -> None:
    draw = np.random.default_rng(1)
    losses, columns = world(draw, 8000)
    now, moved = world(draw, 8000, old=0.5, taxis=0.6)
    model = fitted(losses, columns)
    found = model.estimate(model.counts(moved))["mean_squared_error"]
    calibration = Calibration.fit(
        task="regression", labels=losses**0.5 + columns["(score)"], scores=columns["(score)"]
    )
    assert calibration is not None
    at = np.bincount(np.searchsorted(calibration.edges, moved["(score)"], side="right"))
    by_score = estimate(list(enumerate(at.tolist())), calibration)["mean_squared_error"]
    assert abs(found.estimate - now.mean()) < abs(by_score.estimate - now.mean()) / 4
    assert found.low > model.released


@pytest.mark.parametrize(
    ("before", "now", "how"),
    [
        pytest.param(1500, 1500, {}, id="as before"),
        pytest.param(4000, 1000, {"taxis": 0.6}, id="more taxis"),
        pytest.param(4000, 10_000, {"taxis": 0.1, "old": 0.2}, id="fewer, and older"),
        pytest.param(300, 300, {}, id="few rows"),
    ],
)
def test_intervals_hold_what_is_measured(before: int, now: int, how: Any) -> None:
    draw, held = np.random.default_rng(2), []
    for _ in range(80):
        model = fitted(*world(draw, before))
        losses, columns = world(draw, now, **how)
        one = model.estimate(model.counts(columns), level=0.95)["mean_squared_error"]
        held.append(one.low <= losses.mean() <= one.high)
    # Of 80 of 95% one in a hundred worlds would show fewer.
    assert np.mean(held) >= 0.88


def test_a_loss_that_nothing_explains_stays_what_was_released() -> None:
    draw = np.random.default_rng(3)
    columns = {"(score)": draw.standard_normal(1000), "flat": np.full(1000, 3.0)}
    model = fitted(draw.standard_normal(1000) ** 2, columns)
    moved = {"(score)": draw.standard_normal(500) + 2, "flat": np.full(500, 3.0)}
    found = model.estimate(model.counts(moved))["mean_squared_error"]
    assert found.low < model.released < found.high


def test_a_model_outlives_json_and_stays_small() -> None:
    draw = np.random.default_rng(4)
    columns = {f"f{at}": draw.standard_normal(4000) for at in range(40)} | {
        "(score)": draw.standard_normal(4000)
    }
    losses = (1 + columns["f1"] + columns["f30"] * columns["f2"]) ** 2
    model = fitted(losses, columns)
    assert len(model.features) == 12
    assert {"f1", "(score)"} <= {one.name for one in model.features}
    text = json.dumps(model.to_dict())
    assert LossModel.from_dict(json.loads(text)) == model
    # It is kept in a report.
    assert len(text) < 100_000


def test_what_the_holdout_did_not_have_is_taken_for_what_is_nearest() -> None:
    model = fitted(*world(np.random.default_rng(5), 2000))
    strange = {
        "age": np.array([np.nan, np.inf, 1e9, -1e9] * 5),
        "kind": np.array([None, "tram", "", "bus"] * 5, dtype=object),
        "noise": np.zeros(20),
        "(score)": np.zeros(20),
    }
    found = model.estimate(model.counts(strange))["mean_squared_error"]
    assert 0 <= found.low <= found.estimate <= found.high < np.inf


def test_few_rows_and_no_row() -> None:
    losses, columns = world(np.random.default_rng(6), 199)
    assert fit_losses(losses=losses, columns=columns) is None
    model = fitted(*world(np.random.default_rng(6), 200))
    assert model.estimate(()) == {}
    unknown, columns = world(np.random.default_rng(7), 400)
    unknown[:300] = np.nan
    assert fit_losses(losses=unknown, columns=columns) is None


def test_bins_of_numbers_and_of_texts() -> None:
    numbers = Binned.fit("a", np.array([1.0, 1.0, 2.0, 3.0, np.nan]), bins=4)
    assert numbers.edges == (2.0, 3.0)
    assert numbers.codes(np.array([0.0, 2.0, 99.0, np.nan, -np.inf])).tolist() == [1, 2, 3, 0, 0]
    assert Binned.fit("a", np.array([np.nan]), bins=4).codes(np.array([1.0, np.nan])).tolist() == [1, 0]
    texts = Binned.fit("b", np.array(["x", "y", "y", None, "z"], dtype=object), bins=3)
    assert texts.values == ("y", "x")
    assert texts.codes(np.array(["y", "x", "z", None], dtype=object)).tolist() == [1, 2, 3, 0]

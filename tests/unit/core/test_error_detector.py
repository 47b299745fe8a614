from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest

from airflow_dataml.core.error_detector import GROWTHS, ErrorDetector, loss_evidence, stakes, upper_bound
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.sequential import Evidence


def errors(rate: float, rows: int, *, seed: int) -> Any:
    """A stream of errors (0 or 1)."""
    import numpy as np

    return (np.random.default_rng(seed).random(rows) < rate).astype(float)


def slowly(detector: ErrorDetector, losses: Any) -> tuple[list[float], list[int]]:
    """The sums and alarms by the definition, row by row."""
    sums, alarms = [0.0] * len(detector.bets), []
    for row, loss in enumerate(losses):
        factors = [1 + bet * (loss / detector.baseline - 1) for bet in detector.bets]
        sums = [(1 + total) * factor for total, factor in zip(sums, factors, strict=True)]
        if sum(sums) / len(sums) >= detector.budget:
            alarms.append(row)
            sums = [0.0] * len(sums)
    return sums, alarms


def test_blocks_are_as_row_by_row() -> None:
    import numpy as np

    losses = np.concatenate([errors(0.1, 5000, seed=0), errors(0.2, 5000, seed=1)])
    begun = ErrorDetector.of(baseline=0.1, budget=500)
    found, first = begun.update(losses)
    sums, alarms = slowly(begun, losses)
    assert (first, found.alarms, found.rows) == (alarms[0], len(alarms), 10_000)
    assert len(alarms) > 3
    assert found.sums is not None
    assert [math.exp(one) for one in found.sums] == pytest.approx(sums)


@pytest.mark.parametrize("cut", [1, 777, 4096, 9999])
def test_two_halves_are_as_one(cut: int) -> None:
    losses = errors(0.13, 10_000, seed=5)
    begun = ErrorDetector.of(baseline=0.1, budget=1000)
    whole, first = begun.update(losses)
    half, one = begun.update(losses[:cut])
    both, other = half.update(losses[cut:])
    assert (both.rows, both.alarms) == (whole.rows, whole.alarms)
    assert (one if one is not None else cut + other if other is not None else None) == first
    assert both.sums == pytest.approx(whole.sums)


def test_state_goes_on_through_json() -> None:
    fresh = ErrorDetector.of(baseline=0.1, budget=1e5)
    half, _ = fresh.update(errors(0.1, 1000, seed=0))
    for state in (fresh, half):
        again = ErrorDetector.from_dict(json.loads(json.dumps(state.to_dict(), allow_nan=False)))
        assert again == state


def test_no_rows_change_nothing() -> None:
    begun = ErrorDetector.of(baseline=0.1, budget=1e5)
    assert begun.update([]) == (begun, None)
    assert begun.evidence == -math.inf


def quiet_losses(kind: str, *, rows: int, seed: int) -> tuple[Any, float, float]:
    """Losses at their baseline, the baseline, and their standard deviation."""
    import numpy as np

    draw = np.random.default_rng(seed)
    if kind == "errors":
        return errors(0.1, rows, seed=seed), 0.1, 0.3
    if kind == "bounded":
        return draw.beta(0.5, 2.0, rows), 0.2, 0.2138
    if kind == "unbounded":
        return draw.standard_normal(rows) ** 2, 1.0, math.sqrt(2)
    # Half the time better, half worse, in long turns: not independent, and its mean given the past never above the bound.
    return draw.exponential(1.0, rows) * np.where(np.arange(rows) % 2000 < 1000, 1.0, 0.8), 1.0, 1.0


@pytest.mark.parametrize("kind", ["errors", "bounded", "unbounded", "in turns"])
def test_quiet_losses_alarm_no_more_often_than_the_budget(kind: str) -> None:
    alarms, streams, rows = 0, 60, 4000
    for seed in range(streams):
        losses, baseline, deviation = quiet_losses(kind, rows=rows, seed=seed)
        detector, _ = ErrorDetector.of(baseline=baseline, budget=2000, deviation=deviation).update(losses)
        alarms += detector.alarms
    # At most 2 a stream are promised, and half of them are usual.
    assert alarms / streams <= 2.0


def test_a_baseline_that_is_too_low_breaks_the_promise_so_that_the_simulation_can_tell() -> None:
    alarms = 0
    for seed in range(20):
        detector, _ = ErrorDetector.of(baseline=0.08, budget=2000).update(errors(0.1, 4000, seed=seed))
        alarms += detector.alarms
    assert alarms / 20 > 2.0


def test_errors_that_grow_by_half_are_found_within_five_hundred_rows() -> None:
    delays = []
    for seed in range(40):
        detector, _ = ErrorDetector.of(baseline=0.1, budget=100_000).update(errors(0.1, 10_000, seed=seed))
        _, alarm = detector.update(errors(0.15, 4000, seed=1000 + seed))
        delays.append(math.inf if alarm is None else alarm)
    assert sorted(delays)[20] <= 500
    assert max(delays) < math.inf


@pytest.mark.parametrize("kind", ["errors", "bounded", "unbounded"])
def test_a_window_is_an_e_value_from_its_sums_alone(kind: str) -> None:
    import numpy as np

    cap = None if kind == "unbounded" else 1.0
    found = []
    for seed in range(600):
        losses, baseline, deviation = quiet_losses(kind, rows=300, seed=seed)
        found.append(
            math.exp(loss_evidence(Evidence.of(losses), baseline=baseline, cap=cap, deviation=deviation))
        )
    assert np.mean(found) <= 1 + 3 * np.std(found) / math.sqrt(len(found))


@pytest.mark.parametrize("kind", ["errors", "bounded", "unbounded"])
def test_the_sums_say_no_more_than_the_rows(kind: str) -> None:
    import numpy as np

    losses, baseline, deviation = quiet_losses(kind, rows=1000, seed=1)
    losses = losses * 1.5 if kind == "unbounded" else losses
    cap = None if kind == "unbounded" else 1.0
    found = loss_evidence(Evidence.of(losses), baseline=baseline, cap=cap, deviation=deviation)
    bets = np.array(stakes(baseline, deviation))[:, None]
    rows = np.log1p(bets * (losses / baseline - 1)).sum(axis=1)
    exact = float(np.logaddexp.reduce(rows)) - math.log(len(rows))
    assert found <= exact + 1e-9
    if kind == "errors":
        assert found == pytest.approx(exact)


def test_losses_that_grew_are_evidence_without_a_cap() -> None:
    import numpy as np

    losses = 1.3 * np.random.default_rng(0).standard_normal(5000) ** 2
    assert loss_evidence(Evidence.of(losses), baseline=1.0, deviation=math.sqrt(2)) > 20
    assert loss_evidence(Evidence.of(losses), baseline=1.5, deviation=math.sqrt(2)) < 0
    assert loss_evidence(Evidence(), baseline=1.0) == 0.0


def test_the_bound_of_errors_is_that_of_scipy() -> None:
    from scipy.stats import binomtest

    expected = binomtest(37, 1000, alternative="less").proportion_ci(0.95).high
    assert upper_bound(Evidence(1000, 37.0, 37.0)) == pytest.approx(expected)
    assert upper_bound(Evidence(1000, 1000.0, 1000.0)) == 1.0
    assert upper_bound(Evidence(1, 0.0, 0.0), cap=3.0) == 3.0


@pytest.mark.parametrize("cap", [1.0, 5.0])
def test_the_bound_is_above_the_mean_as_often_as_said(cap: float) -> None:
    import numpy as np

    draw = np.random.default_rng(0)
    holdouts = cap * draw.beta(0.5, 2.0, (300, 400))
    above = [upper_bound(Evidence.of(losses), cap=cap) >= 0.2 * cap for losses in holdouts]
    assert np.mean(above) >= 0.95


@pytest.mark.parametrize("baseline", [0.0, -1.0, math.inf, math.nan])
def test_a_baseline_must_be_a_positive_number(baseline: float) -> None:
    with pytest.raises(SpecError, match="upper bound"):
        ErrorDetector.of(baseline=baseline, budget=1000)


@pytest.mark.parametrize("loss", [-0.1, math.nan, math.inf])
def test_a_loss_below_zero_or_without_end_cannot_be_bet_on(loss: float) -> None:
    with pytest.raises(SpecError, match="at least 0"):
        ErrorDetector.of(baseline=0.1, budget=1000).update([0.0, loss])


def test_stakes_never_risk_everything() -> None:
    assert all(0 < stake < 1 for stake in stakes(0.9))
    assert all(0 < stake < 1 for stake in stakes(1.0, 0.0))
    assert len(stakes(0.001)) == len(GROWTHS)


def test_a_million_rows_take_a_second() -> None:
    losses = errors(0.1, 1_000_000, seed=0)
    detector = ErrorDetector.of(baseline=0.11, budget=1e6)
    began = time.process_time()
    detector.update(losses)
    assert time.process_time() - began < 1.0

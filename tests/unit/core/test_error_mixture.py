from __future__ import annotations

import json
import math
from typing import Any

import pytest

from airflow_dataml.core.error_detector import ErrorDetector
from airflow_dataml.core.error_mixture import _PLACES, ErrorMixture, plausible
from airflow_dataml.core.errors import SpecError


def errors(rate: float, rows: int, *, seed: int) -> Any:
    """Errors at a rate."""
    import numpy as np

    return (np.random.default_rng(seed).random(rows) < rate).astype(float)


def slowly(detector: ErrorMixture, rows: Any, *, weight: float = 1.0) -> tuple[list[float], list[int]]:
    """Evidence after each row, and the rows of the alarms, from the formulas as they stand."""
    from airflow_dataml.core.error_detector import stakes

    middle = len(_PLACES) // 2
    bets = [stakes(rate) for rate in detector.rates]
    sums = [[0.0] * len(one) for one in bets]
    leans, evidence, alarms = [0.0] * len(_PLACES), [], []
    for place, x in enumerate(rows):
        for g, rate in enumerate(detector.rates):
            sums[g] = [(s + weight) * (1 + c * (x / rate - 1)) for s, c in zip(sums[g], bets[g], strict=True)]
            step = math.log(rate if x else 1 - rate) - math.log(
                detector.rates[middle] if x else 1 - detector.rates[middle]
            )
            leans[g] += step
            leans[g] = min(leans[g], 0.0) if g < middle else max(leans[g], -3.0) if g > middle else 0.0
        shares = [math.exp(lean - where**2 / 2) for lean, where in zip(leans, _PLACES, strict=True)]
        means = [sum(one) / len(one) for one in sums]
        evidence.append(sum(s * m for s, m in zip(shares, means, strict=True)) / sum(shares))
        if evidence[-1] >= detector.budget:
            alarms.append(place)
            sums, leans = [[0.0] * len(one) for one in bets], [0.0] * len(_PLACES)
    return evidence, alarms


@pytest.mark.parametrize("weight", [1.0, 0.01], ids=["a budget in rows", "a budget in windows"])
def test_blocks_say_what_rows_one_by_one_do(weight: float) -> None:
    rows = [*errors(0.1, 600, seed=1), *errors(0.2, 500, seed=2)]
    begun = ErrorMixture.of(errors=200, rows=2000, budget=500 * weight)
    evidence, alarms = slowly(begun, rows, weight=weight)
    detector, first = begun.update(rows, weight=weight)
    assert (first, detector.alarms) == (alarms[0], len(alarms))
    until, _ = begun.update(rows[: alarms[0]], weight=weight)
    assert math.exp(until.evidence) == pytest.approx(evidence[alarms[0] - 1])


def test_what_is_read_in_two_halves_is_as_if_read_at_once() -> None:
    rows = [*errors(0.1, 3000, seed=3), *errors(0.2, 1000, seed=4)]
    fresh = ErrorMixture.of(errors=1000, rows=10_000, budget=1e5)
    whole, first = fresh.update(rows)
    half, none = fresh.update(rows[:2500])
    again = ErrorMixture.from_dict(json.loads(json.dumps(half.to_dict(), allow_nan=False)))
    assert again == half
    both, later = again.update(rows[2500:])
    assert none is None
    assert first is not None
    assert later == first - 2500
    assert (both.rows, both.alarms) == (whole.rows, whole.alarms)
    assert both.evidence == pytest.approx(whole.evidence)


def test_a_baseline_without_doubt_is_that_of_the_detector_that_knows_it() -> None:
    rows = errors(0.12, 800, seed=5)
    sure, _ = ErrorMixture.of(errors=10**9, rows=10**10, budget=1e9).update(rows)
    known, _ = ErrorDetector.of(baseline=0.1, budget=1e9).update(rows)
    assert sure.evidence == pytest.approx(known.evidence, abs=0.01)


@pytest.mark.parametrize(
    ("wrong", "rows"),
    [(0, 1000), (3, 1000), (1000, 10_000), (1000, 1000)],
    ids=["none", "few", "a tenth", "all"],
)
def test_any_holdout_gives_rates_in_order(wrong: int, rows: int) -> None:
    rates = plausible(wrong, rows)
    assert list(rates) == sorted(rates)
    assert 0 < rates[0] <= wrong / rows or wrong == 0
    detector, _ = ErrorMixture.of(errors=wrong, rows=rows, budget=1e6).update([0, 1, 0, 1])
    assert math.isfinite(detector.evidence)


def test_false_alarms_keep_the_budget_though_every_model_draws_its_holdout() -> None:
    import numpy as np

    found = 0
    for seed in range(25):
        draw = np.random.default_rng([5, seed])
        begun = ErrorMixture.of(errors=int(draw.binomial(1000, 0.1)), rows=1000, budget=2000)
        found += begun.update(errors(0.1, 4000, seed=seed + 1000))[0].alarms
    # Two each are promised at most; a bound of 95 % is not needed for that.
    assert found <= 50


def test_better_months_do_not_make_the_usual_an_alarm() -> None:
    alarms = 0
    for seed in range(6):
        better, _ = ErrorMixture.of(errors=1000, rows=10_000, budget=20_000).update(
            errors(0.05, 10_000, seed=seed)
        )
        alarms += better.update(errors(0.1, 10_000, seed=seed + 100))[0].alarms
    # A half each is promised at most.
    assert alarms <= 3


def test_a_bound_costs_rows_that_a_mixture_does_not() -> None:
    from airflow_dataml.core.error_detector import upper_bound
    from airflow_dataml.core.sequential import Evidence

    delays: dict[str, list[int]] = {"mixture": [], "bound": []}
    for seed in range(15):
        held, rows = Evidence.of(errors(0.1, 10_000, seed=seed)), errors(0.15, 3000, seed=seed + 50)
        mixture = ErrorMixture.of(errors=int(held.total), rows=held.n, budget=1e5)
        bound = ErrorDetector.of(baseline=upper_bound(held), budget=1e5)
        for name, detector in (("mixture", mixture), ("bound", bound)):
            _, first = detector.update(rows)  # type: ignore[attr-defined]  # of either kind
            delays[name].append(3000 if first is None else first)
    assert sorted(delays["mixture"])[7] < sorted(delays["bound"])[7]


def test_what_is_borne_is_no_alarm() -> None:
    rows = errors(0.12, 8000, seed=9)
    strict, _ = ErrorMixture.of(errors=1000, rows=10_000, budget=1e4).update(rows)
    borne, _ = ErrorMixture.of(errors=1000, rows=10_000, budget=1e4, borne=0.3).update(rows)
    assert (strict.alarms > 0, borne.alarms) == (True, 0)


@pytest.mark.parametrize("value", [0.5, -1.0, math.nan, 2.0])
def test_anything_but_errors_is_refused(value: float) -> None:
    with pytest.raises(SpecError, match="errors must be 0 or 1"):
        ErrorMixture.of(errors=1, rows=10, budget=90).update([0.0, value])

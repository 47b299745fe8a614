from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import pytest

from airflow_dataml.core.alarm_budget import AlarmBudget, Detector, _log_ratios, _quantile, count_evidence

FLAT = (0.05,) * 20
ZIPF = tuple(one / sum(1 / i**2 for i in range(1, 22)) for one in (1 / i**2 for i in range(1, 22)))
MISSING = (0.995, 0.005)


def normal_shares(moved: float, *, bins: int = 20) -> Any:
    """Shares of a normal moved by so many standard deviations, in bins of equal shares before."""
    import numpy as np
    from scipy.stats import norm

    edges = norm.ppf(np.arange(1, bins) / bins)
    return np.diff(np.concatenate([[0.0], norm.cdf(edges - moved), [1.0]]))


def tilted(shares: Any, *, psi: float) -> Any:
    """Shares at a PSI from the given ones."""
    import numpy as np

    shares, low, high = np.asarray(shares), 0.0, 20.0
    along = np.linspace(-1, 1, len(shares))
    for _ in range(60):
        middle = (low + high) / 2
        other = shares * np.exp(middle * along)
        other /= other.sum()
        near = ((other - shares) * np.log(other / shares)).sum() < psi
        low, high = (middle, high) if near else (low, middle)
    return other


def false_alarms(
    *, shares: Any, rows: tuple[int, int], budget: int, tolerance: float, models: int, seed: int
) -> float:
    """False alarms in as many windows as the budget, at the edge of what is borne; each model has its reference."""
    import numpy as np

    draw, found = np.random.default_rng(seed), 0
    quiet = tilted(shares, psi=tolerance) if tolerance else np.asarray(shares)
    evidence = partial(count_evidence, tolerance=tolerance, ordered=len(shares) == 20)
    for _ in range(models):
        references = draw.multinomial(rows[0], shares, size=2)
        detector = Detector(budget=budget)
        for _ in range(budget):
            pairs = zip("ab", references, strict=True)
            detector = detector.step(
                {name: evidence(before, draw.multinomial(rows[1], quiet)) for name, before in pairs}
            )
            found += detector.alarm
    return found / models


@pytest.mark.parametrize("tolerance", [0.0, 0.02], ids=["nothing borne", "at the borne"])
@pytest.mark.parametrize("rows", [(1000, 1000), (100_000, 1000)], ids=["small reference", "large reference"])
@pytest.mark.parametrize("shares", [FLAT, ZIPF, MISSING], ids=["numbers", "categories", "missing"])
def test_quiet_windows_alarm_no_more_often_than_the_budget(
    shares: tuple[float, ...], rows: tuple[int, int], tolerance: float
) -> None:
    # At most 1 is promised; of 25 models, 1.5 is more than two standard errors above it.
    found = false_alarms(shares=shares, rows=rows, budget=20, tolerance=tolerance, models=25, seed=3)
    assert found <= 1.5


def test_the_simulation_can_tell_a_detector_that_takes_the_reference_as_exact() -> None:
    import numpy as np

    draw, alarms = np.random.default_rng(3), 0
    for _ in range(20):
        # The same 1,000 rows, said to be a million.
        reference, detector = draw.multinomial(1000, FLAT) * 1000, Detector(budget=20)
        for _ in range(20):
            current = draw.multinomial(1000, FLAT)
            detector = detector.step({"a": count_evidence(reference, current, tolerance=0.0, ordered=True)})
            alarms += detector.alarm
    assert alarms / 20 > 1.5


@pytest.mark.parametrize("seed", range(4))
def test_a_fifth_of_a_deviation_in_one_of_thirty_features_is_found_within_three_windows(seed: int) -> None:
    import numpy as np

    draw, shares = np.random.default_rng(seed), normal_shares(0.2)
    references = draw.multinomial(20_000, FLAT, size=30)
    detector = Detector.of(AlarmBudget(windows=600))
    for window in range(13):
        detector = detector.step(
            {
                f"f{i:02}": count_evidence(
                    before,
                    draw.multinomial(1000, shares if i == 7 and window >= 10 else FLAT),
                    tolerance=0.0,
                    ordered=True,
                )
                for i, before in enumerate(references)
            }
        )
        if detector.alarm:
            break
    assert window >= 10
    assert detector.alarm
    assert detector.suspects == ("f07",)


def test_what_is_borne_is_never_an_alarm_and_what_is_beyond_is() -> None:
    borne = [count_evidence([5000] * 20, 5000 * normal_shares(0.2), tolerance=0.1, ordered=True)]
    assert borne[0] < -5
    assert count_evidence([5000] * 20, 5000 * normal_shares(0.5), tolerance=0.1, ordered=True) > 5


def test_an_ordered_shift_is_found_with_fewer_rows() -> None:
    current = 1000 * normal_shares(0.2)
    plain = count_evidence([5000] * 20, current, tolerance=0.0)
    assert count_evidence([5000] * 20, current, tolerance=0.0, ordered=True) > plain + 4


@pytest.mark.parametrize(
    ("reference", "current"),
    [([], []), ([5, 5], [0, 0]), ([0, 0], [5, 5]), ([10, 0], [20, 0])],
    ids=["no bins", "no window", "no reference", "one bin"],
)
def test_counts_that_say_nothing_are_no_evidence(reference: list[int], current: list[int]) -> None:
    assert count_evidence(reference, current, tolerance=0.0) == 0.0


def test_a_new_category_is_evidence() -> None:
    assert count_evidence([5000, 5000, 0], [480, 480, 40], tolerance=0.0) > 20


@pytest.mark.parametrize(
    ("dims", "near", "far", "value"),
    [
        (1, 0.1, 5, 9),
        (3, 0.5, 9, 20),
        (19, 3, 60, 59),
        (41, 3, 60, 80),
        (100, 3, 60, 150),
        (500, 30, 200, 700),
    ],
)
def test_the_ratio_is_that_of_scipy(dims: int, near: float, far: float, value: float) -> None:
    from scipy.stats import ncx2

    expected = ncx2.logpdf(value, dims, far) - ncx2.logpdf(value, dims, near)
    assert _log_ratios(value, dims, near, [far]) == pytest.approx([expected], abs=1e-3)


def test_the_ratio_rises_with_the_distance_so_that_the_worst_that_is_borne_is_at_its_edge() -> None:
    found = [_log_ratios(value, 19, 3.0, [60.0])[0] for value in (0.0, 1e-7, 1.0, 10.0, 100.0, 1e4, 1e8)]
    assert found == sorted(found)
    assert found[0] == pytest.approx(-28.5)


@pytest.mark.parametrize("dims", [1, 3, 19, 200])
@pytest.mark.parametrize("shift", [0.5, 25.0, 1e5])
def test_the_quantile_is_near_that_of_scipy_and_not_below(dims: int, shift: float) -> None:
    from scipy.stats import ncx2

    expected = float(ncx2.ppf(0.9999, dims, shift))
    assert expected * 0.9999 <= _quantile(dims, shift) <= expected * 1.1


def exact_alarms(*, budget: int, models: int, seed: int) -> float:
    """False alarms in as many windows as the budget, of exact e-values of features and of their slices."""
    import numpy as np

    draw, found, far = np.random.default_rng(seed), 0, 1.0
    for _ in range(models):
        detector = Detector(budget=budget)
        for _ in range(budget):
            within = draw.standard_normal((2, 4))
            # A feature over all rows is what its slices are together, so that they depend on each other.
            whole = within.sum(axis=1) / 2
            factors, sliced = far * whole - far**2 / 2, far * within - far**2 / 2
            # Slices come and go.
            seen = draw.random(4) < 0.8
            names = [(f, g) for f in range(2) for g in range(4) if seen[g]]
            detector = detector.step(
                {str(f): float(factors[f]) for f in range(2)},
                {f"{f} where {g}": float(sliced[f, g]) for f, g in names},
            )
            found += detector.alarm
    return found / models


@pytest.mark.parametrize("budget", [15, 60])
def test_features_and_slices_have_one_budget_together(budget: int) -> None:
    # At most 1 is promised, and its standard error here is a tenth of it.
    assert exact_alarms(budget=budget, models=100, seed=1) <= 1.2


def sliced_windows(*, seed: int, windows: int, moves_at: int | None, slices: bool) -> list[int]:
    """Windows with an alarm, of 3 features in 5 slices of 300 rows, one of which moves by a third of a deviation."""
    import numpy as np

    draw, alarms = np.random.default_rng(seed), []
    references = draw.multinomial(4000, FLAT, size=(3, 5))
    detector, evidence = Detector(budget=60), partial(count_evidence, tolerance=0.0, ordered=True)
    for window in range(windows):
        now = draw.multinomial(300, FLAT, size=(3, 5))
        if moves_at is not None and window >= moves_at:
            now[1, 2] = draw.multinomial(300, normal_shares(0.35))
        whole = {str(f): evidence(references[f].sum(axis=0), now[f].sum(axis=0)) for f in range(3)}
        within = {
            f"{f} where {g}": evidence(references[f, g], now[f, g])
            for f in range(3)
            for g in range(5 if slices else 0)
        }
        detector = detector.step(whole, within)
        alarms += [window] if detector.alarm else []
    return alarms


def test_quiet_slices_alarm_no_more_often_than_the_budget() -> None:
    found = [sliced_windows(seed=seed, windows=60, moves_at=None, slices=True) for seed in range(8)]
    # One each is promised.
    assert sum(map(len, found)) <= 8


def test_a_shift_in_one_slice_alone_is_found_sooner_with_slices() -> None:
    delays = {
        slices: [
            next(iter(sliced_windows(seed=seed, windows=25, moves_at=5, slices=slices)), 25)
            for seed in range(6)
        ]
        for slices in (True, False)
    }
    assert max(delays[True]) <= 7
    assert sorted(delays[False])[3] > sorted(delays[True])[3] + 5


def test_a_slice_that_moved_is_named() -> None:
    found = Detector(budget=60).step(
        {"km": 0.5, "day": -0.5}, {"km where kind is bus": 9.0, "day where x": 0.0}
    )
    assert (found.alarm, found.suspects) == (True, ("km where kind is bus",))
    assert math.exp(found.evidence) == pytest.approx(
        ((math.exp(0.5) + math.exp(-0.5)) / 2 + (math.exp(9.0) + 1) / 2) / 2
    )


def test_without_slices_a_state_is_written_as_ever() -> None:
    assert Detector(budget=90).step({"a": 1.0}).to_dict() == {"budget": 90, "sums": {"a": 1.0}, "windows": 1}


@pytest.mark.parametrize("within", [{}, {"a where b": 2.0}], ids=["without slices", "with slices"])
def test_state_goes_on_through_json(within: dict[str, float]) -> None:
    half = Detector(budget=90).step({"b": 1.5, "a": -0.25}, within)
    again = Detector.from_dict(json.loads(json.dumps(half.to_dict(), allow_nan=False)))
    assert again == half
    assert again.step({"a": 1.0, "b": 2.0}) == half.step({"a": 1.0, "b": 2.0})


def test_the_order_of_features_is_of_no_matter() -> None:
    one = Detector(budget=90).step({"a": 1.0, "b": 2.0}).step({"b": 0.5, "a": -3.0})
    other = Detector(budget=90).step({"b": 2.0, "a": 1.0}).step({"a": -3.0, "b": 0.5})
    assert one == other
    assert list(one.sums) == list(other.sums)


def test_the_sum_is_that_of_all_beginnings() -> None:
    factors = [1.0, 2.0, 0.25]
    detector = Detector(budget=90)
    for factor in factors:
        detector = detector.step({"a": math.log(factor)})
    expected = sum(math.prod(factors[begin:]) for begin in range(3))
    assert math.exp(detector.evidence) == pytest.approx(expected)
    assert detector.windows == 3


def test_the_budget_is_shared_by_all_features() -> None:
    factor = math.log(100.0)
    alone = Detector(budget=90).step({"a": factor})
    among = Detector(budget=90).step({"a": factor} | {f"f{i}": -1.0 for i in range(29)})
    assert (alone.alarm, among.alarm) == (True, False)


def test_an_alarm_is_followed_by_a_new_beginning() -> None:
    alarmed = Detector(budget=10).step({"a": 9.0, "b": 8.0})
    assert alarmed.suspects == ("a", "b")
    after = alarmed.step({"a": 0.0, "b": 0.0})
    assert (after.alarm, after.windows, after.suspects) == (False, 1, ())
    assert after == Detector(budget=10).step({"a": 0.0, "b": 0.0})


def test_a_feature_that_was_not_looked_at_keeps_its_sum() -> None:
    detector = Detector(budget=90).step({"a": 1.0, "b": 1.0}).step({"a": 1.0})
    assert detector.sums["b"] == 1.0
    assert Detector(budget=90).step({}).evidence == -math.inf

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.drift_tests import (
    DriftTest,
    adjust,
    contingency_test,
    ks_test,
    ks_tolerance,
    melded_p_value,
    missing_test,
    new_category_test,
    value_tests,
)
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.profiles import cells_of
from airflow_dataml.core.statistics import count_into, equal_share_bins, shift_test

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np

KINDS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], Any]] = {
    "normal": lambda draw, shape: draw.standard_normal(shape),
    "heavy-tailed": lambda draw, shape: draw.standard_t(2, shape),
    "discrete": lambda draw, shape: draw.poisson(3, shape),
    "zero-inflated": lambda draw, shape: draw.exponential(2, shape) * (draw.random(shape) < 0.2),
}


def _bins(reference: Any, current: Any) -> tuple[list[int], list[int]]:
    """Both samples in bins of about equal shares of the reference, as the monitor does it."""
    low, high = float(reference.min()) - 1, float(reference.max()) + 1
    before, now = (sorted(cells_of(side, low=low, high=high).items()) for side in (reference, current))
    edges = equal_share_bins(before, bins=20)
    pairs = zip(*(count_into(side, edges, lowest=before[0][0]) for side in (before, now)), strict=True)
    kept = [pair for pair in pairs if any(pair)]
    return [left for left, _ in kept], [right for _, right in kept]


def _quiet_families(n: int, kind: str) -> Iterator[list[float]]:
    """P values of quiet windows of ten columns, against twice the rows: values, and 2 % of missing ones."""
    import numpy as np

    draw, columns = np.random.default_rng(n), 10
    for _ in range(60):
        reference, current = (KINDS[kind](draw, (columns, rows)) for rows in (2 * n, n))
        missing = draw.binomial(2 * n, 0.02, columns), draw.binomial(n, 0.02, columns)
        yield [
            test.p_value
            for column in range(columns)
            for test in (
                *value_tests(*_bins(reference[column], current[column]), tolerance=0.0, ordered=True),
                missing_test((missing[0][column], 2 * n), (missing[1][column], n), tolerance=0.0),
            )
        ]


class TestFamilies:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("n", [50, 500, 5000])
    def test_false_alarms_of_a_family_stay_at_the_level(self, n: int, kind: str) -> None:
        families, level = list(_quiet_families(n, kind)), 0.1
        for method in ("bh", "holm"):
            alarms = sum(any(adjust(family, level=level, method=method)) for family in families)
            # Three standard errors above .1 of sixty.
            assert alarms <= 6 + 3 * 2.33

    @pytest.mark.parametrize("kind", ["normal", "heavy-tailed"])
    def test_without_a_correction_they_do_not(self, kind: str) -> None:
        alarms = sum(min(family) < 0.1 for family in _quiet_families(500, kind))
        assert alarms > 30

    @pytest.mark.parametrize(("n", "m"), [(50, 50), (5000, 50), (50, 5000), (500, 500), (20000, 500)])
    def test_rare_categories_raise_no_alarm(self, n: int, m: int) -> None:
        import numpy as np

        draw, shares = np.random.default_rng(n + m), 1 / np.arange(1, 61) ** 1.5
        shares /= shares.sum()
        hits = [
            contingency_test(draw.multinomial(n, shares), draw.multinomial(m, shares), tolerance=0.0).p_value
            < 0.05
            for _ in range(400)
        ]
        assert np.mean(hits) <= 0.05 + 3 * 0.011

    @pytest.mark.parametrize("n", [50, 500, 5000])
    def test_categories_that_always_come_new_are_no_news(self, n: int) -> None:
        import numpy as np

        draw = np.random.default_rng(n)
        hits = 0
        for _ in range(200):
            before, now = (
                dict(
                    zip(
                        *(x.tolist() for x in np.unique(draw.zipf(1.6, rows), return_counts=True)),
                        strict=True,
                    )
                )
                for rows in (2 * n, n)
            )
            hits += new_category_test(before, now, tolerance=0.0).p_value < 0.05
        assert hits <= 10 + 3 * 3.1


class TestPower:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_shift_beyond_the_tolerance_is_found_in_a_family(self, kind: str) -> None:
        import numpy as np

        draw, n = np.random.default_rng(5), 2000
        reference, current = (KINDS[kind](draw, (10, rows)) for rows in (4 * n, n))
        # One column of ten: every value grows, nought among them.
        current[4] = current[4] * 2 + 1
        p_values = [
            min(t.p_value for t in value_tests(*_bins(a, b), tolerance=0.1, ordered=True))
            for a, b in zip(reference, current, strict=True)
        ]
        assert adjust(p_values, level=0.01) == [column == 4 for column in range(10)]

    @pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "categories"])
    def test_with_enough_rows_a_small_shift_is_real_and_borne(self, ordered: bool) -> None:
        sides = [100_000] * 4, [104_000, 96_000, 104_000, 96_000]
        assert min(t.p_value for t in value_tests(*sides, tolerance=0.0, ordered=ordered)) < 1e-6
        assert min(t.p_value for t in value_tests(*sides, tolerance=0.1, ordered=ordered)) > 0.999

    @pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "categories"])
    @pytest.mark.parametrize("shift", [0.05, 0.15])
    def test_at_the_tolerance_itself_the_level_holds(self, shift: float, ordered: bool) -> None:
        import numpy as np

        p, q = (np.repeat([(1 + moved) / 8, (1 - moved) / 8], 4) for moved in (shift, -shift))
        index = float(((p - q) * np.log(p / q)).sum())
        draw = np.random.default_rng(1)
        hits = [
            min(
                t.p_value
                for t in value_tests(
                    draw.multinomial(4000, p), draw.multinomial(2000, q), tolerance=index, ordered=ordered
                )
            )
            < 0.05
            for _ in range(300)
        ]
        assert np.mean(hits) <= 0.05 + 3 * 0.0126


class TestValueTests:
    def test_ordered_bins_are_asked_twice(self) -> None:
        sides = [100, 200, 300], [150, 200, 250]
        index, gap = value_tests(*sides, tolerance=0.0, ordered=True)
        shift = shift_test(*sides, tolerance=0.0)
        assert index == DriftTest("psi", shift.psi, shift.p_value, 600, 600)
        assert gap == ks_test(*sides, tolerance=0.0)
        assert gap.to_dict()["test"] == "ks"

    @pytest.mark.parametrize(("reference", "current"), [([0, 0], [5, 5]), ([5, 5], [0, 0]), ([9], [4])])
    @pytest.mark.parametrize("ordered", [True, False], ids=["ordered", "categories"])
    def test_nothing_to_compare_is_no_drift(
        self, reference: list[int], current: list[int], ordered: bool
    ) -> None:
        assert all(t.p_value > 0.4 for t in value_tests(reference, current, tolerance=0.0, ordered=ordered))


class TestKs:
    def test_against_scipy(self) -> None:
        import numpy as np
        from scipy.stats import ks_2samp

        draw = np.random.default_rng(2)
        for shift in (0.0, 0.03, 0.05):
            left, right = draw.standard_normal(40_000), draw.standard_normal(20_000) + shift
            cells = np.linspace(-6, 6, 3001)
            found = ks_test(*(np.histogram(side, cells)[0].tolist() for side in (left, right)), tolerance=0.0)
            oracle = ks_2samp(left, right, method="asymp")
            assert found.statistic == pytest.approx(oracle.statistic, abs=2e-3)
            assert found.p_value == pytest.approx(oracle.pvalue, rel=0.5, abs=1e-12)

    def test_p_value_is_the_level_at_which_the_lower_bound_meets_the_tolerance(self) -> None:
        from math import sqrt

        from scipy.special import kolmogi

        found = ks_test([600, 400], [300, 700], tolerance=0.1)
        bound = found.statistic - kolmogi(found.p_value) * sqrt(1 / 1000 + 1 / 1000)
        assert bound == pytest.approx(ks_tolerance(0.1))


class TestContingency:
    def test_of_equal_samples_it_is_pearsons(self) -> None:
        import numpy as np
        from scipy.stats import chi2_contingency

        draw = np.random.default_rng(4)
        for _ in range(30):
            table = [draw.multinomial(300, draw.dirichlet(np.full(5, 5.0))) for _ in range(2)]
            oracle = chi2_contingency(table, correction=False)
            assert contingency_test(*table, tolerance=0.0).p_value == pytest.approx(oracle.pvalue, rel=1e-9)

    def test_a_category_nobody_has_is_not_counted(self) -> None:
        assert contingency_test([50, 0, 50], [40, 0, 60], tolerance=0.0) == contingency_test(
            [50, 50], [40, 60], tolerance=0.0
        )


class TestExact:
    @pytest.mark.parametrize("before", [(0, 50), (0, 100_000), (3, 80), (40, 400), (49, 50)])
    @pytest.mark.parametrize("now", [(1, 50), (6, 50), (7, 3000), (50, 50), (90, 100)])
    def test_without_a_tolerance_it_is_fishers(self, before: tuple[int, int], now: tuple[int, int]) -> None:
        from scipy.stats import fisher_exact

        (j, n), (k, m) = before, now
        oracle = fisher_exact([[k, m - k], [j, n - j]], alternative="greater").pvalue
        assert melded_p_value(before, now, tolerance=0.0) == pytest.approx(oracle, rel=1e-3, abs=1e-15)

    @pytest.mark.parametrize(
        ("before", "now"), [((0, 1000), (0, 50)), ((5, 5), (5, 5)), ((0, 10), (0, 0)), ((0, 0), (3, 9))]
    )
    def test_nothing_new_is_no_drift(self, before: tuple[int, int], now: tuple[int, int]) -> None:
        assert missing_test(before, now, tolerance=0.0).p_value == 1.0

    def test_a_fall_is_found_as_a_rise_is(self) -> None:
        fall, rise = (
            missing_test(*sides, tolerance=0.05)
            for sides in (((300, 1000), (3, 500)), ((3, 500), (300, 1000)))
        )
        assert fall.p_value == rise.p_value < 1e-6
        assert fall.statistic == -rise.statistic == pytest.approx(0.006 - 0.3)

    def test_more_tolerance_finds_less(self) -> None:
        found = [missing_test((10, 1000), (40, 500), tolerance=t).p_value for t in (0.0, 0.02, 0.1, 0.3)]
        assert found == sorted(found)
        assert found[0] < 1e-6
        assert found[-1] > 0.5

    @pytest.mark.parametrize("tolerance", [0.0, 0.05])
    @pytest.mark.parametrize("rate", [0.0005, 0.02, 0.5])
    @pytest.mark.parametrize(("n", "m"), [(50, 50), (600, 50), (50, 600)])
    def test_the_level_holds_exactly_at_the_tolerance(
        self, n: int, m: int, rate: float, tolerance: float
    ) -> None:
        import numpy as np
        from scipy.special import expit, logit
        from scipy.stats import binom

        # The share that just may be borne, found anew.
        odds = logit(rate) + np.linspace(0, 30, 200_001)
        borne = float(expit(odds[((expit(odds) - rate) * (odds - logit(rate)) <= tolerance)][-1]))
        total = 0.0
        before, now = binom(n, rate), binom(m, borne)
        for j in range(int(before.ppf(1 - 1e-4)) + 1):
            # P values fall as hits rise, so the first hit that is found is found by halving.
            low, high = 0, m + 1
            while low < high:
                k = (low + high) // 2
                found = melded_p_value((j, n), (k, m), tolerance=tolerance) <= 0.05
                low, high = (low, k) if found else (k + 1, high)
            total += before.pmf(j) * now.sf(low - 1)
        assert total <= 0.05


class TestNewCategories:
    def test_a_category_among_few_known_ones_is_news(self) -> None:
        found = new_category_test({"a": 600, "b": 400}, {"a": 40, "b": 7, "c": 3}, tolerance=0.0)
        assert found.statistic == 0.06
        assert found.p_value < 0.001
        assert (found.n_reference, found.n_current) == (1000, 50)

    def test_one_row_of_fifty_after_fifty_is_not(self) -> None:
        assert new_category_test({"a": 50}, {"a": 49, "b": 1}, tolerance=0.0).p_value == pytest.approx(0.5)

    def test_a_trickle_is_borne(self) -> None:
        sides = {"a": 1_000_000}, {"a": 999_900, "b": 100}
        assert new_category_test(*sides, tolerance=0.0).p_value < 1e-9
        assert new_category_test(*sides, tolerance=0.1).p_value > 0.9


class TestAdjust:
    def test_holm_against_its_definition(self) -> None:
        import numpy as np

        draw = np.random.default_rng(1)
        for _ in range(50):
            p = draw.beta(0.2, 1, size=12)
            order = np.argsort(p)
            adjusted = np.empty(12)
            adjusted[order] = np.maximum.accumulate(p[order] * np.arange(12, 0, -1))
            assert adjust(p.tolist(), level=0.05, method="holm") == (adjusted <= 0.05).tolist()

    @pytest.mark.parametrize("method", ["bh", "holm"])
    def test_nothing_tested_nothing_rejected(self, method: Any) -> None:
        assert adjust([], level=0.05, method=method) == []

    def test_an_unknown_correction_is_named(self) -> None:
        method: Any = "sidak"
        with pytest.raises(SpecError, match="'sidak' is not one of 'bh', 'holm'"):
            adjust([0.1], level=0.05, method=method)

from __future__ import annotations

import math

import pytest

from airflow_dataml.core.statistics import (
    benjamini_hochberg,
    bootstrap_mean,
    count_into,
    equal_share_bins,
    mean_interval,
    psi,
    roc_auc,
    shift_test,
)


class TestShiftTest:
    @pytest.mark.parametrize("n", [300, 3000, 30000])
    def test_equal_sources_are_flagged_as_often_as_stated(self, n: int) -> None:
        import numpy as np

        draw = np.random.default_rng(n)
        share = np.full(20, 0.05)
        hits = [
            shift_test(draw.multinomial(n, share), draw.multinomial(n, share), tolerance=0.0).p_value < 0.05
            for _ in range(1000)
        ]
        # Three standard errors around .05.
        assert 0.029 <= np.mean(hits) <= 0.071

    def test_with_enough_rows_a_small_shift_is_real_and_borne(self) -> None:
        reference, current = [100_000, 100_000], [103_000, 97_000]
        assert shift_test(reference, current, tolerance=0.0).p_value < 1e-6
        assert shift_test(reference, current, tolerance=0.1).p_value > 0.999

    def test_one_bin_cannot_differ(self) -> None:
        assert shift_test([10], [99], tolerance=0.0).p_value == 1.0

    def test_psi_is_symmetric_and_zero_for_equal_shares(self) -> None:
        assert psi([10, 20, 30], [30, 10, 20]) == pytest.approx(psi([30, 10, 20], [10, 20, 30]))
        assert psi([10, 20, 30], [10, 20, 30]) == 0


class TestBenjaminiHochberg:
    def test_against_scipy(self) -> None:
        import numpy as np
        from scipy.stats import false_discovery_control

        draw = np.random.default_rng(1)
        for _ in range(50):
            p = draw.beta(0.3, 1, size=20)
            assert benjamini_hochberg(p.tolist(), level=0.05) == (false_discovery_control(p) <= 0.05).tolist()

    def test_nothing_tested_nothing_rejected(self) -> None:
        assert benjamini_hochberg([], level=0.05) == []


class TestBins:
    def test_shares_are_about_equal_and_nothing_is_lost(self) -> None:
        cells = [[i, 1 + i % 7] for i in range(500)]
        edges = equal_share_bins(cells, bins=20)
        counts = count_into(cells, edges, lowest=0)
        assert sum(counts) == sum(n for _, n in cells)
        assert max(counts) <= 2 * min(counts[1:-2])
        assert counts[0] == counts[-1] == 0

    def test_a_value_that_holds_most_rows_has_a_bin_alone(self) -> None:
        cells = [[4, 30], [5, 950], [6, 20]]
        edges = equal_share_bins(cells, bins=20)
        assert edges == [4, 5, 6]
        assert count_into(cells, edges, lowest=4) == [0, 30, 950, 20, 0]

    def test_what_was_never_seen_falls_into_the_outer_bins(self) -> None:
        assert count_into([[0, 3], [9, 4]], [2, 5], lowest=1) == [3, 0, 0, 4]

    def test_a_constant_has_one_bin_and_two_neighbours(self) -> None:
        edges = equal_share_bins([[500, 10_000]], bins=20)
        assert count_into([[900, 10_000]], edges, lowest=500) == [0, 0, 10_000]


class TestIntervals:
    def test_a_bootstrap_interval_covers_as_often_as_stated(self) -> None:
        import numpy as np

        draw = np.random.default_rng(3)
        intervals = [
            bootstrap_mean(draw.exponential(1, 400), level=0.9, resamples=400, seed=i) for i in range(300)
        ]
        covered = np.mean([i.low <= 1 <= i.high for i in intervals])
        assert 0.83 <= covered <= 0.95

    def test_large_samples_give_the_normal_interval(self) -> None:
        import numpy as np

        values = np.random.default_rng(5).normal(2, 1, 50_000)
        boot = bootstrap_mean(values, level=0.95)
        normal = mean_interval(len(values), float(values.sum()), float((values**2).sum()), level=0.95)
        assert boot.low == pytest.approx(normal.low, abs=0.002)
        assert boot.high == pytest.approx(normal.high, abs=0.002)

    def test_the_same_rows_give_the_same_interval(self) -> None:
        assert bootstrap_mean([1.0, 2.0, 5.0]) == bootstrap_mean([1.0, 2.0, 5.0])


def test_auc_counts_ties_as_half() -> None:
    assert roc_auc([0, 1], [0.5, 0.5]) == 0.5
    assert roc_auc([1, 1], [0.1, 0.2]) is None


def test_psi_of_two_halves_is_the_formula() -> None:
    p, q = 500.5 / 1001, 300.5 / 1001
    expected = (q - p) * math.log(q / p) + ((1 - q) - (1 - p)) * math.log((1 - q) / (1 - p))
    assert psi([500, 500], [300, 700]) == pytest.approx(expected)

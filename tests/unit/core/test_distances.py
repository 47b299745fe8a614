from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.core.distances import DISTANCES, distances

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = [-3.0, -1.0, 0.0, 0.5, 4.0, 10.0]


def _smoothed(counts: Any) -> Any:
    return (counts + 0.5) / (counts + 0.5).sum()


def _oracles() -> dict[str, Callable[[Any, Any], float]]:
    """What scipy says to the counts of both sides."""
    import numpy as np
    from scipy import stats
    from scipy.spatial import distance

    def share(counts: Any) -> Any:
        return counts / counts.sum()

    def spread(counts: Any) -> float:
        return float(np.std(np.repeat(PLACES, counts)))

    return {
        "psi": lambda r, c: (
            stats.entropy(_smoothed(r), _smoothed(c)) + stats.entropy(_smoothed(c), _smoothed(r))
        ),
        "kl": lambda r, c: stats.entropy(_smoothed(c), _smoothed(r)),
        "js_distance": lambda r, c: distance.jensenshannon(r, c, base=2),
        "hellinger": lambda r, c: distance.euclidean(np.sqrt(share(r)), np.sqrt(share(c))) / math.sqrt(2),
        "tv": lambda r, c: distance.cityblock(share(r), share(c)) / 2,
        "linf": lambda r, c: distance.chebyshev(share(r), share(c)),
        # Pearson's statistic of two samples of one size n is n / 2 of it.
        "chi2": lambda r, c: (
            stats.chi2_contingency(np.array([share(r), share(c)])[:, (r + c) > 0], correction=False).statistic
            * 2
        ),
        "ks": lambda r, c: (
            stats.ks_2samp(np.repeat(PLACES, r), np.repeat(PLACES, c), method="asymp").statistic
        ),
        "wasserstein": lambda r, c: stats.wasserstein_distance(PLACES, PLACES, r, c),
        "wasserstein_normed": lambda r, c: stats.wasserstein_distance(PLACES, PLACES, r, c) / spread(r),
        "energy": lambda r, c: stats.energy_distance(PLACES, PLACES, r, c),
    }


class TestAgainstScipy:
    @pytest.mark.parametrize("name", DISTANCES)
    def test_counts_of_any_kind(self, name: str) -> None:
        import numpy as np

        draw, oracle = np.random.default_rng(7), _oracles()[name]
        for _ in range(50):
            reference = draw.multinomial(draw.integers(20, 3000), draw.dirichlet(np.full(6, 0.7)))
            current = draw.multinomial(draw.integers(20, 3000), draw.dirichlet(np.full(6, 0.7)))
            found = distances(reference.tolist(), current.tolist(), positions=PLACES)
            assert found[name] == pytest.approx(oracle(reference, current), rel=1e-9, abs=1e-9)


class TestDistances:
    def test_every_distance_is_defined_and_every_definition_is_there(self) -> None:
        assert set(distances([1, 2], [2, 1], positions=[0, 1])) == set(DISTANCES)
        assert all(name == one.name and one.formula and one.source for name, one in DISTANCES.items())

    def test_categories_have_no_places(self) -> None:
        assert set(distances([1, 2], [2, 1])) == {name for name, one in DISTANCES.items() if not one.ordered}

    @pytest.mark.parametrize("positions", [None, PLACES], ids=["categories", "numbers"])
    def test_equal_shares_are_no_distance(self, positions: list[float] | None) -> None:
        found = distances([10, 20, 0, 30, 40, 5], [100, 200, 0, 300, 400, 50], positions=positions)
        # Half a count more a bin weighs less on the larger side.
        smoothed = {"psi", "kl"}
        assert all(
            value == pytest.approx(0, abs=1e-7) for name, value in found.items() if name not in smoothed
        )
        assert all(found[name] < 0.01 for name in smoothed)

    def test_a_constant_has_no_unit_of_spread(self) -> None:
        found = distances([5, 0], [0, 5], positions=[1, 3])
        assert found["wasserstein"] == 2
        assert "wasserstein_normed" not in found

    @pytest.mark.parametrize(
        ("reference", "current"), [([0, 0], [1, 2]), ([1, 2], [0, 0])], ids=["reference", "current"]
    )
    def test_nothing_is_far_from_nothing(self, reference: list[int], current: list[int]) -> None:
        assert distances(reference, current) == {}

    def test_chi2_never_exceeds_the_index_and_ks_never_its_bound(self) -> None:
        import numpy as np

        from airflow_dataml.core.drift_tests import ks_tolerance

        draw = np.random.default_rng(3)
        for _ in range(200):
            p, q = (draw.dirichlet(np.full(5, 0.5)) + 1e-3 for _ in range(2))
            found = distances((p * 1e9).tolist(), (q * 1e9).tolist(), positions=range(5))
            assert found["chi2"] <= found["psi"] * (1 + 1e-6)
            assert found["ks"] <= ks_tolerance(found["psi"]) * (1 + 1e-6)

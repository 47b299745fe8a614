"""Counterfactuals on arrays: what can be inverted is, and shares come with honest intervals."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from airflow_dataml.core.blame_replay import (
    enough_left,
    grew,
    map_numbers,
    recovered_distance,
    recovered_mean,
    renamed,
    rescale,
    swap_flags,
    untouched,
)

np = import_module("numpy")


@pytest.fixture
def draw() -> Any:
    return np.random.default_rng(1)


def test_a_change_of_unit_is_inverted(draw: Any) -> None:
    before, true = draw.normal(15, 7, 5000), draw.normal(15, 7, 3000)
    back = map_numbers(true * 1.8 + 32, before)
    assert np.abs(back - true).mean() < 0.5


def test_missing_numbers_stay_missing() -> None:
    back = map_numbers([np.nan, 10.0, 20.0], [1.0, 2.0])
    assert np.isnan(back[0])
    assert back[1:].tolist() == [1.0, 2.0]
    assert np.isnan(map_numbers([np.nan], [1.0])).all()


@pytest.mark.parametrize(
    ("now", "before", "found"),
    [
        (["BUS", "BUS", "Tram"], ["bus", "bus", "Tram"], {"BUS": "bus"}),
        (["k1", "k1", "k2"], ["bus", "bus", "tram"], {"k1": "bus", "k2": "tram"}),
        (["bus", "bus", "new"], ["bus", "bus", "bus"], {}),
        (["bus", None], ["bus", None], {}),
    ],
    ids=["case", "by how often", "one that came", "the same"],
)
def test_renamed_categories(now: list[Any], before: list[Any], found: dict[str, str]) -> None:
    assert renamed(now, before) == found


def test_labels_in_another_unit_and_labels_that_moved() -> None:
    values = np.linspace(1, 9, 200)
    back = rescale(values * 60, values)
    assert back is not None
    assert np.allclose(back, values)
    assert rescale(values + 30, values) is None
    assert rescale(values * 1.1, values) is None
    assert swap_flags([1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 1.0]) is not None


class TestUntouched:
    def test_rows_that_lack_a_value_count_as_often_as_before(self) -> None:
        where = np.array([True] * 60 + [False] * 40)
        weights, why = untouched({"temp": (where, 0.2)}, range(100))
        assert why == ("rows without temp",)
        assert weights[0] * 60 / (weights[0] * 60 + 40) == pytest.approx(0.2)
        assert weights[-1] == 1.0

    def test_of_a_key_that_occurs_twice_no_row_counts(self) -> None:
        weights, why = untouched({}, ["a", "b", "b"])
        assert (weights.tolist(), why) == ([1.0, 0.0, 0.0], ("rows whose key occurs more than once",))

    def test_nothing_is_left_where_all_is_missing(self) -> None:
        weights, _ = untouched({"temp": (np.ones(10, dtype=bool), 0.0)}, range(10))
        assert not enough_left(weights)


class TestShares:
    def test_half_of_a_loss(self, draw: Any) -> None:
        base = draw.exponential(0.3, 2000)
        found = recovered_mean(base + 0.4, base + 0.2, np.ones(2000), reference=0.3, level=0.95)
        assert found.low < 0.5 < found.high
        assert found.high - found.low < 0.1

    def test_reverting_that_harms_is_a_negative_share(self, draw: Any) -> None:
        base = draw.exponential(0.3, 2000)
        assert recovered_mean(base + 0.4, base + 0.6, np.ones(2000), reference=0.3, level=0.95).high < 0

    def test_a_gain_below_what_is_worth_a_cause_is_a_small_share(self, draw: Any) -> None:
        base = draw.exponential(0.3, 2000)
        found = recovered_mean(base, base - 0.001, np.ones(2000), reference=0.3, level=0.95)
        assert found.high < 0.1

    def test_growth(self, draw: Any) -> None:
        base = draw.exponential(0.3, 2000)
        assert grew(base + 0.1, reference=0.3, level=0.95)
        assert not grew(base, reference=0.3, level=0.95)

    def test_distances(self, draw: Any) -> None:
        before, true = draw.beta(2, 5, 2000), draw.beta(2, 5, 2000)
        found = recovered_distance(true + 0.3, true, np.ones(2000), before, level=0.95)
        assert found is not None
        assert found.low > 0.8
        assert recovered_distance(true, true, np.ones(2000), before, level=0.95) is None

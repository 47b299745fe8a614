from __future__ import annotations

from typing import Any

import pytest

from airflow_dataml.core.monitoring import (
    MonitorPolicy,
    blind_columns,
    column_shifts,
    decayed,
)
from airflow_dataml.core.profiles import cells_of
from airflow_dataml.core.statistics import Interval


def profile(values: Any, *, nulls: int = 0) -> dict[str, Any]:
    cells = [[c, n] for c, n in sorted(cells_of(values, low=-8.0, high=8.0).items())]
    return {
        "rows": len(values) + nulls,
        "columns": {"x": {"nulls": nulls, "grid": [-8.0, 8.0], "cells": cells}},
    }


def categories(**counts: int) -> dict[str, Any]:
    total = sum(counts.values())
    column = {"nulls": 0, "values": [[k, n] for k, n in counts.items()], "other": 0, "distinct": len(counts)}
    return {"rows": total, "columns": {"x": column}}


def drifted(reference: dict[str, Any], current: dict[str, Any], **policy: Any) -> dict[str, bool]:
    shifts = column_shifts(reference, current, columns=["x"], policy=MonitorPolicy(**policy))
    return {s.test: s.drifted for s in shifts}


class TestColumnShifts:
    @pytest.fixture
    def normal(self) -> Any:
        import numpy as np

        draw = np.random.default_rng(11)
        return lambda shift=0.0, n=20_000: draw.normal(shift, 1, n)

    @pytest.mark.parametrize(
        ("shift", "found"), [(0.0, False), (0.2, False), (0.6, True)], ids=["none", "borne", "large"]
    )
    def test_only_what_is_surely_beyond_the_tolerance_is_drift(
        self, normal: Any, shift: float, found: bool
    ) -> None:
        assert drifted(profile(normal()), profile(normal(shift)))["values"] is found

    def test_too_few_rows_say_nothing(self, normal: Any) -> None:
        assert drifted(profile(normal()), profile(normal(3.0, n=100))) == {}

    def test_a_column_that_goes_missing_is_drift(self, normal: Any) -> None:
        assert drifted(profile(normal()), profile(normal(n=10_000), nulls=10_000))["missing"]

    def test_a_new_category_that_takes_over_is_drift(self) -> None:
        assert drifted(categories(a=5000, b=5000), categories(a=3000, c=7000))["values"]

    @pytest.mark.parametrize(
        ("before", "after"),
        [({500: 10_000}, {900: 10_000}), ({10: 300, 11: 9500, 12: 200}, {10: 6000, 11: 3800, 12: 200})],
        ids=["a constant that changes", "mass that leaves one value"],
    )
    def test_heavy_values_are_seen(self, before: dict[int, int], after: dict[int, int]) -> None:
        sides = [
            {
                "rows": 10_000,
                "columns": {"x": {"nulls": 0, "grid": [0.0, 1.0], "cells": [list(c) for c in side.items()]}},
            }
            for side in (before, after)
        ]
        assert drifted(*sides)["values"]

    def test_a_sample_is_no_more_evidence_than_it_has_rows(self) -> None:
        before, after = categories(a=50_000, b=50_000), categories(a=42_000, b=58_000)
        assert drifted(before, after, tolerance=0.0)["values"]
        for side in (before, after):
            side["columns"]["x"]["sampled"] = 600
        assert not drifted(before, after, tolerance=0.0)["values"]
        [values, missing] = column_shifts(before, after, columns=["x"], policy=MonitorPolicy())
        assert (values.n_reference, missing.n_reference) == (600, 100_000)
        before["columns"]["x"]["sampled"] = 400
        assert "values" not in drifted(before, after)

    def test_of_moments_the_missing_rate_alone_is_compared(self) -> None:
        sides = [
            {
                "rows": 1000,
                "columns": {
                    "x": {"kind": "temporal", "nulls": nulls, "width": 60, "cells": [[at, 1000 - nulls]]}
                },
            }
            for at, nulls in ((0, 0), (1025, 500))
        ]
        assert drifted(*sides) == {"missing": True}
        assert blind_columns(*sides, columns=["x"]) == ()

    def test_a_histogram_that_cannot_see_says_so(self) -> None:
        inside = profile([0.0] * 1000)
        outside = profile([50.0] * 1000)
        assert blind_columns(inside, outside, columns=["x"]) == ("x",)
        assert blind_columns(inside, inside, columns=["x"]) == ()

    def test_a_quarter_of_quiet_days_is_quiet(self, normal: Any) -> None:
        reference = profile(normal())
        days = [drifted(reference, profile(normal(n=1000)), tolerance=0.0) for _ in range(90)]
        # At level .01 for values and missing together, about one false finding in 90 days.
        assert sum(any(day.values()) for day in days) <= 4


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0.25, 0.2, False), (0.27, 0.2, True), (0.27, 0.21, False)],
    ids=["may be borne", "surely beyond", "the holdout may have been a lucky one"],
)
def test_decay_is_a_loss_surely_beyond_what_is_borne(low: float, high: float, expected: bool) -> None:
    released, now = Interval(0.2, 0.19, high, 0.95, 500), Interval(0.3, low, 0.4, 0.99, 1000)
    assert decayed(released=released, now=now, policy=MonitorPolicy(decay_tolerance=0.3)) is expected

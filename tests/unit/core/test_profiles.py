from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.profiles import CELLS, TOP_VALUES, cells_of, merge_profiles


def numeric(values: list[float]) -> dict[str, object]:
    cells = sorted(cells_of(values, low=0.0, high=1.0).items()) if values else []
    column = {
        "type": "double precision", "nulls": 0, "min": min(values, default=None), "max": max(values, default=None),
        "sum": sum(values), "squares": sum(v * v for v in values), "grid": [0.0, 1.0], "cells": [list(c) for c in cells],
    }  # fmt: skip
    return {"rows": len(values), "columns": {"x": column}}


VALUES = st.lists(st.floats(-2, 2), max_size=30)


@given(VALUES, VALUES)
def test_a_merged_profile_is_the_profile_of_all_rows(left: list[float], right: list[float]) -> None:
    merged = merge_profiles([numeric(left), numeric(right)])["columns"]["x"]
    whole = numeric(left + right)["columns"]["x"]  # type: ignore[index]
    for key in ("nulls", "min", "max", "grid", "cells"):
        assert merged[key] == whole[key]
    assert merged["sum"] == pytest.approx(whole["sum"])


def test_every_value_has_a_cell() -> None:
    assert sum(cells_of([-9.0, 0.0, 0.999999, 1.0, 9.0], low=0.0, high=1.0).values()) == 5
    assert set(cells_of([-9.0, 9.0], low=0.0, high=1.0)) == {0, CELLS + 1}


def test_two_grids_do_not_add() -> None:
    other = numeric([0.5])
    other["columns"]["x"]["grid"] = [0.0, 2.0]  # type: ignore[index]
    with pytest.raises(SpecError, match="'x' was profiled on two grids"):
        merge_profiles([numeric([0.5]), other])


def test_rare_values_are_counted_together() -> None:
    values = [[f"v{i}", 1] for i in range(TOP_VALUES)]
    one = {
        "rows": TOP_VALUES,
        "columns": {"c": {"type": "text", "nulls": 0, "distinct": TOP_VALUES, "values": values, "other": 0}},
    }
    two = {
        "rows": 2,
        "columns": {"c": {"type": "text", "nulls": 0, "distinct": 1, "values": [["new", 2]], "other": 0}},
    }
    merged = merge_profiles([one, two])["columns"]["c"]
    assert merged["values"][0] == ["new", 2]
    assert sum(n for _, n in merged["values"]) + merged["other"] == TOP_VALUES + 2

"""The tests of one window, column by column, and the usual distances that are told beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.distances import DISTANCES, distances
from airflow_dataml.core.drift_tests import missing_test, new_category_test, value_tests
from airflow_dataml.core.monitoring import ColumnShift, comparable, histograms
from airflow_dataml.core.profiles import CELLS, counted, covered
from airflow_dataml.core.statistics import psi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.monitor_policy import MonitorPolicy

# Columns whose distances one report holds, those that moved furthest.
_TOLD = 100
# What a test is called in a report: the first of values is simply that.
_NAMES = {"psi": "values", "categories": "values"}


def window_tests(
    reference: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    columns: Sequence[str],
    policy: MonitorPolicy,
    where: str | None = None,
) -> list[ColumnShift]:
    """Every test of every column, not yet corrected for their number: values, KS, new categories and missing rate.

    Values of a sampled column count as many as were sampled. Moments always move, so of temporal columns the missing
    rate alone is compared. Below ``min_rows`` nothing is tested.

    :param reference: profile of the data the model is used to.
    :param current: profile of the window; same grids.
    :param where: the slice both are of.
    """
    found: list[ColumnShift] = []
    for name in columns:
        before, now = reference["columns"][name], current["columns"][name]
        if comparable(before, now, policy):
            found += _value_shifts(name, before, now, policy, where)
        if min(reference["rows"], current["rows"]) >= policy.min_rows:
            sides = [(float(p["columns"][name]["nulls"]), float(p["rows"])) for p in (reference, current)]
            test = missing_test(sides[0], sides[1], tolerance=policy.tolerance)
            index = psi(*([nulls, rows - nulls] for nulls, rows in sides))
            found.append(
                ColumnShift(
                    name,
                    "missing",
                    index,
                    test.p_value,
                    test.n_reference,
                    test.n_current,
                    where=where,
                    statistic=test.statistic,
                )
            )
    return found


def _value_shifts(
    name: str,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    policy: MonitorPolicy,
    where: str | None,
) -> list[ColumnShift]:
    left, right = histograms(before, now)
    tests = list(value_tests(left, right, tolerance=policy.tolerance, ordered="grid" in before))
    index = psi(left, right)
    if (seen := _categories(before, now)) is not None:
        tests.append(new_category_test(*seen, tolerance=policy.tolerance))
    sizes = (int(counted(before)), int(counted(now)))
    return [
        ColumnShift(
            name,
            _NAMES.get(test.test, test.test),
            index,
            test.p_value,
            *sizes,
            where=where,
            statistic=test.statistic,
        )
        for test in tests
    ]


def _categories(
    before: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, float]] | None:
    """How often each category was really counted; ``None`` where the reference does not know all its own."""
    if "values" not in before or before["other"] or "sampled" in before:
        return None
    share = counted(now) / (covered(now) or 1)
    return dict(before["values"]), {value: count * share for value, count in now["values"]}


def column_distances(
    reference: Mapping[str, Any], current: Mapping[str, Any], *, columns: Sequence[str], policy: MonitorPolicy
) -> dict[str, dict[str, float]]:
    """The distances of ``core.distances`` for every column with enough rows, at most a hundred columns.

    Those of shares are of the bins of the tests; those that ask where values lie, of the cells of the histogram.

    >>> from airflow_dataml.core.monitor_policy import MonitorPolicy
    >>> def side(cell):
    ...     column = {"nulls": 0, "grid": [0.0, 1024.0], "cells": [[10, 500], [cell, 500]]}
    ...     return {"rows": 1000, "columns": {"km": column}}
    >>> found = column_distances(side(20), side(30), columns=["km"], policy=MonitorPolicy())["km"]
    >>> found["wasserstein"], found["ks"]
    (5.0, 0.5)
    """
    found: dict[str, dict[str, float]] = {}
    for name in columns:
        before, now = reference["columns"][name], current["columns"][name]
        if comparable(before, now, policy):
            measured = distances(*histograms(before, now)) | _along(before, now)
            found[name] = {what: float(f"{value:.6g}") for what, value in measured.items()}
    furthest = sorted(found, key=lambda name: -found[name].get("psi", 0.0))[:_TOLD]
    return {name: found[name] for name in columns if name in furthest}


def _along(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, float]:
    if not before.get("grid"):
        return {}
    low, high = before["grid"]
    sides = [dict(column["cells"]) for column in (before, now)]
    places = sorted(sides[0].keys() | sides[1].keys())
    middles = [low + (cell - 0.5) * (high - low) / CELLS for cell in places]
    measured = distances(*([side.get(cell, 0) for cell in places] for side in sides), positions=middles)
    return {name: value for name, value in measured.items() if DISTANCES[name].ordered}

"""Profiles of columns: counts and histograms that add up exactly.

A profile is plain JSON, made once per part and merged per version::

    {"rows": 3, "columns": {
        "dep_delay": {"type": "integer", "nulls": 0, "min": -3, "max": 40, "sum": 39, "squares": 1610,
                      "grid": [-60, 120], "cells": [[325, 1], [371, 1], [570, 1]]},
        "carrier":   {"type": "text", "nulls": 0, "distinct": 2, "values": [["UA", 2], ["AA", 1]], "other": 0}}}

Numeric columns carry a histogram on a grid of ``CELLS`` equal cells between two edges that the
dataset keeps for ever; cell 0 is below the grid, cell ``CELLS + 1`` above. Histograms on the same
grid add cell by cell, so a version's is the sum of its parts'.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Sequence

CELLS = 1024
TOP_VALUES = 256


def merge_profiles(profiles: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Add profiles of disjoint row sets.

    >>> one = {"rows": 1, "columns": {"c": {"type": "text", "nulls": 0, "distinct": 1, "values": [["a", 1]], "other": 0}}}
    >>> merge_profiles([one, one])["columns"]["c"]["values"]
    [['a', 2]]
    """
    names = dict.fromkeys(name for p in profiles for name in p["columns"])
    columns = {
        name: _merge_column(name, [p["columns"][name] for p in profiles if name in p["columns"]])
        for name in names
    }
    return {"rows": sum(p["rows"] for p in profiles), "columns": columns}


def _merge_column(name: str, columns: Sequence[dict[str, Any]]) -> dict[str, Any]:
    first = columns[0]
    merged: dict[str, Any] = {"type": first["type"], "nulls": sum(c["nulls"] for c in columns)}
    if "grid" in first:
        grid = next((c["grid"] for c in columns if c["grid"]), None)
        if any(c["grid"] not in (None, grid) for c in columns):
            msg = f"column {name!r} was profiled on two grids; profiles of one dataset share theirs."
            raise SpecError(msg)
        cells: Counter[int] = Counter()
        for column in columns:
            cells.update(dict(column["cells"]))
        seen = [c for c in columns if c["min"] is not None]
        merged |= {
            "min": min((c["min"] for c in seen), default=None),
            "max": max((c["max"] for c in seen), default=None),
            "sum": sum(c["sum"] for c in columns),
            "squares": sum(c["squares"] for c in columns),
            "grid": grid,
            "cells": [[cell, count] for cell, count in sorted(cells.items())],
        }
        return merged
    values: Counter[str] = Counter()
    for column in columns:
        values.update(dict(column["values"]))
    top = values.most_common(TOP_VALUES)
    other = sum(c["other"] for c in columns) + values.total() - sum(count for _, count in top)
    merged |= {
        "distinct": max(len(values), *(c["distinct"] for c in columns)),
        "values": [[value, count] for value, count in top],
        "other": other,
    }
    return merged


def mean(column: dict[str, Any], rows: int) -> float | None:
    """Return the mean of a numeric column's profile.

    >>> mean({"nulls": 1, "sum": 6.0}, 4)
    2.0
    """
    count = rows - int(column["nulls"])
    return float(column["sum"]) / count if count else None


def cells_of(values: Any, *, low: float, high: float) -> Counter[int]:
    """Histogram cells of an array, as PostgreSQL's ``width_bucket`` counts them.

    >>> sorted(cells_of([0.0, 0.5, 1.0, -3.0], low=0.0, high=1.0).items())
    [(0, 1), (1, 1), (513, 1), (1025, 1)]
    """
    np = load("numpy", extra="monitoring")

    position = np.floor((np.asarray(values, dtype=float) - low) / (high - low) * CELLS) + 1
    cells, counts = np.unique(np.clip(position, 0, CELLS + 1).astype(int), return_counts=True)
    return Counter(dict(zip(cells.tolist(), counts.tolist(), strict=True)))

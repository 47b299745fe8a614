"""Counts of a window: what adds up, and that they say what the rows say."""

from __future__ import annotations

import ast
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_dataml.core import window_counts
from airflow_dataml.core.errors import SpecError
from airflow_dataml.core.monitor_evidence import factors
from airflow_dataml.core.monitor_tests import column_distances, window_tests
from airflow_dataml.core.monitoring import MonitorPolicy, blind_columns, corrected
from airflow_dataml.core.profiles import cells_of
from airflow_dataml.core.reported import read_window
from airflow_dataml.core.reported_counting import features_of, profile_of
from airflow_dataml.core.window_counts import count_window, own_counting

POLICY = MonitorPolicy(min_rows=20, tolerance=0.02, alarm_budget=50)
NAMES = ("km", "kind", "at")


def profile(rows: list[dict[str, Any]], grid: list[float]) -> dict[str, Any]:
    """What publishing makes of rows."""
    numbers = [row["km"] for row in rows if row["km"] is not None]
    kinds = Counter(row["kind"] for row in rows if row["kind"] is not None)
    ranked = sorted(kinds.items(), key=lambda one: (-one[1], one[0]))
    return {
        "rows": len(rows),
        "columns": {
            "km": {
                "nulls": len(rows) - len(numbers),
                "grid": grid,
                "cells": [list(one) for one in sorted(cells_of(numbers, low=grid[0], high=grid[1]).items())],
            },
            "kind": {
                "nulls": len(rows) - kinds.total(),
                "values": [list(one) for one in ranked],
                "other": 0,
                "distinct": len(kinds),
            },
            "at": {"kind": "temporal", "nulls": sum(row["at"] is None for row in rows), "width": 60, "cells": []},
        },
    }  # fmt: skip


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "km": st.one_of(
                st.none(), st.integers(-20_000, 20_000).map(lambda n: n / 1000 + 1e-4), st.integers(-3, 12)
            ),
            "kind": st.sampled_from([None, "a", "b", "c", "new"]),
            "at": st.sampled_from([None, "2026-01-01"]),
        }
    ),
    min_size=25,
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(before=ROWS, now=ROWS, seed=st.integers(0, 9))
def test_watching_rows_and_watching_their_counts_is_the_same(
    before: list[dict[str, Any]], now: list[dict[str, Any]], seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311 - test data
    grid = draw.choice([[0.0, 10.0], [-0.3, 0.7], [-25.0, 25.0]])
    reference, rows = profile(before, grid), profile(now, grid)
    asked = {"reference": "training", "features": features_of(reference, NAMES)}
    told = read_window(count_window(asked, window="w", rows=now)).model_dump(mode="json")
    counts = profile_of(told, own=False)
    sides = [
        (
            corrected(window_tests(reference, one, columns=NAMES, policy=POLICY), level=0.01),
            factors(reference, one, columns=NAMES, policy=POLICY),
            column_distances(reference, one, columns=NAMES, policy=POLICY),
            blind_columns(reference, one, columns=NAMES),
        )
        for one in (rows, counts)
    ]
    assert sides[0] == sides[1]


def test_what_a_server_takes_along_imports_the_standard_library_alone() -> None:
    tree = ast.parse(Path(window_counts.__file__).read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    assert modules | names == {"__future__", "bisect", "collections", "collections.abc", "math", "typing"}


def test_rows_of_one_s_own_give_a_reference() -> None:
    rows = [{"km": 1.5, "kind": True, "gone": None}, {"km": 3, "kind": False, "gone": None}]
    asked = own_counting(rows, loss="squared_error", score=(0, 90))
    told = read_window(
        count_window(asked, window="learnt", rows=rows, scores=[30.0, None], labels=[31.0, 4.0])
    )
    assert (told.role, told.reference) == ("reference", "reported")
    assert {name: one.count for name, one in told.features.items()} == {
        "gone": "nulls", "kind": "values", "km": "cells",
    }  # fmt: skip
    assert told.labels is not None
    assert told.labels.sums == (1, 31.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ([[5, 11, 1.0, 1.0, 1.0]], "cell 5 has 11 of them, and 10 scores"),
        ([[5, 10, 11.0, 1.0, 1.0]], "10 labels of 0 and 1 add up to 11"),
        ([[5, 10, 1.0, 10.0, 1.0]], "no 10 losses add up to 10 and their squares to 1"),
        ([[5, 10, 1.0, -1.0, 1.0]], "no 10 losses"),
        ([[5, 1, 1.0, 1.0, 1.0], [5, 1, 1.0, 1.0, 1.0]], "cell 5 occurs twice"),
    ],
    ids=["rows", "labels", "squares", "negative", "twice"],
)
def test_labels_that_cannot_be_are_refused(labels: list[list[float]], words: str) -> None:
    report = {
        "window": "w",
        "rows": 10,
        "features": {"km": {"nulls": 10}},
        "score": {"cells": [[5, 10]]},
        "labels": {"loss": "log_loss", "cells": labels},
    }
    with pytest.raises(SpecError, match=words):
        read_window(report)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"features": {"km": {"grid": [1, 0], "cells": [[1, 10]]}}}, "the grid goes from 1 to 0"),
        ({"features": {"km": {"cells": [[1, 10]]}}}, "give grid and cells"),
        ({"features": {"km": {"grid": [0, 1], "cells": [[1026, 10]]}}}, "less than or equal to 1025"),
        ({"features": {"kind": {"values": [["a", 5], ["a", 5]]}}}, "value 'a' occurs twice"),
        ({"features": {"kind": {"nulls": 9, "other": 1}}}, "there is no list"),
        ({"features": {}}, "at least 1 item"),
        ({"score": {"cells": [[5, 9]]}}, "nulls and counts add up to 9"),
        ({"score": {"cells": [[5, 10]], "calibrated": [[0, 9]]}}, "calibrated counts add up to 9"),
        ({"role": "reference"}, "role 'reference' goes with reference 'reported'"),
        ({"window": ""}, "at least 1 character"),
    ],
    ids=["grid", "no grid", "cell", "twice", "other", "none", "score", "calibrated", "role", "name"],
)  # fmt: skip
def test_what_does_not_add_up_is_refused(change: dict[str, Any], words: str) -> None:
    report = {"window": "w", "rows": 10, "features": {"km": {"nulls": 10}}} | change
    with pytest.raises(SpecError, match=words):
        read_window(report)


def test_a_list_is_no_window() -> None:
    with pytest.raises(SpecError, match="reported as an object of counts, received list"):
        read_window([])


def test_scores_and_rows_go_together() -> None:
    with pytest.raises(ValueError, match="1 rows and 2 scores"):
        count_window(own_counting([{"km": 1}]), window="w", rows=[{"km": 1}], scores=[0.1, 0.2])

"""What single windows say, for the sum over time."""

from __future__ import annotations

import random
from typing import Any

from airflow_dataml.core.monitor_evidence import factors, taken_up, told_of
from airflow_dataml.core.monitor_policy import MonitorPolicy
from airflow_dataml.core.profiles import cells_of


def _profile(seed: int, *, rows: int, mean: float = 0.0, nulls: int = 0) -> dict[str, Any]:
    draw = random.Random(seed)  # noqa: S311 - test data
    values = [draw.gauss(mean, 1.0) for _ in range(rows)]
    column = {"type": "double precision", "kind": "numeric", "nulls": nulls, "grid": [-6.0, 6.0]}
    return {
        "rows": rows + nulls,
        "columns": {"km": column | {"cells": sorted(cells_of(values, low=-6.0, high=6.0).items())}},
    }


def _said(policy: MonitorPolicy, **now: Any) -> dict[str, float]:
    before, after = _profile(1, rows=20_000, nulls=200), _profile(2, rows=1000, nulls=10, **now)
    return factors(before, after, columns=["km"], policy=policy)


def test_a_shift_that_is_borne_speaks_for_quiet_and_with_a_lower_tolerance_against() -> None:
    borne = _said(MonitorPolicy(alarm_budget=90), mean=0.3)
    heard = _said(
        MonitorPolicy.model_validate({"alarm_budget": {"windows": 90, "tolerance": 0.0025}}), mean=0.3
    )
    assert borne["km"] < 0
    assert heard["km"] > 3


def test_a_quiet_window_speaks_for_quiet_whatever_is_borne() -> None:
    for tolerance in (None, 0.0):
        policy = MonitorPolicy.model_validate({"alarm_budget": {"windows": 90, "tolerance": tolerance}})
        assert all(said < 1 for said in _said(policy).values())
        assert set(_said(policy)) == {"km", "missing values of km"}


def test_too_few_rows_say_nothing() -> None:
    assert _said(MonitorPolicy(alarm_budget=90, min_rows=5000)) == {}


def test_looking_again_hands_the_alarm_on_until_the_next_one() -> None:
    policy, state = MonitorPolicy(alarm_budget=90), None
    for batch, said in (("1", 0.0), ("2", 9.0), ("2", 0.0), ("3", 0.0), ("2", 0.0)):
        state = taken_up(state, report=7, batch=batch, found={"km": said}, policy=policy)
        assert (state["alarm"], state["suspects"]) == ((True, ["km"]) if batch == "2" else (False, []))
    assert told_of(state or {}).endswith("the evidence is unchanged, and so is its alarm: km")
    state = taken_up(state, report=8, batch="4", found={"age": 9.0}, policy=policy)
    assert not taken_up(state, report=9, batch="2", found={"km": 9.0}, policy=policy)["alarm"]


def test_an_alarm_written_down_before_it_was_handed_on_is_found() -> None:
    policy = MonitorPolicy(alarm_budget=90)
    state = taken_up(None, report=None, batch="1", found={"km": 9.0}, policy=policy)
    old = {name: value for name, value in state.items() if name != "last_alarm"}
    assert taken_up(old, report=7, batch="1", found={}, policy=policy)["suspects"] == ["km"]

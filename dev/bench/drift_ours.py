"""Our side of the drift benchmark: the monitor's own functions, on profiles made from the drawn rows."""

from __future__ import annotations

import importlib
import json
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np  # noqa: TID253 - the whole simulation is arrays

from airflow_dataml.core.alarm_budget import AlarmBudget, Detector
from airflow_dataml.core.monitor_evidence import factors
from airflow_dataml.core.monitor_policy import MonitorPolicy
from airflow_dataml.core.monitor_tests import window_tests
from airflow_dataml.core.monitoring import corrected
from airflow_dataml.core.profiles import cells_of
from dev.bench.drift_data import LARGE, SMALL, Case, large_frames, rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FEATURES = 200
FAMILIES = (5, 30, 200)
FAMILY = 30
# The shares of a large frame are told apart to .01 sd.
FINE = 1e-4


@dataclass
class Found:
    """How often one rule said that something moved."""

    looks: int = 0
    flagged: int = 0
    families: dict[int, list[bool]] = field(default_factory=lambda: {size: [] for size in FAMILIES})
    power: dict[float, list[bool]] = field(default_factory=lambda: {SMALL: [], LARGE: []})


def profile(values: Any, grids: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """The profile of drawn rows ``[features, rows]``, as a store makes it."""
    columns = {}
    for (name, (low, high)), column in zip(grids.items(), values, strict=False):
        cells = sorted(cells_of(column, low=low, high=high).items())
        columns[name] = {
            "kind": "numeric",
            "nulls": 0,
            "grid": [low, high],
            "cells": [list(c) for c in cells],
        }
    return {"rows": values.shape[1], "columns": columns}


def grids_of(values: Any) -> dict[str, tuple[float, float]]:
    """Edges as a store chooses them from the first rows it sees."""
    low, high = np.quantile(values[:, :20_000], [0.001, 0.999], axis=1)
    margin = np.where(high > low, (high - low) / 2, 1.0)
    edges = zip((low - margin).tolist(), (high + margin).tolist(), strict=True)
    return {f"n{i}": pair for i, pair in enumerate(edges)}


def judge(case: Case, policies: Mapping[str, MonitorPolicy], *, days: int) -> dict[str, Found]:
    """What each policy says to quiet windows of ``FEATURES`` features, and to families in which one moved."""
    rows = case.reference(FEATURES)
    grids = grids_of(rows)
    before, found = profile(rows, grids), {name: Found() for name in policies}
    heads = [f"n{i}" for i in range(0, FEATURES - FAMILY + 1, FAMILY)]
    for day in range(days):
        quiet = profile(case.window(day, FEATURES), grids)
        moved = {
            shift: profile(case.window(day, len(heads), shift=shift), {name: grids[name] for name in heads})
            for shift in (SMALL, LARGE)
        }
        for name, policy in policies.items():
            _judge_day(found[name], before, quiet, moved, policy=policy, heads=heads)
    return found


def _judge_day(
    found: Found,
    before: Mapping[str, Any],
    quiet: Mapping[str, Any],
    moved: Mapping[float, Mapping[str, Any]],
    *,
    policy: MonitorPolicy,
    heads: Sequence[str],
) -> None:
    names = list(quiet["columns"])
    tests = window_tests(before, quiet, columns=names, policy=policy)
    place = {name: i for i, name in enumerate(names)}
    for size in FAMILIES:
        for start in range(0, len(names) - size + 1, size):
            family = [t for t in tests if start <= place[t.column] < start + size]
            flagged = {t.column for t in corrected(family, level=policy.level) if t.drifted}
            found.families[size].append(bool(flagged))
            if size == FAMILY:
                found.looks += size
                found.flagged += len(flagged)
    for shift, window in moved.items():
        shifted = window_tests(before, window, columns=heads, policy=policy)
        for head in heads:
            others = [t for t in tests if place[head] < place[t.column] < place[head] + FAMILY]
            family = [*others, *(t for t in shifted if t.column == head)]
            found.power[shift].append(
                any(t.drifted and t.column == head for t in corrected(family, level=policy.level))
            )


def over_time(rules: Mapping[str, MonitorPolicy], *, worlds: int, rows: int, quiet: int, days: int) -> Any:
    """Alarm days among quiet ones, and days until a shift of one column is found, by rule.

    Every world is a model of ``FAMILY`` features. A rule with an alarm budget sums its evidence.
    """
    found: dict[str, tuple[list[int], list[int | None]]] = {name: ([], []) for name in rules}
    for world in range(worlds):
        draw = np.random.default_rng((99, world))
        reference = draw.standard_normal((FAMILY, 20 * rows), dtype=np.float32)
        grids = grids_of(reference)
        before = profile(reference, grids)
        windows = [
            profile(
                rows_of(draw, "normal", (FAMILY, rows), day=0) + _first(SMALL if day >= quiet else 0.0), grids
            )
            for day in range(quiet + days)
        ]
        for name, policy in rules.items():
            alarms = _alarms(before, windows, policy=policy)
            late = [day - quiet + 1 for day in alarms if day >= quiet]
            found[name][0].append(sum(day < quiet for day in alarms))
            found[name][1].append(min(late, default=None))
    return found


def _first(shift: float) -> Any:
    return np.float32(shift) * (np.arange(FAMILY) == 0)[:, None]


def _alarms(
    before: Mapping[str, Any], windows: Iterable[Mapping[str, Any]], *, policy: MonitorPolicy
) -> list[int]:
    detector = Detector.of(policy.alarm_budget or AlarmBudget())
    alarms = []
    names = list(before["columns"])
    for day, window in enumerate(windows):
        if policy.alarm_budget is None:
            tests = window_tests(before, window, columns=names, policy=policy)
            if any(t.drifted for t in corrected(tests, level=policy.level)):
                alarms.append(day)
            continue
        detector = detector.step(factors(before, window, columns=names, policy=policy))
        if detector.alarm:
            alarms.append(day)
    return alarms


def speed(rows: int) -> dict[str, Any]:
    """CPU seconds from raw columns and from stored profiles, and what was found."""
    reference, current = large_frames(rows)
    numbers = [name for name in reference if name.startswith("n")]
    grids = grids_of(reference[numbers].to_numpy().T)
    policy = MonitorPolicy(tolerance=FINE)
    names = list(reference.columns)
    # Neither side's imports are counted.
    importlib.import_module("scipy.stats")
    used, held = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sides = [_sketch(frame, grids) for frame in (reference, current)]
    tests = window_tests(sides[0], sides[1], columns=names, policy=policy)
    drifted = sorted({t.column for t in corrected(tests, level=policy.level) if t.drifted})
    raw = time.process_time() - used
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) / 1024
    stored, best = json.loads(json.dumps(sides)), float("inf")
    for _ in range(5):
        used = time.process_time()
        corrected(window_tests(stored[0], stored[1], columns=names, policy=policy), level=policy.level)
        best = min(best, time.process_time() - used)
    return {"raw": raw, "sketches": best, "found": drifted, "megabytes": more}


def _sketch(frame: Any, grids: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """The profile of a frame."""
    columns = {}
    for name in frame:
        nulls = int(frame[name].isna().sum())
        if name in grids:
            low, high = grids[name]
            cells = sorted(cells_of(frame[name].to_numpy(), low=low, high=high).items())
            columns[name] = {
                "kind": "numeric",
                "nulls": nulls,
                "grid": [low, high],
                "cells": [list(c) for c in cells],
            }
        else:
            counts = frame[name].value_counts()
            values = [[value, int(count)] for value, count in counts.items()]
            columns[name] = {"kind": "text", "nulls": nulls, "values": values, "other": 0}
    return {"rows": len(frame), "columns": columns}

"""Observing drift: the tests of one window's inputs and predictions, slice by slice where asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.monitor_evidence import factors, within_slice
from airflow_dataml.core.monitor_tests import column_distances, window_tests
from airflow_dataml.core.monitor_verdict import is_important
from airflow_dataml.core.monitoring import blind_columns, corrected
from airflow_dataml.core.profiles import merge_profiles
from airflow_dataml.steps.observing import SCORE, score_cells, score_profile
from airflow_dataml.steps.observing_slices import read_groups

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.monitor_policy import MonitorPolicy
    from airflow_dataml.core.monitoring import ColumnShift
    from airflow_dataml.steps.observing import Look, Reference
    from airflow_dataml.steps.observing_slices import Group

# Slices that moved which one report names, the furthest first.
_MOVED = 50


@dataclass(frozen=True, slots=True)
class Drift:
    """How far one window lies from its reference.

    :param inputs: tests of the features over all rows.
    :param slices: those within slices.
    :param scores: tests of the predictions.
    :param blind: inputs whose histograms cannot tell.
    :param evidence: what the window adds to the evidence over time.
    :param within: what its slices add.
    """

    inputs: tuple[ColumnShift, ...] = ()
    slices: tuple[ColumnShift, ...] = ()
    scores: tuple[ColumnShift, ...] = ()
    blind: tuple[str, ...] = ()
    evidence: dict[str, float] = field(default_factory=dict)
    within: dict[str, float] = field(default_factory=dict)
    distances: dict[str, dict[str, float]] = field(default_factory=dict)
    groups: tuple[Group, ...] = ()

    def slices_body(self, policy_rows: int) -> dict[str, Any]:
        """What a report says of slices; nothing without any.

        :param policy_rows: rows below which a slice is not tested.
        """
        if not self.groups:
            return {}
        moved = sorted((s for s in self.slices if s.drifted), key=lambda s: -s.psi)
        return {
            "groups": [
                {
                    "column": one.column,
                    "value": one.value,
                    "rows": one.current["rows"],
                    "reference_rows": one.reference["rows"],
                    "tested": min(one.current["rows"], one.reference["rows"]) >= policy_rows,
                }
                for one in self.groups
            ],
            "tests": len(self.slices),
            "moved": len(moved),
            "shifts": [s.to_dict() for s in moved[:_MOVED]],
        }


@dataclass(frozen=True, slots=True)
class Sides:
    """What is compared: a reference and a window, as profiles.

    :param scores: the same of the scores alone; ``None`` where the reference has none.
    """

    before: dict[str, Any]
    current: dict[str, Any]
    scores: tuple[dict[str, Any], dict[str, Any]] | None = None
    groups: tuple[Group, ...] = ()


def measure_drift(look: Look, reference: Reference | None, shares: Mapping[str, float] | None) -> Drift:
    """Test a window against its reference, see :func:`judge_drift`."""
    if reference is None:
        return Drift()
    scores = None
    if reference.scores:
        now = score_cells(look.warehouse, look.window.part)
        scores = score_profile(reference.scores), score_profile(now)
    sides = Sides(
        reference.profile,
        merge_profiles([p.profile for p in look.window.features_parts]),
        scores,
        tuple(read_groups(look, reference)) if look.policy.slices else (),
    )
    return judge_drift(sides, columns=look.window.columns, policy=look.policy, shares=shares)


def judge_drift(
    sides: Sides, *, columns: Sequence[str], policy: MonitorPolicy, shares: Mapping[str, float] | None
) -> Drift:
    """Test both sides of a window; features over all rows and slices are corrected together.

    :param shares: each feature's share of importance; unimportant ones are no evidence over time.
    """
    before, current, groups = sides.before, sides.current, sides.groups
    tests = window_tests(before, current, columns=columns, policy=policy)
    for one in groups:
        within = tuple(one.reference["columns"])
        tests += window_tests(one.reference, one.current, columns=within, policy=policy, where=one.name)
    judged = corrected(tests, level=policy.level)
    scores, evidence = _scores(sides.scores, policy)
    sliced: dict[str, float] = {}
    if policy.alarm_budget is not None:
        weighty = [c for c in columns if is_important(c, shares, policy)]
        evidence = factors(before, current, columns=weighty, policy=policy) | evidence
        sliced = _sliced(groups, weighty, policy)
    return Drift(
        inputs=tuple(s for s in judged if s.where is None),
        slices=tuple(s for s in judged if s.where is not None),
        scores=scores,
        blind=blind_columns(before, current, columns=columns),
        evidence=evidence,
        within=sliced,
        distances=column_distances(before, current, columns=columns, policy=policy),
        groups=groups,
    )


def _sliced(groups: Sequence[Group], columns: Sequence[str], policy: MonitorPolicy) -> dict[str, float]:
    """What the slices of a window add to the evidence over time."""
    found: dict[str, float] = {}
    for one in groups:
        known = [c for c in columns if c in one.reference["columns"]]
        told = factors(one.reference, one.current, columns=known, policy=policy)
        found |= within_slice(told, one.name)
    return found


def _scores(
    sides: tuple[dict[str, Any], dict[str, Any]] | None, policy: MonitorPolicy
) -> tuple[tuple[ColumnShift, ...], dict[str, float]]:
    if sides is None:
        return (), {}
    found = window_tests(*sides, columns=[SCORE], policy=policy)
    tests = corrected([s for s in found if s.test != "missing"], level=policy.level)
    if policy.alarm_budget is None:
        return tests, {}
    return tests, factors(*sides, columns=[SCORE], policy=policy, missing=False)

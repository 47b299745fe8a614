"""Drift and decay of a model: verdicts from profiles and losses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.monitor_policy import MonitorPolicy as MonitorPolicy  # noqa: PLC0414, TC001 - where it was first
from airflow_dataml.core.profiles import CELLS, counted, covered
from airflow_dataml.core.statistics import (
    benjamini_hochberg,
    count_into,
    equal_share_bins,
    shift_test,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.statistics import Interval

BINS = 20


@dataclass(frozen=True, slots=True)
class ColumnShift:
    """How far one column moved between the reference and the window.

    :param test: ``values``, ``missing``, ``ks`` or ``new_category``.
    :param where: the slice of rows that was looked at; ``None`` for all of them.
    :param statistic: of the test, where it is not PSI.
    """

    column: str
    test: str
    psi: float
    p_value: float
    n_reference: int
    n_current: int
    drifted: bool = False
    where: str | None = None
    statistic: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def column_shifts(
    reference: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    columns: Sequence[str],
    policy: MonitorPolicy,
) -> tuple[ColumnShift, ...]:
    """Compare two profiles column by column, values and missing rate, corrected for all tests together.

    Values of a sampled column count as many as were sampled. Moments always move, so of temporal columns
    the missing rate alone is compared.

    :param reference: profile of the version the model was trained on.
    :param current: profile of the window; same grids.
    """
    return corrected(_column_tests(reference, current, columns=columns, policy=policy), level=policy.level)


def _column_tests(
    reference: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    columns: Sequence[str],
    policy: MonitorPolicy,
) -> list[ColumnShift]:
    """The tests of :func:`column_shifts` before they are corrected for their number."""
    shifts = []
    for name in columns:
        before, now = reference["columns"][name], current["columns"][name]
        n, m = reference["rows"] - before["nulls"], current["rows"] - now["nulls"]
        if comparable(before, now, policy):
            left, right = histograms(before, now)
            result = shift_test(left, right, tolerance=policy.tolerance)
            sizes = (int(counted(before)), int(counted(now)))
            shifts.append(ColumnShift(name, "values", result.psi, result.p_value, *sizes))
        if min(reference["rows"], current["rows"]) >= policy.min_rows:
            result = shift_test([before["nulls"], n], [now["nulls"], m], tolerance=policy.tolerance)
            sizes = (reference["rows"], current["rows"])
            shifts.append(ColumnShift(name, "missing", result.psi, result.p_value, *sizes))
    return shifts


def corrected(shifts: Sequence[ColumnShift], *, level: float) -> tuple[ColumnShift, ...]:
    """Say which tests have found something, so that at most ``level`` of the findings are false."""
    rejected = benjamini_hochberg([s.p_value for s in shifts], level=level)
    return tuple(replace(s, drifted=bad) for s, bad in zip(shifts, rejected, strict=True))


def comparable(before: Mapping[str, Any], now: Mapping[str, Any], policy: MonitorPolicy) -> bool:
    """Whether there is enough of a column on both sides, and a histogram to compare."""
    if any(c.get("kind") == "temporal" or not c.get("grid", True) for c in (before, now)):
        return False
    return min(counted(before), counted(now)) >= policy.min_rows


def histograms(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Counts of both sides in the same bins, at the size that was really counted."""
    sides = _bins(before, now)
    shares = [counted(c) / (covered(c) or 1) for c in (before, now)]
    left, right = ([count * share for count in side] for side, share in zip(sides, shares, strict=True))
    return left, right


def _bins(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[int], list[int]]:
    if "grid" in before:
        edges = equal_share_bins(before["cells"], bins=BINS)
        lowest = before["cells"][0][0]
        pairs = zip(
            count_into(before["cells"], edges, lowest=lowest),
            count_into(now["cells"], edges, lowest=lowest),
            strict=True,
        )
        # Bins nobody is in would only loosen the test.
        kept = [pair for pair in pairs if any(pair)]
        return [left for left, _ in kept], [right for _, right in kept]
    top = [value for value, _ in before["values"][:BINS]]
    old, new = dict(before["values"]), dict(now["values"])
    rest = (sum(old.values()) + before["other"], sum(new.values()) + now["other"])
    left, right = [old[v] for v in top], [new.get(v, 0) for v in top]
    return [*left, rest[0] - sum(left)], [*right, rest[1] - sum(right)]


def blind_columns(
    reference: Mapping[str, Any], current: Mapping[str, Any], *, columns: Sequence[str], share: float = 0.05
) -> tuple[str, ...]:
    """Columns whose histogram cannot see a shift, because a good part of the rows lies outside its edges.

    :param share: part of either side's rows that may lie outside.
    """
    return tuple(
        name
        for name in columns
        if any(_outside(side["columns"][name]) > share for side in (reference, current))
    )


def _outside(column: Mapping[str, Any]) -> float:
    if column.get("kind") == "temporal":
        return 0.0
    total = sum(count for _, count in column.get("cells", ()))
    outer = sum(count for cell, count in column.get("cells", ()) if cell in (0, CELLS + 1))
    return outer / total if total else 0.0


def decayed(*, released: Interval, now: Interval, policy: MonitorPolicy) -> bool:
    """Whether the loss is surely above what is borne of the most that it may have been at release.

    :param released: mean loss on the holdout at release; a holdout is finite too, so it has an interval.
    :param now: mean loss of the window with its interval.
    """
    return now.low > released.high * (1 + policy.decay_tolerance)

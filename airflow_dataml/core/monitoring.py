"""Drift and decay of a model: verdicts from profiles and losses."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_dataml.core.governance import Decision
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


class MonitorPolicy(BaseModel):
    """When a window of data counts as drifted, or a model as decayed.

    :param tolerance: PSI that is borne; only what is surely larger is drift.
    :param level: share of false findings among all findings of one window (Benjamini-Hochberg).
    :param decay_tolerance: growth of the mean loss over its value at release that is borne, as a share.
    :param confidence: confidence of the interval that must lie wholly beyond the decay tolerance.
    :param min_rows: below this many rows a test says ``unknown``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tolerance: float = Field(0.1, ge=0, le=5)
    level: float = Field(0.01, gt=0, lt=0.5)
    decay_tolerance: float = Field(0.3, ge=0)
    confidence: float = Field(0.99, gt=0.5, lt=1)
    min_rows: int = Field(500, ge=2)


class RetrainPolicy(BaseModel):
    """What follows from an alarm.

    Drift of single inputs alone never replaces a model: it is reported, and retraining follows
    when ``on`` names what was found.

    :param on: findings that ask for a new version: ``decay``, ``prediction_drift``, ``input_drift``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: tuple[Literal["decay", "prediction_drift", "input_drift"], ...] = ("decay", "prediction_drift")


@dataclass(frozen=True, slots=True)
class ColumnShift:
    """How far one column moved between the reference and the window."""

    column: str
    test: Literal["values", "missing"]
    psi: float
    p_value: float
    n_reference: int
    n_current: int
    drifted: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


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
    shifts = []
    for name in columns:
        before, now = reference["columns"][name], current["columns"][name]
        n, m = reference["rows"] - before["nulls"], current["rows"] - now["nulls"]
        if _comparable(before, now, policy):
            left, right = _histograms(before, now)
            result = shift_test(left, right, tolerance=policy.tolerance)
            sizes = (int(counted(before)), int(counted(now)))
            shifts.append(ColumnShift(name, "values", result.psi, result.p_value, *sizes))
        if min(reference["rows"], current["rows"]) >= policy.min_rows:
            result = shift_test([before["nulls"], n], [now["nulls"], m], tolerance=policy.tolerance)
            shifts.append(
                ColumnShift(name, "missing", result.psi, result.p_value, reference["rows"], current["rows"])
            )
    rejected = benjamini_hochberg([s.p_value for s in shifts], level=policy.level)
    return tuple(
        ColumnShift(**(asdict(s) | {"drifted": bad})) for s, bad in zip(shifts, rejected, strict=True)
    )


def _comparable(before: Mapping[str, Any], now: Mapping[str, Any], policy: MonitorPolicy) -> bool:
    if any(c.get("kind") == "temporal" or not c.get("grid", True) for c in (before, now)):
        return False
    return min(counted(before), counted(now)) >= policy.min_rows


def _histograms(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[list[float], list[float]]:
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


def decayed(*, released: float, now: Interval, policy: MonitorPolicy) -> bool:
    """Whether the loss is surely above what is borne.

    :param released: mean loss on the holdout at release.
    :param now: mean loss of the window with its interval.
    """
    return now.low > released * (1 + policy.decay_tolerance)


def decide_retrain(
    *,
    findings: Mapping[str, Sequence[str]],
    feed_broken: Sequence[str],
    policy: RetrainPolicy,
    pending: bool,
) -> Decision:
    """Retrain, fix the data, or wait.

    :param findings: what was found, by ``decay``, ``prediction_drift``, ``input_drift``.
    :param feed_broken: why the data of the window cannot be trusted; a broken feed never retrains.
    :param pending: whether a retraining was asked for and has not led to a version yet.
    """
    reasons = tuple(f"{kind}: {text}" for kind, texts in findings.items() for text in texts)
    if feed_broken:
        return Decision("fix_data", (*feed_broken, *reasons))
    wanted = [kind for kind in policy.on if findings.get(kind)]
    if not wanted:
        quiet = reasons or ("no drift and no decay beyond the tolerances",)
        return Decision("wait", quiet)
    if pending:
        return Decision("wait", (*reasons, "a retraining is already under way"))
    return Decision("retrain", reasons)

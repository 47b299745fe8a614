"""Evidence on one model over its windows: what a report takes up from the report before it, and what it hands on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.alarm_budget import Detector, count_evidence
from airflow_dataml.core.monitoring import comparable, histograms

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.monitor_policy import MonitorPolicy

MISSING = "missing values of "
# Batches a report remembers as counted; an older one that is watched again would count twice.
_REMEMBERED = 400
# Slices whose evidence one report names, those with the most.
_TOLD_SLICES = 100


def factors(
    reference: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    columns: Sequence[str],
    policy: MonitorPolicy,
    missing: bool = True,
) -> dict[str, float]:
    """What one window says of each column, as logarithms of e-values; columns with too few rows say nothing.

    :param reference: profile of the data the model is used to.
    :param missing: whether rates of missing values are looked at too.
    """
    found: dict[str, float] = {}
    budget = policy.alarm_budget
    borne = policy.tolerance if budget is None or budget.tolerance is None else budget.tolerance
    for name in columns:
        before, now = reference["columns"][name], current["columns"][name]
        if comparable(before, now, policy):
            left, right = histograms(before, now)
            if _tells(left, right):
                found[name] = count_evidence(left, right, tolerance=borne, ordered="grid" in before)
        if missing and min(reference["rows"], current["rows"]) >= policy.min_rows:
            left, right = (
                [c["nulls"], p["rows"] - c["nulls"]] for c, p in ((before, reference), (now, current))
            )
            if _tells(left, right):
                found[MISSING + name] = count_evidence(left, right, tolerance=borne)
    return found


def _tells(left: Sequence[float], right: Sequence[float]) -> bool:
    """Whether two bins hold anything. Of one alone every window would say 1, and the sum would grow by waiting."""
    return sum(1 for pair in zip(left, right, strict=True) if any(pair)) > 1


def taken_up(
    before: Mapping[str, Any] | None,
    *,
    report: int | None,
    batch: str,
    found: Mapping[str, float],
    policy: MonitorPolicy,
    within: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The state after one more window.

    A batch that was counted before is not counted again; if the last alarm was its own, it stands. One that comes
    after a later batch counts when it comes: the budget holds for windows in the order in which they are looked at,
    whatever their names.

    :param before: the state in the report before; ``None`` at the first.
    :param report: that report.
    :param batch: the window's partition key.
    :param found: of :func:`factors`.
    :param within: the same within slices, see :func:`within_slice`.

    >>> from airflow_dataml.core.monitor_policy import MonitorPolicy
    >>> policy = MonitorPolicy(alarm_budget=90)
    >>> first = taken_up(None, report=None, batch="2026-02", found={"km": -0.5}, policy=policy)
    >>> first["alarm"], first["detector"]["windows"]
    (False, 1)
    >>> again = taken_up(first, report=7, batch="2026-02", found={"km": 9.0}, policy=policy)
    >>> again["counted"], again["detector"] == first["detector"]
    (False, True)
    >>> alarmed = taken_up(first, report=7, batch="2026-03", found={"km": 9.0}, policy=policy)
    >>> again = taken_up(alarmed, report=8, batch="2026-03", found={"km": 9.0}, policy=policy)
    >>> again["counted"], again["alarm"], again["suspects"]
    (False, True, ['km'])
    >>> late = taken_up(first, report=7, batch="2026-01", found={"km": 9.0}, policy=policy)
    >>> late["alarm"], late["suspects"], late["out_of_order"]
    (True, ['km'], True)
    """
    if policy.alarm_budget is None:
        return {}
    old = Detector.from_dict(before["detector"]) if before else Detector(policy.detector_windows)
    batches: list[str] = list(before["batches"]) if before else []
    counted = batch not in batches
    detector = old.step(found, within) if counted else old
    last = _last_alarm(before)
    if counted and detector.alarm:
        last = {"batch": batch, "suspects": list(detector.suspects)}
    mine = last if last and last["batch"] == batch else None
    return {
        "budget": policy.alarm_budget.windows,
        "detector": detector.to_dict(),
        "alarm": mine is not None,
        "suspects": list(mine["suspects"]) if mine else [],
        "last_alarm": last,
        "evidence": _told(found) | _told(within or {}, most=_TOLD_SLICES),
        "counted": counted,
        "out_of_order": counted and bool(batches) and batch < max(batches),
        "batches": [*batches, batch][-_REMEMBERED:] if counted else batches,
        "previous": report,
    }


def _told(found: Mapping[str, float], *, most: int | None = None) -> dict[str, float]:
    ranked = sorted(found.items(), key=lambda one: -one[1])[:most]
    return {name: round(value, 4) for name, value in ranked}


def within_slice(found: Mapping[str, float], where: str) -> dict[str, float]:
    """Evidence of a slice's features, under names that say where.

    >>> within_slice({"km": -0.5}, "kind is bus")
    {'km where kind is bus': -0.5}
    """
    return {f"{name} where {where}": value for name, value in found.items()}


def _last_alarm(before: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The batch of the last alarm and its suspects; a state that kept none may have been the alarm itself."""
    if before is None:
        return None
    if "last_alarm" not in before and before["alarm"]:
        return {"batch": before["batches"][-1], "suspects": before["suspects"]}
    found: dict[str, Any] | None = before.get("last_alarm")
    return found


def told_of(state: Mapping[str, Any]) -> str:
    """The state in one line."""
    windows, budget = state["detector"]["windows"], state["budget"]
    who = ", ".join(state["suspects"][:5]) or "no single column, all together"
    if not state["counted"]:
        stands = f", and so is its alarm: {who}" if state["alarm"] else ""
        return f"the batch was counted before (report {state['previous']}); the evidence is unchanged{stands}"
    late = "; the batch came after later ones" if state["out_of_order"] else ""
    shared = "" if state["detector"]["budget"] == budget else ", one half of which is that of errors"
    if state["alarm"]:
        return f"evidence of {windows} windows reaches the budget of {budget}{shared}: {who}{late}"
    return f"evidence of {windows} windows is within the budget of {budget}{shared}{late}"

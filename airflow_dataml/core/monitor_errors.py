"""Errors of a model over its windows: the baseline of its release, and what a report takes up from the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_dataml.core.error_detector import ErrorDetector
from airflow_dataml.core.error_mixture import ErrorMixture

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_dataml.core.monitor_policy import MonitorPolicy

ERRORS, LOSS = "errors", "loss"
# Batches a report remembers as read; labels that come for an older one would be read again.
_REMEMBERED = 400


def baseline_of(evaluation: Mapping[str, Any], *, measure: str) -> dict[str, Any]:
    """What an evaluation says of the errors or losses at release.

    Errors come as their number among so many held-out rows, from the calibration of two classes. Losses come as the
    upper end of their interval, and their standard deviation where the calibration knows it.

    :param evaluation: body of the report on the version's evaluation.

    >>> calibration = {"task": "binary", "rows": [600, 400], "released": {"accuracy": 0.9}}
    >>> baseline_of({"calibration": calibration, "challenger": {}}, measure="errors")
    {'measure': 'errors', 'errors': 100, 'rows': 1000, 'rate': 0.1}
    >>> baseline_of({"challenger": {"loss": {"estimate": 0.3, "high": 0.33}}}, measure="errors")
    {'measure': 'loss', 'rate': 0.3, 'bound': 0.33, 'deviation': None}
    """
    calibration = evaluation.get("calibration") or {}
    rows = sum(calibration.get("rows") or ())
    accuracy = (calibration.get("released") or {}).get("accuracy")
    if measure == ERRORS and calibration.get("task") == "binary" and rows and accuracy is not None:
        errors = round((1 - float(accuracy)) * rows)
        return {"measure": ERRORS, "errors": errors, "rows": rows, "rate": round(errors / rows, 6)}
    loss = evaluation["challenger"]["loss"]
    estimate = float(loss["estimate"])
    bound = estimate if loss.get("high") is None else float(loss["high"])
    squares = sum(calibration.get("squares") or ())
    variance = squares / rows - estimate**2 if rows and calibration.get("task") == "regression" else 0.0
    deviation = variance**0.5 if variance > 0 else None
    return {"measure": LOSS, "rate": estimate, "bound": bound, "deviation": deviation}


def detector_of(baseline: Mapping[str, Any], policy: MonitorPolicy) -> ErrorMixture | ErrorDetector:
    """A detector that has read nothing yet; its budget is in windows."""
    borne = policy.errors.tolerance if policy.errors else 0.0
    budget = float(policy.detector_windows)
    if baseline["measure"] == ERRORS:
        return ErrorMixture.of(errors=baseline["errors"], rows=baseline["rows"], budget=budget, borne=borne)
    # A loss that was always 0 has no baseline to bet against: any loss at all is then a rise.
    bound = max(float(baseline["bound"]) * (1 + borne), 1e-9)
    return ErrorDetector.of(baseline=bound, budget=budget, deviation=baseline["deviation"])


def detector_from(baseline: Mapping[str, Any], data: Mapping[str, Any]) -> ErrorMixture | ErrorDetector:
    """A detector as a report wrote it down."""
    return (ErrorMixture if baseline["measure"] == ERRORS else ErrorDetector).from_dict(data)


def errors_begun(baseline: Mapping[str, Any], policy: MonitorPolicy) -> dict[str, Any]:
    """The state before the first label."""
    return {
        "baseline": dict(baseline),
        "detector": detector_of(baseline, policy).to_dict(),
        "read": {},
        "last_alarm": None,
    }


def errors_taken_up(
    state: Mapping[str, Any],
    *,
    report: int | None,
    batch: str,
    arrivals: Sequence[Mapping[str, Any]],
    policy: MonitorPolicy,
) -> dict[str, Any]:
    """The state after the labels that came since.

    Nothing is read twice: a look without new labels leaves all as it was, and an alarm that fell in a look at this
    batch stands.

    :param state: the state in the report before, or :func:`errors_begun`.
    :param report: that report.
    :param batch: the window that is looked at.
    :param arrivals: in the order of their publication, each with the ``batch`` its labels are of, the ids of its label
        ``parts``, ``published``, the batch's ``scored`` rows and the new ``losses`` in their order.

    >>> from airflow_dataml.core.monitor_policy import MonitorPolicy
    >>> policy = MonitorPolicy(alarm_budget=90, errors=True)
    >>> begun = errors_begun({"measure": "errors", "errors": 100, "rows": 1000, "rate": 0.1}, policy)
    >>> bad = {"batch": "feb", "parts": [7], "published": None, "scored": 400, "losses": [0, 1] * 200}
    >>> after = errors_taken_up(begun, report=None, batch="mar", arrivals=[bad], policy=policy)
    >>> after["alarm"]["batch"], after["alarm"]["row"] < 100, after["read"]
    ('feb', True, {'feb': [7]})
    >>> again = errors_taken_up(after, report=8, batch="mar", arrivals=[], policy=policy)
    >>> again["counted"], again["alarm"] == after["alarm"], again["detector"] == after["detector"]
    (False, True, True)
    >>> errors_taken_up(after, report=8, batch="apr", arrivals=[], policy=policy)["alarm"] is None
    True
    """
    baseline = state["baseline"]
    detector = detector_from(baseline, state["detector"])
    read: dict[str, list[int]] = {key: list(parts) for key, parts in state["read"].items()}
    last, told = state["last_alarm"], []
    for one in arrivals:
        losses = list(one["losses"])
        before = detector.rows
        detector, row = detector.update(losses, weight=1 / max(one["scored"], len(losses), 1))
        if row is not None:
            last = {
                "window": batch,
                "batch": one["batch"],
                "row": row + 1,
                "of": len(losses),
                "read": before + row + 1,
                "published": one["published"],
            }
        mean = round(sum(losses) / len(losses), 6) if losses else None
        told.append({"batch": one["batch"], "rows": len(losses), "mean": mean, "published": one["published"]})
        read.pop(one["batch"], None)
        read[one["batch"]] = list(one["parts"])
    counted = any(one["rows"] for one in told)
    found: dict[str, Any] = {
        "baseline": baseline,
        "budget": policy.detector_windows // 2,
        "detector": detector.to_dict(),
        "arrivals": told,
        "alarm": last if last and last["window"] == batch else None,
        "last_alarm": last,
        "counted": counted,
        "read": dict(list(read.items())[-_REMEMBERED:]),
        "previous": report,
    }
    return found | {"told": _told(found)}


def _told(state: Mapping[str, Any]) -> str:
    """The state in one line."""
    baseline, alarm = state["baseline"], state["alarm"]
    held = f" of {baseline['rows']:,} held-out rows" if baseline["measure"] == ERRORS else ""
    against = f"{baseline['rate']:.4f}{held} at release"
    what = "errors" if baseline["measure"] == ERRORS else "losses"
    if alarm:
        return (
            f"{what} have grown over {against}: their evidence reaches the budget of {state['budget']} windows at row "
            f"{alarm['row']} of the {alarm['of']} that were labelled of batch {alarm['batch']}"
            + (f", published {alarm['published']}" if alarm["published"] else "")
        )
    rows = sum(one["rows"] for one in state["arrivals"])
    return f"{rows} new {what} of {state['detector']['rows']} read say nothing against {against}"

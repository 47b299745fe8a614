"""What the tests of one window mean: findings that count, warnings beside them, and the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_dataml.core.monitor_policy import MonitorPolicy
    from airflow_dataml.core.monitoring import ColumnShift

# Findings about the model's errors, for which an incident is one of decay.
_DECAY = ("decay", "estimated_decay")
_FAILING = (*_DECAY, "prediction_drift", "metric_failed")
QUIET = "no drift and no decay beyond the tolerances"


def said(shift: ColumnShift, policy: MonitorPolicy) -> str:
    """A drifted column in words."""
    where = f" where {shift.where}" if shift.where else ""
    if shift.test == "new_category":
        return f"{shift.column} has new categories{where}: {shift.statistic or 0:.1%} of the values"
    beyond = f" (KS distance {shift.statistic or 0:.3f})" if shift.test == "ks" else ""
    what = "values" if shift.test == "ks" else shift.test
    return f"{shift.column} {what} moved{where}: PSI {shift.psi:.3f} (borne {policy.tolerance:g}){beyond}"


def drifts(shifts: Iterable[ColumnShift], policy: MonitorPolicy) -> list[str]:
    """What drifted, the furthest first; a second test of the same values says nothing new.

    >>> from airflow_dataml.core.monitor_policy import MonitorPolicy
    >>> from airflow_dataml.core.monitoring import ColumnShift
    >>> found = [ColumnShift("km", test, 0.3, 1e-9, 900, 900, drifted=True) for test in ("values", "ks", "missing")]
    >>> drifts(found, MonitorPolicy())
    ['km values moved: PSI 0.300 (borne 0.1)', 'km missing moved: PSI 0.300 (borne 0.1)']
    """
    moved = [s for s in shifts if s.drifted]
    values = {(s.column, s.where) for s in moved if s.test == "values"}
    told = [s for s in moved if s.test != "ks" or (s.column, s.where) not in values]
    return [said(shift, policy) for shift in sorted(told, key=lambda s: -s.psi)]


def is_important(column: str, shares: Mapping[str, float] | None, policy: MonitorPolicy) -> bool:
    """Whether a feature's drift may fail a window; what no explanation knows is important.

    :param shares: each feature's share of importance.

    >>> from airflow_dataml.core.monitor_policy import MonitorPolicy
    >>> [is_important(c, {"km": 0.9, "day": 0.01}, MonitorPolicy(importance=0.05)) for c in ("km", "day", "new")]
    [True, False, True]
    """
    if policy.importance is None or shares is None or column not in shares:
        return True
    return shares[column] >= policy.importance


def counted_drift(
    shifts: Iterable[ColumnShift], shares: Mapping[str, float] | None, policy: MonitorPolicy
) -> dict[str, Any] | None:
    """How many features drifted against how many may; ``None`` without ``counting``."""
    if policy.counting is None:
        return None
    drifted = sorted({s.column for s in shifts if s.drifted})
    important = [c for c in drifted if is_important(c, shares, policy)]
    enough = len(drifted) >= policy.counting.drifted and len(important) >= policy.counting.important
    return {"drifted": drifted[:100], "important": important[:100], "failed": enough}


def window_findings(
    inputs: Sequence[ColumnShift],
    scores: Sequence[ColumnShift],
    shares: Mapping[str, float] | None,
    policy: MonitorPolicy,
) -> tuple[dict[str, list[str]], list[str]]:
    """Findings of drift that count in this window alone, and those that only warn.

    With an alarm budget single windows only warn; see :func:`alarm_findings`.
    """
    weighty = [s for s in inputs if is_important(s.column, shares, policy)]
    light = drifts((s for s in inputs if s not in weighty), policy)
    found = {"prediction_drift": drifts(scores, policy), "input_drift": drifts(weighty, policy)}
    if policy.alarm_budget is None:
        return found, light
    return {kind: [] for kind in found}, [text for texts in found.values() for text in texts] + light


def alarm_findings(state: Mapping[str, Any], text: str, *, score: str) -> dict[str, list[str]]:
    """Findings of an alarm: of the predictions where their score is a suspect, else of the inputs.

    :param state: of the evidence over time.
    :param text: the state in words.

    >>> alarm_findings({"alarm": True, "suspects": ["score"]}, "over the budget", score="score")
    {'prediction_drift': ['over the budget']}
    """
    if not state.get("alarm"):
        return {}
    return {"prediction_drift" if score in state["suspects"] else "input_drift": [text]}


def verdict_of(body: Mapping[str, Any], policy: MonitorPolicy) -> str:
    """``fail`` for decay, moved predictions, a failed metric or too many drifted features; ``warn`` for what else was found.

    What surely fails does so whatever the window's size: decay may be an earlier batch's. ``unknown`` where the window
    is small, or nothing was tested.
    """
    findings = {kind for kind, texts in body["findings"].items() if texts}
    counting = body.get("counting")
    if findings & set(_FAILING) or (counting and counting["failed"]):
        return "fail"
    if body["rows"] < policy.min_rows:
        return "warn" if "late" in findings else "unknown"
    if findings or body.get("warnings"):
        return "warn"
    return "unknown" if body["blind"] or body["reference"] is None or not _tested(body) else "pass"


def _tested(body: Mapping[str, Any]) -> bool:
    """Whether a single test of inputs or predictions was held: the reference too may have too few rows."""
    return bool(body.get("inputs") or body.get("prediction"))


def incident_of(body: Mapping[str, Any], verdict: str) -> tuple[str, str, str] | None:
    """Kind, severity and title of the incident that a report about a model opens, if it does.

    What never came is an incident of its own, see :func:`late_incident`. An alarm that is only handed on has had its
    incident, which somebody may have resolved.
    """
    states = [body[name] for name in ("over_time", "errors") if body.get(name)]
    had = [state["told"] for state in states if not state.get("counted", True)]
    left = {kind: [text for text in texts if text not in had] for kind, texts in body["findings"].items()}
    found = {kind: texts for kind, texts in left.items() if texts and kind != "late"}
    if not found:
        return None
    kind = "decay" if any(found.get(one) for one in _DECAY) else "drift"
    severity = "high" if found.get("decay") else "medium" if verdict == "fail" else "low"
    title = next(iter(found.values()))[0]
    return kind, severity, f"{body['model']} on batch {body['partition_key']}: {title}"


def late_incident(body: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """The incident of predictions or labels that never came."""
    late = body["findings"].get("late")
    return ("data", "medium", f"{body['model']}: {late[0]}") if late else None


def summary_of(body: Mapping[str, Any]) -> str:
    """What a report says, in one line."""
    found = [text for texts in body["findings"].values() for text in texts]
    warned = body.get("warnings") or ()
    over_time = body.get("over_time")
    if not found and warned:
        beside = f"; {over_time['told']}" if over_time else ""
        return f"{len(warned)} warnings of this window alone, first: {warned[0]}{beside}"
    if not found and body["reference"] is None:
        return str(body.get("no_reference") or "there is nothing to compare with yet")
    if not found and not _tested(body):
        return "nothing was tested: the window or what it is compared with has too few rows"
    return "; ".join(found) or QUIET

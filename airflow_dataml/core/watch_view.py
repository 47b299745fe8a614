"""What monitor reports say over time, in one form whatever release wrote them: evidence, late labels, estimates, metrics."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Sums of evidence that one window tells of: the largest, which are what may alarm.
_SUMS = 40


@dataclass(frozen=True, slots=True)
class EvidenceView:
    """The evidence of all windows so far against the bar of the alarm budget.

    :param bar: natural logarithm of the detector's budget; an alarm where the mean of the sums reaches it.
    :param evidence: natural logarithm of the mean of the sums; those within slices weigh as much as all others.
    :param sums: natural logarithm of each column's own sum, the largest first.
    :param counted: whether the window was counted now; one that was looked at before is not counted again.
    """

    budget: int
    bar: float
    evidence: float | None
    sums: dict[str, float]
    windows: int
    alarm: bool
    suspects: tuple[str, ...]
    counted: bool


@dataclass(frozen=True, slots=True)
class ExpectedView:
    """A metric of a batch as it is expected without labels, and as it was at release."""

    metric: str
    estimate: float
    low: float | None
    high: float | None
    released: float | None


@dataclass(frozen=True, slots=True)
class ArrivedView:
    """A batch scored before, by the labels that were there when a later window was looked at."""

    partition_key: str
    scored: int | None
    labelled: int | None
    loss: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class MetricView:
    """A metric of one's own in one window, and from where to where it may lie."""

    name: str
    value: float | None
    verdict: str
    low: float | None
    high: float | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class WatchView:
    """What a window says beside its own drift and loss.

    :param promised: share of a batch's labels that was promised; ``None`` where none was.
    :param moved: share of the attribution that lies on other features than at the explanation.
    :param borne: of that share.
    """

    evidence: EvidenceView | None
    scored: int | None
    labelled: int | None
    promised: float | None
    expected: tuple[ExpectedView, ...]
    arrived: tuple[ArrivedView, ...]
    metrics: tuple[MetricView, ...]
    moved: float | None
    borne: float | None
    warnings: tuple[str, ...]


def watch_view(body: Mapping[str, Any]) -> WatchView:
    """Read the body of a monitor report; what it does not hold is ``None`` or empty.

    >>> body = {"over_time": {"budget": 60, "detector": {"sums": {"km": 1.0}, "windows": 2}}}
    >>> found = watch_view(body).evidence
    >>> round(found.bar, 2), found.evidence, found.sums
    (4.09, 1.0, {'km': 1.0})
    """
    policy, performance = _object(body.get("policy")), _object(body.get("performance"))
    return WatchView(
        evidence=_evidence(_object(body.get("over_time"))),
        scored=_whole(performance.get("scored")),
        labelled=_whole(performance.get("labelled")),
        promised=_number(policy.get("min_label_share", 0.95)) if policy.get("max_label_delay") else None,
        expected=_expected(_object(body.get("estimated"))),
        arrived=tuple(_arrived(one) for one in _objects(body.get("labels")) if one.get("partition_key")),
        metrics=tuple(_metric(one) for one in _objects(body.get("metrics")) if one.get("name")),
        moved=_number(_object(body.get("attribution")).get("share_shift")),
        borne=_number(policy.get("attribution_tolerance")),
        warnings=tuple(str(one) for one in _list(body.get("warnings"))),
    )


def _evidence(state: Mapping[str, Any]) -> EvidenceView | None:
    detector, budget = _object(state.get("detector")), _whole(state.get("budget"))
    # Of a budget that is shared with errors the detector has its half, and that is the bar.
    bar = _whole(detector.get("budget")) or budget
    if not budget or not bar or min(budget, bar) < 1:
        return None
    sides = [_sums(detector.get(side)) for side in ("sums", "slices")]
    means = [mean for side in sides if (mean := _log_mean(list(side.values()))) is not None]
    ranked = sorted((sides[0] | sides[1]).items(), key=lambda one: (-one[1], one[0]))[:_SUMS]
    return EvidenceView(
        budget=budget,
        bar=math.log(bar),
        evidence=_log_mean(means),
        sums=dict(ranked),
        windows=_whole(detector.get("windows")) or 0,
        alarm=state.get("alarm") is True,
        suspects=tuple(str(one) for one in _list(state.get("suspects"))),
        counted=state.get("counted") is not False,
    )


def _sums(found: Any) -> dict[str, float]:
    return {str(name): total for name, one in _object(found).items() if (total := _number(one)) is not None}


def _log_mean(logs: list[float]) -> float | None:
    """The logarithm of the mean of numbers whose logarithms are given.

    >>> _log_mean([2.0, 2.0])
    2.0
    """
    if not logs:
        return None
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs) / len(logs))


def _expected(found: Mapping[str, Any]) -> tuple[ExpectedView, ...]:
    return tuple(
        ExpectedView(
            name, estimate, _number(one.get("low")), _number(one.get("high")), _number(one.get("released"))
        )
        for name, value in found.items()
        if (estimate := _number((one := _object(value)).get("estimate"))) is not None
    )


def _arrived(one: Mapping[str, Any]) -> ArrivedView:
    loss = _object(one.get("loss"))
    known = {name: _number(loss.get(name)) for name in ("estimate", "low", "high", "level")}
    told = known | {"n": _whole(loss.get("n"))} if known["estimate"] is not None else None
    return ArrivedView(
        str(one["partition_key"]), _whole(one.get("scored")), _whole(one.get("labelled")), told
    )


def _metric(one: Mapping[str, Any]) -> MetricView:
    return MetricView(
        name=str(one["name"]),
        value=_number(one.get("value")),
        verdict=str(one.get("verdict") or "unknown"),
        low=_number(one.get("low")),
        high=_number(one.get("high")),
        reason=str(one["reason"]) if one.get("reason") else None,
    )


def watch_dict(body: Mapping[str, Any]) -> dict[str, Any]:
    """The view as plain JSON."""
    return asdict(watch_view(body))


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [one for one in _list(value) if isinstance(one, dict)]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _whole(value: Any) -> int | None:
    number = _number(value)
    return None if number is None else int(number)

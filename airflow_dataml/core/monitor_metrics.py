"""Metrics of one's own, held against a limit or against what their past foretells."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core.extras import load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_dataml.core.monitor_policy import MonitorMetric

# Values before which nothing is foretold.
LEAST = 3
# Numbers that differ by less, as a share, are the same but for rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class MetricState:
    """One metric in one window.

    :param low: least that is usual; ``None`` where any is.
    :param high: most that is usual.
    :param history: batches before that ``low`` and ``high`` rest on; 0 for a limit.
    """

    name: str
    value: float | None
    verdict: Literal["pass", "warn", "fail", "unknown"]
    low: float | None = None
    high: float | None = None
    history: int = 0
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @property
    def text(self) -> str:
        """The state in words."""
        sides = [
            f"{what} {side:.4g}" for what, side in (("from", self.low), ("to", self.high)) if side is not None
        ]
        usual = f"learned from {self.history} batches" if self.history else "allowed"
        return (
            f"{self.name} is {self.value:.6g}, {usual} {' '.join(sides)}"
            if self.value is not None
            else self.name
        )


def judge_metric(
    metric: MonitorMetric, value: float | None, history: Sequence[float], *, level: float
) -> MetricState:
    """Hold a number against its limit, its warning limit, or its past.

    :param history: values in the batches before, newest first.
    :param level: how often a number like those before is called unusual.

    >>> from airflow_dataml.core.monitor_policy import MonitorMetric
    >>> revenue = MonitorMetric(name="revenue", sql="SELECT 1", direction="higher", limit=100, warn=120)
    >>> [judge_metric(revenue, value, [], level=0.01).verdict for value in (90, 110, 130, None)]
    ['fail', 'warn', 'pass', 'unknown']
    >>> share = MonitorMetric(name="share", sql="SELECT 1", direction="both", learned=10)
    >>> [judge_metric(share, value, [0.5, 0.52, 0.48, 0.51], level=0.01).verdict for value in (0.5, 0.9)]
    ['pass', 'fail']
    """
    if value is None or not math.isfinite(value):
        return MetricState(metric.name, None, "unknown", reason="the metric has no value for this batch")
    if metric.learned is not None:
        return _learned(metric, value, history[: metric.learned], level)
    beyond = [limit is not None and _worse(metric, value, limit) for limit in (metric.limit, metric.warn)]
    verdict: Literal["pass", "warn", "fail"] = "fail" if beyond[0] else "warn" if beyond[1] else "pass"
    limit = metric.limit if metric.limit is not None else metric.warn
    limit = metric.warn if verdict == "warn" else limit
    low, high = (limit, None) if metric.direction == "higher" else (None, limit)
    return MetricState(metric.name, value, verdict, low, high)


def _worse(metric: MonitorMetric, value: float, limit: float) -> bool:
    return value < limit if metric.direction == "higher" else value > limit


def _learned(metric: MonitorMetric, value: float, history: Sequence[float], level: float) -> MetricState:
    """Student's prediction interval for one more value like those before.

    G. J. Hahn and W. Q. Meeker, "Statistical Intervals" (1991), section 4.7.
    """
    if len(history) < LEAST:
        reason = f"{len(history)} batches before, {LEAST} are needed to say what is usual"
        return MetricState(metric.name, value, "unknown", history=len(history), reason=reason)
    warns = metric.warn is not None and _worse(metric, value, metric.warn)
    if _same(min(history), max(history)):
        return _constant(metric, value, history, warns=warns)
    special = load("scipy.special", extra="monitoring")
    n, middle = len(history), fmean(history)
    tail = level / 2 if metric.direction == "both" else level
    half = float(special.stdtrit(n - 1, 1 - tail)) * stdev(history) * math.sqrt(1 + 1 / n)
    low = middle - half if metric.direction != "lower" else None
    high = middle + half if metric.direction != "higher" else None
    fails = (low is not None and value < low) or (high is not None and value > high)
    return MetricState(
        metric.name, value, "fail" if fails else "warn" if warns else "pass", low, high, history=n
    )


def _constant(metric: MonitorMetric, value: float, history: Sequence[float], *, warns: bool) -> MetricState:
    """What never varied foretells no distance from which on a number is unusual."""
    always, n = history[0], len(history)
    if _same(value, always):
        return MetricState(metric.name, value, "warn" if warns else "pass", always, always, history=n)
    reason = f"{value:.6g}, and the {n} batches before are all {always:.6g}: what is unusual cannot be told"
    return MetricState(metric.name, value, "warn" if warns else "unknown", history=n, reason=reason)


def _same(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=_ROUNDING, abs_tol=_ROUNDING)

"""Metrics by the names scikit-learn and torchmetrics give them, each with a confidence interval.

Every smooth metric is measured with its influence function: what each row adds to the estimate. Its square gives the
variance, and the difference of two models' influences on the same rows gives the *paired* variance of any linear
contrast of the two, at the cost of one pass. For the area under the curve this is the method of DeLong, DeLong and
Clarke-Pearson, Biometrics 44 (1988) 837-845; for ratios it is the delta method.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_dataml.core import influences
from airflow_dataml.core.errors import PolicyError
from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import Interval, log_losses, squared_errors

if TYPE_CHECKING:
    from collections.abc import Callable

_EXTRA = "monitoring"
_BINS = 15
Kind = Literal["binary", "regression", "multiclass", "latency"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that can be asked for.

    :param influences: from labels, scores and decision threshold the estimate and the influence of every row;
        ``None`` where it is not defined. A metric without one has an interval of its own.
    """

    name: str
    kind: Kind
    greater_is_better: bool
    influences: Callable[[Any, Any, float], tuple[float, Any] | None] | None = None


CLASS_METRICS = {
    metric.name: metric
    for metric in (
        Metric("roc_auc_ovr", "multiclass", greater_is_better=True, influences=influences.roc_auc_ovr),
        Metric("log_loss", "multiclass", greater_is_better=False, influences=influences.class_log_loss),
        Metric("accuracy", "multiclass", greater_is_better=True, influences=influences.class_accuracy),
        Metric(
            "balanced_accuracy",
            "multiclass",
            greater_is_better=True,
            influences=influences.balanced_accuracy,
        ),
        Metric("f1_macro", "multiclass", greater_is_better=True, influences=influences.f1_macro),
    )
}
METRICS = {
    metric.name: metric
    for metric in (
        Metric("roc_auc", "binary", greater_is_better=True, influences=influences.roc_auc),
        Metric(
            "log_loss",
            "binary",
            greater_is_better=False,
            influences=lambda y, p, _: influences.mean(log_losses(y, p)),
        ),
        Metric(
            "brier_score_loss",
            "binary",
            greater_is_better=False,
            influences=lambda y, p, _: influences.mean(squared_errors(y, p)),
        ),
        Metric("expected_calibration_error", "binary", greater_is_better=False),
        Metric("accuracy", "binary", greater_is_better=True, influences=influences.accuracy),
        Metric("precision", "binary", greater_is_better=True, influences=influences.precision),
        Metric("recall", "binary", greater_is_better=True, influences=influences.recall),
        Metric("f1", "binary", greater_is_better=True, influences=influences.f1),
        Metric(
            "mean_squared_error",
            "regression",
            greater_is_better=False,
            influences=lambda y, p, _: influences.mean(squared_errors(y, p)),
        ),
        Metric(
            "root_mean_squared_error",
            "regression",
            greater_is_better=False,
            influences=influences.root_mean_squared_error,
        ),
        Metric(
            "mean_absolute_error",
            "regression",
            greater_is_better=False,
            influences=lambda y, p, _: influences.mean(abs(y - p)),
        ),
        Metric("r2", "regression", greater_is_better=True, influences=influences.r2),
        Metric("latency_p50", "latency", greater_is_better=False),
        Metric("latency_p95", "latency", greater_is_better=False),
    )
}
# What has one name for two classes and for many is found by ``metrics_of``.
METRICS |= {name: one for name, one in CLASS_METRICS.items() if name not in METRICS}
_OTHER_NAMES = {
    "auroc": "roc_auc",
    "brier_score": "brier_score_loss",
    "calibration_error": "expected_calibration_error",
    # torchmetrics' own defaults average over the classes.
    "multiclass_auroc": "roc_auc_ovr",
    "multiclass_f1": "f1_macro",
    "multiclass_accuracy": "balanced_accuracy",
    "multiclassauroc": "roc_auc_ovr",
    "multiclassf1score": "f1_macro",
    "multiclassaccuracy": "balanced_accuracy",
}
# Shares of a count: their own interval stays honest where all rows agree.
_COUNTED = ("accuracy", "precision", "recall")


def metrics_of(kind: str) -> dict[str, Metric]:
    """Return the metrics of a model's task by name, and those of any model.

    >>> metrics_of("multiclass")["accuracy"].kind, metrics_of("binary")["accuracy"].kind
    ('multiclass', 'binary')
    """
    found = CLASS_METRICS if kind == "multiclass" else METRICS
    return {name: one for name, one in (METRICS | found).items() if one.kind in (kind, "latency")}


def metric_named(name: str) -> Metric:
    """Find a metric by its name here, in scikit-learn (``roc_auc_score``) or in torchmetrics (``binary_auroc``).

    >>> metric_named("f1_score").name, metric_named("BinaryAUROC").name
    ('f1', 'roc_auc')

    :raises PolicyError: there is no such metric.
    """
    plain = name.lower().replace("binaryauroc", "auroc").removeprefix("binary_")
    for tried in (plain, plain.removesuffix("_score")):
        known = _OTHER_NAMES.get(tried, tried)
        if known in METRICS:
            return METRICS[known]
    near = difflib.get_close_matches(plain, METRICS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    msg = f"there is no metric {name!r}: {hint}known are {', '.join(METRICS)}."
    raise PolicyError(msg)


def measure(
    metric: Metric, labels: Any, scores: Any, *, level: float, threshold: float = 0.5
) -> Interval | None:
    """A metric with its interval; ``None`` where these rows do not define it, as precision without a positive.

    >>> found = measure(METRICS["accuracy"], [1, 0, 1, 1], [0.9, 0.1, 0.8, 0.7], level=0.95)
    >>> found.estimate, round(found.low, 2), found.high
    (1.0, 0.51, 1.0)
    """
    np = load("numpy", extra=_EXTRA)
    labels, scores = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    if not len(labels):
        return None
    if metric.influences is None:
        return calibration_error(labels, scores, level=level)
    found = metric.influences(labels, scores, threshold)
    if found is None:
        return None
    estimate, influence = found
    if metric.name in _COUNTED:
        rows = {"precision": scores >= threshold, "recall": labels > 0}.get(metric.name)
        n = len(labels) if rows is None else int(rows.sum())
        return wilson(estimate * n, n, level=level)
    return _normal(estimate, influence, level)


def contrast(
    metric: Metric,
    labels: Any,
    challenger: Any,
    opponent: Any,
    *,
    factor: float,
    level: float,
    threshold: float = 0.5,
) -> Interval | None:
    """The challenger's metric less ``factor`` times the opponent's, on the same rows, with its paired interval."""
    np = load("numpy", extra=_EXTRA)
    labels, left, right = (np.asarray(side, dtype=float) for side in (labels, challenger, opponent))
    if not len(labels):
        return None
    if metric.influences is None:
        # The two are dependent in a way that is not followed: half of the error for each holds whatever it is.
        shared = (1 + level) / 2
        one, other = (calibration_error(labels, side, level=shared) for side in (left, right))
        low, high = one.low - factor * other.high, one.high - factor * other.low
        return Interval(one.estimate - factor * other.estimate, low, high, level, len(labels))
    sides = [metric.influences(labels, side, threshold) for side in (left, right)]
    if sides[0] is None or sides[1] is None:
        return None
    estimate = sides[0][0] - factor * sides[1][0]
    return _normal(estimate, sides[0][1] - factor * sides[1][1], level)


def _normal(estimate: float, influence: Any, level: float) -> Interval:
    n = len(influence)
    half = quantile_of_normal((1 + level) / 2) * math.sqrt(float((influence**2).sum()) / (n * max(n - 1, 1)))
    return Interval(estimate, estimate - half, estimate + half, level, n)


def quantile_of_normal(share: float) -> float:
    """The standard normal quantile."""
    return float(load("scipy.stats", extra=_EXTRA).norm.ppf(share))


def wilson(successes: float, n: int, *, level: float) -> Interval:
    """A share with its score interval (E. B. Wilson, Journal of the American Statistical Association 22, 1927).

    >>> found = wilson(0, 10, level=0.95)
    >>> found.low, round(found.high, 3)
    (0.0, 0.278)
    """
    share, z = successes / n, quantile_of_normal((1 + level) / 2)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, min(max(middle - half, 0.0), share), max(min(middle + half, 1.0), share), level, n)


def calibration_error(labels: Any, scores: Any, *, level: float, bins: int = _BINS) -> Interval:
    """Expected calibration error over bins of equal counts, with an interval that holds for a calibrated model too.

    The mean distance between score and outcome, bin by bin, after Naeini, Cooper and Hauskrecht (2015), AAAI. The
    estimate is too high by chance alone, so the two ends are made apart: by the triangle inequality the truth lies
    no further below than the noise of all bins together, and no further above than the deviation of their sum.

    >>> found = calibration_error([1, 0] * 500, [0.5] * 1000, level=0.95)
    >>> found.estimate, found.low
    (0.0, 0.0)
    """
    np = load("numpy", extra=_EXTRA)
    labels, scores = np.asarray(labels, dtype=float), np.asarray(scores, dtype=float)
    n = len(labels)
    # Equal scores stay together; otherwise the order of the rows would matter.
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, scores, side="left")
    counts = np.bincount(place)
    kept = counts > 0
    gaps = np.bincount(place, labels - scores)[kept] / counts[kept]
    squares = np.bincount(place, (labels - scores) ** 2)[kept] / counts[kept]
    weights = counts[kept] / n
    noise = np.sqrt(np.maximum(squares - gaps**2, 0) / np.maximum(counts[kept] - 1, 1)) * weights
    estimate = float((weights * abs(gaps)).sum())
    half = quantile_of_normal((1 + level) / 2) * math.sqrt(float((noise**2).sum()))
    # The mean of a half normal variable, and a deviation that is at most that of the whole one.
    by_chance = float(noise.sum()) * math.sqrt(2 / math.pi)
    return Interval(estimate, max(estimate - by_chance - half, 0.0), min(estimate + half, 1.0), level, n)


def timing(metric: Metric, samples: Any, *, level: float) -> Interval | None:
    """A quantile of timings with the interval between two of them (order statistics), whatever their distribution.

    ``None`` where there are too few to bound it; 72 bound a 95 % quantile with .95.

    >>> timing(METRICS["latency_p95"], [1.0] * 20, level=0.95) is None
    True
    >>> timing(METRICS["latency_p50"], list(range(101)), level=0.95).estimate
    50.0
    """
    np, stats = load("numpy", extra=_EXTRA), load("scipy.stats", extra=_EXTRA)
    share = {"latency_p50": 0.5, "latency_p95": 0.95}[metric.name]
    ordered = np.sort(np.asarray(samples, dtype=float))
    n = len(ordered)
    low = int(stats.binom.ppf((1 - level) / 2, n, share)) - 1
    high = int(stats.binom.ppf((1 + level) / 2, n, share))
    if low < 0 or high >= n:
        return None
    return Interval(float(np.quantile(ordered, share)), float(ordered[low]), float(ordered[high]), level, n)

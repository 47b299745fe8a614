"""Influence functions: what each row adds to the estimate of a metric; see ``metrics``.

Each takes labels, scores and a decision threshold, and gives the estimate and the influence of every row; ``None``
where the rows do not define it. The labels of classes are places among the columns of their probabilities.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.classes import class_log_losses
from airflow_dataml.core.extras import load
from airflow_dataml.core.statistics import squared_errors

if TYPE_CHECKING:
    from collections.abc import Callable

_EXTRA = "monitoring"


def mean(values: Any) -> tuple[float, Any]:
    """A mean."""
    estimate = float(values.mean())
    return estimate, values - estimate


def ratio(above: Any, below: Any) -> tuple[float, Any] | None:
    """A ratio of two means, by the delta method."""
    whole = float(below.mean())
    if whole <= 0:
        return None
    estimate = float(above.mean()) / whole
    return estimate, (above - estimate * below) / whole


def accuracy(labels: Any, scores: Any, threshold: float) -> tuple[float, Any]:
    """Share of rows on the right side of the threshold."""
    return mean(((scores >= threshold) == (labels > 0.5)).astype(float))


def precision(labels: Any, scores: Any, threshold: float) -> tuple[float, Any] | None:
    """Share of positives among what was said to be positive."""
    said = (scores >= threshold).astype(float)
    return ratio(said * labels, said)


def recall(labels: Any, scores: Any, threshold: float) -> tuple[float, Any] | None:
    """Share of positives that were found."""
    return ratio((scores >= threshold) * labels, labels)


def f1(labels: Any, scores: Any, threshold: float) -> tuple[float, Any] | None:
    """Harmonic mean of precision and recall."""
    said = (scores >= threshold).astype(float)
    return ratio(2 * said * labels, said + labels)


def roc_auc(labels: Any, scores: Any, _: float) -> tuple[float, Any] | None:
    """Area under the curve, by the method of DeLong and others."""
    np, stats = load("numpy", extra=_EXTRA), load("scipy.stats", extra=_EXTRA)
    truth = labels > 0.5
    positive, negative = int(truth.sum()), int((~truth).sum())
    if not positive or not negative:
        return None
    ranks = stats.rankdata(scores)
    parts = np.empty(len(labels))
    parts[truth] = (ranks[truth] - stats.rankdata(scores[truth])) / negative
    parts[~truth] = 1 - (ranks[~truth] - stats.rankdata(scores[~truth])) / positive
    estimate = float(parts[truth].mean())
    weights = np.where(truth, len(labels) / positive, len(labels) / negative)
    return estimate, (parts - estimate) * weights


def root_mean_squared_error(labels: Any, scores: Any, _: float) -> tuple[float, Any]:
    """Root of the mean squared error."""
    squared, influence = mean(squared_errors(labels, scores))
    root = math.sqrt(squared)
    return root, influence / (2 * root) if root else influence


def r2(labels: Any, scores: Any, _: float) -> tuple[float, Any] | None:
    """Share of the variance that is explained."""
    found = ratio(squared_errors(labels, scores), (labels - labels.mean()) ** 2)
    return (1 - found[0], -found[1]) if found else None


def class_accuracy(labels: Any, scores: Any, _: float) -> tuple[float, Any]:
    """Share of rows whose class is the most probable one."""
    return mean((scores.argmax(axis=1) == labels).astype(float))


def class_log_loss(labels: Any, scores: Any, _: float) -> tuple[float, Any]:
    """Mean log loss of the probability given to each row's class."""
    return mean(class_log_losses(labels, scores))


def f1_macro(labels: Any, scores: Any, _: float) -> tuple[float, Any] | None:
    """Mean of each class's F1, over the classes that are there or were said, as scikit-learn has it."""
    said = scores.argmax(axis=1)

    def one(place: int) -> tuple[float, Any] | None:
        truth, guess = (labels == place).astype(float), (said == place).astype(float)
        return ratio(2 * truth * guess, truth + guess)

    return _mean_of_classes(scores.shape[1], one)


def balanced_accuracy(labels: Any, scores: Any, _: float) -> tuple[float, Any] | None:
    """Mean of each class's recall, over the classes that are there."""
    said = scores.argmax(axis=1)

    def one(place: int) -> tuple[float, Any] | None:
        truth = (labels == place).astype(float)
        return ratio(truth * (said == place), truth)

    return _mean_of_classes(scores.shape[1], one)


def roc_auc_ovr(labels: Any, scores: Any, threshold: float) -> tuple[float, Any] | None:
    """Mean of each class's area under the curve against all others, over the classes that are there."""
    return _mean_of_classes(
        scores.shape[1], lambda place: roc_auc((labels == place).astype(float), scores[:, place], threshold)
    )


def _mean_of_classes(count: int, one: Callable[[int], tuple[float, Any] | None]) -> tuple[float, Any] | None:
    found = [made for made in map(one, range(count)) if made is not None]
    if not found:
        return None
    return sum(estimate for estimate, _ in found) / len(found), sum(row for _, row in found) / len(found)

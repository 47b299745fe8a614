"""Observing performance: how a model did by the labels there are, how it should do without them, and what is late."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.monitoring import decayed
from airflow_dataml.steps.estimated import estimate_batch
from airflow_dataml.steps.observing_arrivals import decay_text, judge_earlier, late_labels, late_predictions
from airflow_dataml.steps.observing_history import judged_labels
from airflow_dataml.steps.observing_labels import performance_body, realised, released_loss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_dataml.core.monitor_policy import MonitorPolicy
    from airflow_dataml.core.statistics import Interval
    from airflow_dataml.steps.observing import Look

# The loss that a model is released by, as estimates call it.
_LOSSES = ("log_loss", "mean_squared_error")


@dataclass(frozen=True, slots=True)
class Performance:
    """What is known of a model's performance.

    :param body: realised performance of the window.
    :param decay: losses that have surely grown.
    :param findings: of what is late, and of what is expected without labels.
    :param labels: earlier batches, by the labels there are now.
    :param estimated: performance expected without labels, beside the realised one.
    """

    body: dict[str, Any]
    decay: list[str]
    findings: dict[str, list[str]] = field(default_factory=dict)
    labels: list[dict[str, Any]] = field(default_factory=list)
    estimated: dict[str, Any] | None = None


def measure_performance(look: Look) -> Performance:
    """Judge the window and the earlier batches by the labels there are now; estimate what no label tells yet."""
    window, policy = look.window, look.policy
    released = released_loss(look.ledger, window)
    found = realised(look.warehouse, window, look.labels)
    now = found.loss(level=policy.confidence, min_rows=policy.min_rows)
    decay = []
    if released is not None and now is not None and decayed(released=released, now=now, policy=policy):
        decay.append(decay_text(released, now, policy))
    seen = judged_labels(look.ledger, look.subject, window, look.branch) if look.earlier else {}
    arrived, more = judge_earlier(
        look.warehouse, look.earlier, released=released, seen=seen, policy=policy, now=look.now
    )
    late = [
        *late_labels(window, found, policy, now=look.now),
        *more["late"],
        *late_predictions(look.ledger, window, policy, now=look.now, branch=look.branch),
    ]
    expected = estimate_batch(ledger=look.ledger, warehouse=look.warehouse, window=window, policy=policy)
    # Labels know better than any estimate.
    feared = estimated_decay(expected, released, policy) if now is None else []
    findings = {"late": late, "estimated_decay": feared}
    return Performance(
        performance_body(released, found, now, look.labels, window),
        decay + more["decay"],
        {kind: texts for kind, texts in findings.items() if texts},
        arrived,
        expected,
    )


def estimated_decay(
    expected: Mapping[str, Any] | None, released: Interval | None, policy: MonitorPolicy
) -> list[str]:
    """Say that the loss is surely expected beyond what is borne of the most that it may have been at release.

    :param expected: metrics with their intervals, of a batch no label of which has come.
    :param released: mean loss on the holdout at release; what its rows could not tell is no decay.

    >>> from airflow_dataml.core.monitor_policy import MonitorPolicy
    >>> from airflow_dataml.core.statistics import Interval
    >>> loss = {"log_loss": {"estimate": 0.6, "low": 0.5, "high": 0.7, "released": 0.3}}
    >>> estimated_decay(loss, Interval(0.3, 0.28, 0.32, 0.95, 900), MonitorPolicy())
    ['log_loss expected at 0.6000 [0.5000, 0.7000] without labels against 0.3000 [0.2800, 0.3200] at release (borne +30%)']
    >>> estimated_decay(loss, Interval(0.3, 0.2, 0.4, 0.95, 90), MonitorPolicy())
    []
    """
    for name in _LOSSES:
        loss = (expected or {}).get(name)
        if loss and released and loss["low"] > released.high * (1 + policy.decay_tolerance):
            return [
                f"{name} expected at {loss['estimate']:.4f} [{loss['low']:.4f}, {loss['high']:.4f}] without labels "
                f"against {released.estimate:.4f} [{released.low:.4f}, {released.high:.4f}] at release "
                f"(borne {policy.decay_tolerance:+.0%})"
            ]
    return []

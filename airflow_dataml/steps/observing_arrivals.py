"""Observing arrivals: batches whose labels came since, and predictions or labels that never came."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.monitoring import decayed
from airflow_dataml.steps.observing import Window, earlier_parts, window_of
from airflow_dataml.steps.observing_labels import labels_of, realised

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, timedelta

    from airflow_dataml.core.monitor_policy import MonitorPolicy
    from airflow_dataml.core.ports import Ledger, Warehouse
    from airflow_dataml.core.statistics import Interval
    from airflow_dataml.steps.observing_labels import Labels, Realised

# Batches without predictions that one report names.
_UNSCORED = 10


@dataclass(frozen=True, slots=True)
class Arrival:
    """A batch that was scored before, with the labels there are now."""

    window: Window
    labels: Labels


def earlier_batches(
    ledger: Ledger,
    window: Window,
    policy: MonitorPolicy,
    *,
    keys: Sequence[str],
    labels: str | None,
    branch: str | None,
) -> list[Arrival]:
    """The batches of ``labels_from`` that this champion scored, the newest first."""
    parts = earlier_parts(ledger, window, limit=policy.labels_from) if policy.labels_from else []
    before = [window_of(ledger, part) for part in parts]
    return [
        Arrival(one, labels_of(ledger, one, keys=keys, labels=labels, branch=branch))
        for one in before
        if one.champion.version_id == window.champion.version_id
    ]


def judge_earlier(
    warehouse: Warehouse,
    arrivals: Sequence[Arrival],
    *,
    released: Interval | None,
    seen: Mapping[str, int],
    policy: MonitorPolicy,
    now: datetime,
) -> tuple[list[dict[str, Any]], dict[str, list[str]]]:
    """Realised loss of every earlier batch, and what those say whose labels came since.

    :param seen: labels of each batch that an earlier report has judged; only where more came is it judged again.
    """
    level = 1 - (1 - policy.confidence) / max(len(arrivals), 1)
    told: list[dict[str, Any]] = []
    findings: dict[str, list[str]] = {"decay": [], "late": []}
    for one in arrivals:
        found = realised(warehouse, one.window, one.labels)
        batch = one.window.part.partition_key or ""
        loss = found.loss(level=level, min_rows=policy.min_rows)
        more = found.rows > seen.get(batch, 0)
        if (
            more
            and loss is not None
            and released is not None
            and decayed(released=released, now=loss, policy=policy)
        ):
            findings["decay"].append(decay_text(released, loss, policy, batch=batch))
        findings["late"] += late_labels(one.window, found, policy, now=now)
        told.append(
            {
                "partition_key": batch,
                "scored": found.scored,
                "labelled": found.rows,
                "label_share": round(found.share, 6),
                "loss": loss.to_dict() if loss else None,
                "judged": more and loss is not None,
            }
        )
    return told, findings


def decay_text(released: Interval, now: Interval, policy: MonitorPolicy, *, batch: str | None = None) -> str:
    """A loss that has grown, in words."""
    growth = now.estimate / released.estimate - 1 if released.estimate else float("inf")
    which = f" of batch {batch}" if batch is not None else ""
    return (
        f"loss{which} {now.estimate:.4f} [{now.low:.4f}, {now.high:.4f}] against {released.estimate:.4f} "
        f"[{released.low:.4f}, {released.high:.4f}] at release ({growth:+.0%}, borne {policy.decay_tolerance:+.0%})"
    )


def late_labels(window: Window, found: Realised, policy: MonitorPolicy, *, now: datetime) -> list[str]:
    """Say that labels of a batch never came."""
    if policy.max_label_delay is None or found.share >= policy.min_label_share:
        return []
    age = now - window.predictions.created_at
    if age <= policy.max_label_delay:
        return []
    return [
        f"labels of batch {window.part.partition_key} are late: {found.rows} of {found.scored} came in "
        f"{span(age)}, promised are {policy.min_label_share:.0%} in {span(policy.max_label_delay)}"
    ]


def late_predictions(
    ledger: Ledger, window: Window, policy: MonitorPolicy, *, now: datetime, branch: str | None
) -> list[str]:
    """Say which batches were published since the model's first predictions and never scored."""
    if policy.max_prediction_delay is None:
        return []
    scored = ledger.versions.manifest(
        ledger.versions.find(window.predictions.asset, branch=branch).version_id, profiles=False
    )
    begin = min(p.part_id for p in scored)
    keys = {p.partition_key for p in scored}
    head = ledger.versions.find(window.features.asset, branch=branch)
    waiting = [
        p
        for p in ledger.versions.manifest(head.version_id, profiles=False)
        if p.part_id > begin and p.partition_key is not None and p.partition_key not in keys
    ]
    found = []
    for part in sorted(waiting, key=lambda p: p.part_id)[:_UNSCORED]:
        brought = ledger.versions.bringing(part.part_id)
        if brought is not None and (age := now - brought.created_at) > policy.max_prediction_delay:
            found.append(
                f"predictions of batch {part.partition_key} are late: {brought.ref} was published {span(age)} ago, "
                f"promised in {span(policy.max_prediction_delay)}"
            )
    return found


def span(time: timedelta) -> str:
    """A time in words.

    >>> from datetime import timedelta
    >>> span(timedelta(days=3, hours=5)), span(timedelta(minutes=90)), span(timedelta(seconds=61))
    ('3.2 days', '1.5 hours', '1 minutes')
    """
    seconds = time.total_seconds()
    for size, name in ((86400, "days"), (3600, "hours")):
        if seconds >= size:
            return f"{seconds / size:.2g} {name}"
    return f"{seconds / 60:.0f} minutes"

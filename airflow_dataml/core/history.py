"""The past of a dataset, as checks that learn from it see it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_dataml.core.anomaly import Point

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MONTH = re.compile(r"\d{4}-\d{2}\Z")


@dataclass(frozen=True, slots=True)
class PastBatch:
    """A batch that became part of what readers see.

    :param number: of the version it was published as.
    :param rows: rows of the batch.
    :param columns: its profile's columns, without histograms and values.
    :param checks: results of its newest verification, by check id.
    """

    number: int
    published_at: datetime
    partition_key: str | None
    rows: int
    columns: dict[str, dict[str, Any]] = field(default_factory=dict)
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Publications:
    """When a dataset's versions became what readers see.

    :param times: oldest first; a version that only compacts another is not among them.
    :param newest: number of the last of them.
    :param now: the ledger's clock when it was asked.
    """

    asset: str
    times: tuple[datetime, ...]
    newest: int | None
    now: datetime


def period_of(partition_key: str | None) -> datetime | None:
    """Return the beginning of the period a partition key names, if it names one.

    >>> period_of("2013-02"), period_of("2013-02-28T06"), period_of("eu")
    (datetime.datetime(2013, 2, 1, 0, 0, tzinfo=datetime.timezone.utc), datetime.datetime(2013, 2, 28, 6, 0, tzinfo=datetime.timezone.utc), None)
    """
    text = partition_key or ""
    try:
        moment = datetime.fromisoformat(f"{text}-01" if _MONTH.match(text) else text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def points_of(
    batches: Sequence[PastBatch],
    number: Callable[[PastBatch], float | None],
    *,
    anomaly: str,
    partition_key: str | None,
    now: datetime,
) -> tuple[list[Point], datetime]:
    """Return the past values of a number in order of time, and the time of the next one.

    Batches lie at the time their partition key names, where every one of them names one, else at the time they
    were published. Of a batch that came again the last coming counts, and of the batch itself none; what lies later
    than the batch was not known before it.

    :param batches: oldest version first.
    :param number: the value of a batch, if it has one.
    :param anomaly: id of the check whose verdict tells past anomalies.
    :param partition_key: of the batch the next value is of.
    """
    last = {batch.partition_key or batch.number: batch for batch in batches}
    past = [batch for key, batch in last.items() if key != partition_key]
    periods = [period_of(batch.partition_key) for batch in past]
    at = period_of(partition_key)
    if at is None or None in periods:
        at = now
        timed = [(batch.published_at, batch) for batch in past]
    else:
        timed = [(time, batch) for time, batch in zip(periods, past, strict=True) if time and time < at]
    points = [
        Point(value, time, anomalous=batch.checks.get(anomaly, {}).get("verdict") in ("fail", "warn"))
        for time, batch in sorted(timed, key=lambda pair: (pair[0], pair[1].number))
        if (value := number(batch)) is not None
    ]
    return points, at


def observed(batch: PastBatch, check: str) -> float | None:
    """Return the number that a check of a batch observed, if it was evaluated."""
    value = batch.checks.get(check, {}).get("observed")
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)

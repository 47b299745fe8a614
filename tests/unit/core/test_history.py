"""The past of a number: which batches count, in which order, at which time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_dataml.core.history import PastBatch, observed, period_of, points_of

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def batch(number: int, key: str | None = None, *, rows: int = 10, verdict: str = "pass") -> PastBatch:
    at = NOW - timedelta(days=30 - number)
    return PastBatch(number, at, key, rows, checks={"a": {"verdict": verdict, "observed": rows}})


def rows(batches: list[PastBatch], key: str | None = None) -> tuple[list[float], datetime]:
    points, at = points_of(batches, lambda b: float(b.rows), anomaly="a", partition_key=key, now=NOW)
    return [point.value for point in points], at


@pytest.mark.parametrize(
    ("key", "moment"),
    [
        ("2026-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T06:00:00+01:00", datetime(2026, 1, 31, 5, tzinfo=UTC)),
        ("2026-13", None), ("eu", None), ("2026", None), (None, None),
    ],
)  # fmt: skip
def test_a_partition_key_may_name_a_period(key: str | None, moment: datetime | None) -> None:
    assert period_of(key) == moment


def test_periods_order_batches_and_what_is_later_was_not_known() -> None:
    batches = [batch(1, "2026-01", rows=1), batch(2, "2026-03", rows=3), batch(3, "2025-12", rows=0)]
    assert rows(batches, "2026-02") == ([0, 1], datetime(2026, 2, 1, tzinfo=UTC))


def test_without_periods_the_time_of_publication_counts() -> None:
    assert rows([batch(1, "2026-01", rows=1), batch(2, "eu", rows=2)], "2026-02") == ([1, 2], NOW)
    assert rows([batch(1, rows=1), batch(2, rows=2)]) == ([1, 2], NOW)


def test_a_batch_that_came_again_counts_once_and_never_for_itself() -> None:
    batches = [batch(1, "2026-01", rows=1), batch(2, "2026-02", rows=2), batch(3, "2026-01", rows=9)]
    assert rows(batches, "2026-03")[0] == [9, 2]
    assert rows(batches, "2026-02")[0] == [9]


@pytest.mark.parametrize(
    ("verdict", "anomalous"), [("pass", False), ("unknown", False), ("warn", True), ("fail", True)]
)
def test_past_anomalies_are_told(verdict: str, anomalous: bool) -> None:
    points, _ = points_of(
        [batch(1, verdict=verdict)], lambda _: 1.0, anomaly="a", partition_key=None, now=NOW
    )
    assert points[0].anomalous is anomalous


def test_a_batch_without_the_number_is_passed_over() -> None:
    assert points_of([batch(1)], lambda _: None, anomaly="a", partition_key=None, now=NOW)[0] == []


@pytest.mark.parametrize(
    ("value", "number"), [(3, 3.0), (0.5, 0.5), ("nan", None), (None, None), (True, None)], ids=str
)
def test_only_numbers_were_observed(value: Any, number: float | None) -> None:
    past = PastBatch(1, NOW, None, 1, checks={"a": {"observed": value}})
    assert (observed(past, "a"), observed(past, "b")) == (number, None)

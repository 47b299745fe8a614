"""When the next version of a dataset is due, and what its lateness is called."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from airflow_dataml.core.history import Publications
from airflow_dataml.core.overdue import OverduePolicy, outlook

START = datetime(2026, 1, 5, 6, tzinfo=UTC)
TIMES = tuple(START + timedelta(days=day, minutes=day * 7 % 11) for day in range(40))
POLICY = OverduePolicy()


def seen(now: datetime, *, times: tuple[datetime, ...] = TIMES, newest: int | None = 40) -> Publications:
    return Publications("rides", times, newest, now)


@pytest.mark.parametrize(
    ("hours", "since", "lateness"),
    [(2, None, "on_time"), (2, 40, "on_time"), (2, 39, "came"), (30, 40, "overdue"), (30, None, "overdue"), (30, 39, "came")],
)  # fmt: skip
def test_lateness_follows_from_the_rhythm(hours: int, since: int | None, lateness: str) -> None:
    found = outlook(seen(TIMES[-1] + timedelta(hours=hours)), POLICY, since=since)
    assert found.lateness == lateness
    assert found.due is not None
    assert timedelta(hours=24) < found.due - TIMES[-1] < timedelta(hours=25)


@pytest.mark.parametrize(("times", "newest"), [((), None), (TIMES[:9], 9)], ids=["never", "young"])
def test_a_short_past_makes_nothing_due(times: tuple[datetime, ...], newest: int | None) -> None:
    found = outlook(seen(START + timedelta(days=99), times=times, newest=newest), POLICY, since=newest)
    assert (found.lateness, found.due) == ("unknown", None)
    assert found.sentence.startswith("when the next version of rides is due is unknown: ")


def test_an_overdue_version_is_told_with_its_rate() -> None:
    found = outlook(seen(TIMES[-1] + timedelta(hours=30)), POLICY, since=40)
    assert found.sentence.startswith("no version of rides since rides@40 of 2026-02-13 06:09")
    assert found.sentence.endswith("(0.01 of ordinary versions are later)")


def test_what_was_found_is_plain_json() -> None:
    found = outlook(seen(TIMES[-1]), POLICY, since=None).to_dict()
    assert (found["last"], found["gap"]["n"]) == (TIMES[-1].isoformat(), 39)


@pytest.mark.parametrize(
    "fields",
    [
        {"false_alarm_rate": 1},
        {"min_history": 2},
        {"season": 1},
        {"season": "monthly"},
        {"window": 5},
        {"windows": 9},
    ],
    ids=str,
)
def test_a_policy_is_read_strictly(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OverduePolicy.model_validate(fields)

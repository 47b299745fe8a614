from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_dataml.core.arrivals import Arrival, Awaited
from airflow_dataml.core.errors import SpecError

NOON = datetime(2026, 8, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("written", "number", "after"),
    [
        (None, None, None),
        ("", None, None),
        ("None", None, None),
        (0, 0, None),
        (7, 7, None),
        (" 7 ", 7, None),
        ("rides@7", 7, None),
        (NOON, None, NOON),
        (NOON.replace(tzinfo=None), None, NOON),
        ("2026-08-01 12:00:00+00:00", None, NOON),
        ("2026-08-01T14:00:00+02:00", None, NOON),
        ("2026-08-01", None, NOON.replace(hour=0)),
    ],
    ids=repr,
)
def test_a_bound_is_a_number_a_version_or_a_time(written, number, after):
    awaited = Awaited.parse("rides", newer_than=written)
    assert (awaited.newer_than, awaited.after) == (number, after)


@pytest.mark.parametrize("written", ["soon", "tables@7", "rides@current", True, 7.5, []], ids=repr)
def test_any_other_bound_is_refused(written):
    with pytest.raises(SpecError, match=r"newer_than=.* cannot be read: write a number, rides@<number>"):
        Awaited.parse("rides", newer_than=written)


@pytest.mark.parametrize(
    ("said", "match"),
    [
        ({"min_verdict": "fail"}, "waiting for 'rides': min_verdict='fail' is not usable"),
        ({"max_age": 0}, "max_age=0 is not usable"),
        ({"colour": "red"}, "colour='red' is not usable"),
        ({"partition_key": 3}, "partition_key=3 is not usable"),
    ],
    ids=lambda said: next(iter(said)) if isinstance(said, dict) else "",
)
def test_what_cannot_be_meant_is_refused_by_name(said, match):
    with pytest.raises(SpecError, match=match):
        Awaited.parse("rides", **said)


@pytest.mark.parametrize(
    ("said", "arrival", "lacks"),
    [
        ({}, None, "there is none yet"),
        ({}, Arrival("rides", 1), None),
        ({"newer_than": 1}, Arrival("rides", 1), "the newest is rides@1, awaited is one after 1"),
        ({"newer_than": 1}, Arrival("rides", 2), None),
        (
            {"newer_than": NOON},
            Arrival("rides", 1, created_at=NOON),
            f"the newest is rides@1 of {NOON}, awaited is one after {NOON}",
        ),
        ({"newer_than": NOON}, Arrival("rides", 1, created_at=NOON + timedelta(seconds=1)), None),
        (
            {"max_age": 60},
            Arrival("rides", 1, age=61),
            "the newest is rides@1, 61 s old, awaited is one of at most 60 s",
        ),
        ({"max_age": 60}, Arrival("rides", 1, age=59), None),
        (
            {"min_verdict": "warn"},
            Arrival("rides", 1),
            "the newest is rides@1 and it was not checked, awaited is at least warn",
        ),
        (
            {"min_verdict": "pass"},
            Arrival("rides", 1, verdict="warn"),
            "the newest is rides@1 and its newest check says warn, awaited is at least pass",
        ),
        ({"min_verdict": "warn"}, Arrival("rides", 1, verdict="warn"), None),
        ({"min_verdict": "warn"}, Arrival("rides", 1, verdict="pass"), None),
    ],
    ids=repr,
)
def test_what_is_missing_is_said(said, arrival, lacks):
    assert Awaited.parse("rides", **said).lacks(arrival) == lacks


@pytest.mark.parametrize("verdict", ["fail", "error", "unknown"])
def test_no_other_verdict_will_do(verdict):
    assert "says " + verdict in Awaited.parse("rides", min_verdict="warn").lacks(
        Arrival("rides", 1, verdict=verdict)
    )


def test_it_names_what_it_waits_for():
    awaited = Awaited.parse("rides", partition_key="2026-01", alias="trial")
    assert str(awaited) == "a version of 'rides' with the batch '2026-01' under the alias 'trial'"


def test_an_event_is_plain_and_small():
    arrival = Arrival("rides", 3, rows=10, partition_key="2026-01", fingerprint="pg1-ab", verdict="pass")
    assert arrival.payload() == {
        "dataset": "rides",
        "version": 3,
        "rows": 10,
        "partition_key": "2026-01",
        "fingerprint": "pg1-ab",
    }

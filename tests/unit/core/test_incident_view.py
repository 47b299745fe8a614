"""An incident told in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow_dataml.core.incident_view import timeline

AT = datetime(2026, 3, 1, tzinfo=UTC)


def incident(**facts):
    told = {"opened_at": AT, "title": "it broke", "report_id": 3, "resolved_at": None, "resolution": None}
    return told | facts


def hours(number):
    return AT + timedelta(hours=number)


def test_people_and_reports_stand_in_the_order_of_time():
    entries = [
        {"at": hours(3), "actor": "user:ana", "action": "resolved incident", "detail": {"to": "resolved", "words": "replayed"}},
        {"at": hours(1), "actor": "user:bo", "action": "assigned incident", "detail": {"to": "assigned", "assignee": "ana"}},
    ]  # fmt: skip
    since = [{"at": hours(2), "verdict": "fail", "report_id": 4, "words": "again", "partition_key": "b2"}]
    told = timeline(
        incident(resolved_at=hours(3), resolution="replayed"),
        opened_by="rides.audit",
        entries=entries,
        since=since,
    )
    assert [(e.what, e.who, e.words) for e in told] == [
        ("opened", "rides.audit", "it broke"), ("assigned", "user:bo", "to ana"),
        ("report", None, "batch b2: again"), ("resolved", "user:ana", "replayed"),
    ]  # fmt: skip


def test_one_that_a_release_closed_is_told_to_be_resolved():
    told = timeline(
        incident(resolved_at=hours(1), resolution="replaced by m@2"), opened_by=None, entries=[], since=[]
    )
    assert [(e.what, e.words) for e in told] == [("opened", "it broke"), ("resolved", "replaced by m@2")]


def test_an_entry_whose_detail_is_no_object_is_named_by_its_action():
    told = timeline(
        incident(),
        opened_by=None,
        entries=[{"at": hours(1), "actor": "a", "action": "note", "detail": 4}],
        since=[],
    )
    assert (told[1].what, told[1].words) == ("note", None)

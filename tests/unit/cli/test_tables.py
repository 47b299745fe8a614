"""Text for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from airflow_dataml.cli.tables import fields, plain, show, table

NOON = datetime(2013, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456789, "0.123457"),
        (NOON, "2013-01-01 10:00:00"),
        (["a", "b"], "a, b"),
        ([], "-"),
        ({"at": NOON}, '{"at": "2013-01-01T10:00:00+00:00"}'),
        ([1], "[1]"),
    ],
    ids=["none", "empty", "bool", "int", "float", "time", "words", "no words", "dict", "list"],
)
def test_show(value, text):
    assert show(value) == text


def test_table_says_that_times_are_utc():
    assert table(["at"], [[NOON.astimezone(UTC)]]) == "AT (UTC)\n2013-01-01 10:00:00"


def test_a_table_without_rows_says_so():
    assert table(["name"], [], empty="No dataset yet.") == "No dataset yet."


def test_fields_leave_out_what_is_not_known():
    assert fields([("owner", None), ("rows", 0)]) == "rows  0"


def test_plain_writes_anything_else_as_text():
    assert plain(object).startswith("<class")

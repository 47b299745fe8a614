"""Rows of other systems, from drivers that say little."""

from __future__ import annotations

import datetime as dt
import sqlite3
from decimal import Decimal

import pytest

from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import SpecError
from airflow_dataml.hooks.rows import rows_of


class Hook:
    """A hook as far as we look: it opens connections."""

    def __init__(self, connection):
        self.connection = connection

    def get_conn(self):
        return self.connection


class Cursor:
    """A cursor that counts how often it was asked, over rows a driver made up."""

    def __init__(self, description, rows):
        self.description = description
        self.left = list(rows)
        self.fetches = 0
        self.closed = False

    def execute(self, query):
        self.query = query

    def fetchmany(self, size):
        self.fetches += 1
        taken, self.left = self.left[:size], self.left[size:]
        return taken

    def close(self):
        self.closed = True


class Connection:
    """A connection with one cursor."""

    def __init__(self, cursor):
        self.made = cursor
        self.rolled_back = self.closed = False

    def cursor(self):
        return self.made

    def rollback(self):
        self.rolled_back = True

    def close(self):
        self.closed = True


def described(*names):
    return [(name, None, None, None, None, None, None) for name in names]


@pytest.fixture
def shop():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE orders (id integer, paid real, note text)")
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(n, n * 1.5, None) for n in range(25)])
    return Hook(connection)


def test_a_driver_that_names_no_types_is_read_by_its_values(shop):
    with rows_of(shop, "SELECT * FROM orders", batch=10) as found:
        assert found.columns == (
            Column("id", "bigint"),
            Column("paid", "double precision"),
            Column("note", "text"),
        )
        assert [len(batch) for batch in found.batches] == [10, 10, 5]


def test_given_types_win(shop):
    with rows_of(shop, "SELECT id, paid FROM orders", columns={"paid": "numeric(8,2)"}) as found:
        assert found.columns[1] == Column("paid", "numeric(8,2)")


def test_a_type_for_a_column_that_is_not_there_is_refused(shop):
    with (
        pytest.raises(SpecError, match=r"columns \['paidd'\] are not in the query's result: it has id, paid"),
        rows_of(shop, "SELECT id, paid FROM orders", columns={"paidd": "text"}),
    ):
        pass


def test_a_statement_without_columns_is_refused(shop):
    with (
        pytest.raises(SpecError, match="returned no columns: write a SELECT"),
        rows_of(shop, "DELETE FROM orders"),
    ):
        pass


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (True, "boolean"), (1, "bigint"), (1.5, "double precision"), (Decimal(1), "numeric"), ("a", "text"),
        (dt.date(2026, 1, 1), "date"), (dt.datetime(2026, 1, 1), "timestamp without time zone"),
        (dt.datetime(2026, 1, 1, tzinfo=dt.UTC), "timestamp with time zone"), (dt.time(1), "time without time zone"),
        (dt.timedelta(1), "interval"), (b"x", "bytea"), ({"a": 1}, "jsonb"), ([1], "jsonb"), (None, "text"), (object(), "text"),
    ],
    ids=lambda v: str(v)[:20],
)  # fmt: skip
def test_what_a_value_looks_like(value, kind):
    connection = Connection(Cursor(described("v"), [(None,), (value,)]))
    with rows_of(Hook(connection), "SELECT v") as found:
        assert found.columns == (Column("v", kind),)


@pytest.mark.parametrize(
    ("kind", "value", "handed"),
    [
        ("jsonb", {"a": 1}, '{"a": 1}'), ("json", '{"a":1}', '{"a":1}'), ("jsonb", None, None),
        pytest.param("bytea", memoryview(b"x"), b"x", id="bytea-memoryview"),
        ("bytea", None, None), ("text", 5, "5"), ("text", None, None), ("bigint", 5, 5),
    ],
    ids=str,
)  # fmt: skip
def test_values_are_spelled_for_their_column(kind, value, handed):
    connection = Connection(Cursor(described("v"), [(value,)]))
    with rows_of(Hook(connection), "SELECT v", columns={"v": kind}) as found:
        assert list(found.batches) == [[[handed]]]


def test_batches_are_fetched_when_they_are_wanted_and_everything_is_closed():
    connection = Connection(Cursor(described("v"), [(n,) for n in range(100)]))
    with rows_of(Hook(connection), "SELECT v", batch=10) as found:
        assert connection.made.fetches == 1
        assert next(iter(found.batches)) == [[n] for n in range(10)]
        assert connection.made.fetches == 1
    assert (connection.rolled_back, connection.closed, connection.made.closed) == (True, True, True)

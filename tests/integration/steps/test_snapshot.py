"""Versions of tables somebody else writes."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from airflow_dataml.adapters.postgres.observing import PostgresTableObserver
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import GateError, SpecError, VersionNotFoundError
from airflow_dataml.core.layout import Layout
from airflow_dataml.core.refs import AssetNaming
from airflow_dataml.core.retention import RetentionPolicy
from airflow_dataml.core.stores import Place, Rows
from airflow_dataml.steps.diff import diff_versions
from airflow_dataml.steps.read import read_rows
from airflow_dataml.steps.retain import collect
from airflow_dataml.steps.rollback import roll_back
from airflow_dataml.steps.snapshot import Observed, Snapshot, take_snapshot
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_dataml.adapters.postgres.ledger import PostgresLedger

TABLE = 'public."my orders"'


@dataclass
class Orders:
    """A table of somebody else's, and the asset that stands for it."""

    ledger: PostgresLedger
    runs: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.ledger.assets.register(
            name="orders",
            kind="external",
            uri=AssetNaming().uri("external", "orders"),
            location={"table": TABLE, **Layout(keys=("id",)).to_location()},
        )
        self.sql(f"CREATE TABLE {TABLE} (id bigint PRIMARY KEY, paid numeric(8,2), at timestamptz)")
        self.sql(
            f"INSERT INTO {TABLE} SELECT n, n * 1.5, '2026-01-01T00:00Z'::timestamptz + n * interval '1 hour' FROM generate_series(1, 10) n"
        )

    def sql(self, statement: str) -> int:
        return self.ledger.connection.execute(statement)

    def snap(self, *, run: str | None = None, **said: Any) -> Snapshot:
        return take_snapshot(
            ledger=self.ledger,
            store=self.ledger.store,
            observer=PostgresTableObserver(self.ledger.connection, self.ledger.warehouse),
            identity=identity("snap", run or f"run{next(self.runs)}"),
            observed=Observed(asset="orders", source=TABLE, **said),
        )

    def foreign(self, batches: Sequence[Sequence[Sequence[Any]]], **said: Any) -> Snapshot:
        columns = (Column("id", "bigint"), Column("paid", "text"))
        return self.snap(rows=Rows(columns, iter(batches)), **said)

    def tables(self) -> list[str]:
        rows = self.ledger.connection.rows(
            "SELECT relname FROM pg_class WHERE relnamespace IN ('dataml_data'::regnamespace, pg_my_temp_schema()) AND relkind = 'r'"
            # Registration keeps its tables for the connection's length.
            " AND left(relname, 7) <> 'dataml_'"
        )
        return [row["relname"] for row in rows]


@pytest.fixture
def orders(ledger: PostgresLedger) -> Orders:
    return Orders(ledger)


def test_a_version_without_rows_of_ours(orders: Orders) -> None:
    orders.sql(f"ANALYZE {TABLE}")
    found = orders.snap(freshness="at")
    version = found.version
    assert (found.new, version.ref, version.kind, version.rows) == (True, "orders@1", "external", 10)
    assert version.facts["freshness"].startswith("2026-01-01T10:00:00")
    assert version.facts["statistics"]["bytes"] > 0
    assert "last_analyze" in version.facts["statistics"]
    assert [c.type for c in orders.ledger.versions.columns(version.version_id)] == [
        "bigint", "numeric(8,2)", "timestamp with time zone",
    ]  # fmt: skip
    (part,) = orders.ledger.versions.manifest(version.version_id)
    assert (part.role, part.state, part.profile["columns"]["paid"]["max"]) == ("snapshot", "released", 15.0)
    assert orders.ledger.versions.find("orders").aliases == ("current",)
    assert orders.tables() == []


def test_its_rows_cannot_be_read_and_retention_leaves_the_table_alone(orders: Orders) -> None:
    orders.snap()
    with pytest.raises(VersionNotFoundError, match="its rows were released"):
        read_rows(ledger=orders.ledger, store=orders.ledger.store, ref="orders@1")
    policy = RetentionPolicy(keep_days=0, abandon_hours=0)
    plan = collect(
        ledger=orders.ledger,
        store=orders.ledger.store,
        identity=identity("gc"),
        asset="orders",
        policy=policy,
    )
    assert plan.empty
    assert orders.ledger.connection.scalar(f"SELECT count(*) FROM {TABLE}") == 10


def test_unchanged_there_is_no_new_version(orders: Orders) -> None:
    orders.snap()
    orders.sql(f"UPDATE {TABLE} SET paid = paid")
    again = orders.snap()
    assert (again.new, again.version.ref) == (False, "orders@1")
    forced = orders.snap(always=True)
    assert (forced.new, forced.version.ref) == (True, "orders@2")
    assert forced.version.fingerprint == again.version.fingerprint


def test_changed_rows_are_a_new_version_on_the_same_edges(orders: Orders) -> None:
    first = orders.snap().version
    orders.sql(f"UPDATE {TABLE} SET paid = paid + 1 WHERE id > 5")
    second = orders.snap().version
    assert (second.number, second.rows) == (2, 10)
    found = diff_versions(ledger=orders.ledger, store=orders.ledger.store, old=first.ref, new=second.ref)
    assert found.rows is None
    assert "its rows were released" in str(found.unread)
    paid = next(c for c in found.columns if c.column == "paid")
    assert paid.old is not None
    assert paid.new is not None
    assert (paid.old.mean, paid.new.mean) == (8.25, 8.75)
    assert paid.psi is not None


def test_a_changed_schema_is_said(orders: Orders) -> None:
    orders.snap()
    orders.sql(f"ALTER TABLE {TABLE} ADD COLUMN note text")
    assert orders.snap().version.facts["schema"]["class"] == "additive"


def test_copies_are_read_and_compared_by_row(orders: Orders) -> None:
    orders.snap(copy=True)
    orders.sql(f"UPDATE {TABLE} SET paid = 0 WHERE id = 3")
    orders.sql(f"DELETE FROM {TABLE} WHERE id = 4")
    orders.snap(copy=True)
    found = diff_versions(ledger=orders.ledger, store=orders.ledger.store, old="orders@1", new="orders@2")
    assert found.rows is not None
    assert (found.rows.keys, found.rows.updated, found.rows.deleted) == (("id",), 1, 1)
    _, _, rows = read_rows(ledger=orders.ledger, store=orders.ledger.store, ref="orders@1")
    assert len(list(rows)) == 10
    (part,) = orders.ledger.versions.manifest(orders.ledger.versions.find("orders@1").version_id)
    assert (part.role, part.state) == ("snapshot", "live")


def test_an_unchanged_table_is_copied_when_its_rows_are_wanted_for_the_first_time(orders: Orders) -> None:
    orders.snap()
    assert [orders.snap(copy=True).new, orders.snap(copy=True).new, orders.snap().new] == [True, False, False]


def test_a_retry_adopts_what_its_earlier_try_wrote(orders: Orders) -> None:
    first, again = orders.snap(run="same", copy=True), orders.snap(run="same", copy=True)
    assert (first.version.ref, again.version.ref, again.new) == ("orders@1", "orders@1", True)
    assert len(orders.tables()) == 1


def test_rows_of_another_system_pass_through(orders: Orders) -> None:
    found = orders.foreign([[(1, "a"), (2, None)], [(3, "c")]], freshness="id")
    assert (found.version.rows, found.version.facts["freshness"]) == (3, "3")
    assert orders.tables() == []
    assert orders.foreign([[(3, "c")], [(2, None), (1, "a")]]).new is False
    copied = orders.foreign([[(1, "z")]], copy=True)
    assert (copied.version.ref, copied.version.rows, len(orders.tables())) == ("orders@2", 1, 1)


def test_a_feed_that_breaks_off_leaves_nothing(orders: Orders) -> None:
    def breaking() -> Iterator[list[tuple[int, str]]]:
        yield [(1, "a")]
        msg = "the other system went away"
        raise ConnectionError(msg)

    rows = Rows((Column("id", "bigint"), Column("paid", "text")), breaking())
    with pytest.raises(ConnectionError, match="went away"):
        orders.snap(rows=rows)
    with pytest.raises(GateError, match="invalid input syntax for type bigint"):
        orders.foreign([[("x", "a")]])
    assert orders.tables() == []
    assert orders.ledger.versions.list("orders") == []


def test_what_is_not_there_is_named(orders: Orders) -> None:
    with pytest.raises(SpecError, match=r"freshness column.* 'att' does not exist\. Did you mean 'at'"):
        orders.snap(freshness="att")
    orders.sql(f"DROP TABLE {TABLE}")
    with pytest.raises(SpecError, match="is not a table this connection can see"):
        orders.snap()


def test_an_empty_table_is_a_version_too(orders: Orders) -> None:
    orders.sql(f"TRUNCATE {TABLE}")
    assert [orders.snap(freshness="at").version.rows, orders.snap(copy=True).version.rows] == [0, 0]


def test_views_are_observed_as_well(orders: Orders) -> None:
    orders.sql(f"ALTER TABLE {TABLE} RENAME TO behind")
    orders.sql(f"CREATE VIEW {TABLE} AS SELECT id, paid FROM public.behind")
    assert orders.snap(copy=True).version.rows == 10


def test_what_its_readers_see_is_not_moved_back(orders: Orders) -> None:
    orders.snap(copy=True)
    orders.sql(f"DELETE FROM {TABLE}")
    orders.snap(copy=True)
    with pytest.raises(SpecError, match="written by somebody else"):
        roll_back(
            ledger=orders.ledger,
            store=orders.ledger.store,
            identity=identity("back"),
            place=Place("orders", TABLE, Layout()),
            to="previous",
            reason="x",
        )


def test_schema_content_and_profile_are_of_one_moment(orders: Orders, ledger_dsn: str) -> None:
    import threading

    import psycopg

    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(ledger_dsn, autocommit=True) as writer:
            while not stop.is_set():
                writer.execute(f"INSERT INTO {TABLE} SELECT max(id) + 1, 1, now() FROM {TABLE}")

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for _ in range(10):
            version = orders.snap().version
            (part,) = orders.ledger.versions.manifest(version.version_id)
            assert part.profile["rows"] == version.rows
            assert part.profile["columns"]["id"]["max"] == version.rows
    finally:
        stop.set()
        thread.join()

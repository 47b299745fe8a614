"""Branches on PostgreSQL."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg
import pytest

from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.datasets import Column
from airflow_dataml.core.errors import BranchNotFoundError, SpecError, StaleVersionError
from airflow_dataml.steps.branches import create_branch, diff_branch, drop_branch, merge_branch
from airflow_dataml.steps.publish import publish_part
from tests.integration.steps.rides import COLUMNS, Rides
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_dataml.core.branches import Branch
    from airflow_dataml.core.datasets import Version


@pytest.fixture
def rides(ledger: PostgresLedger) -> Rides:
    return Rides(ledger)


def create(rides: Rides, name: str = "dev-x") -> Branch:
    return create_branch(
        ledger=rides.ledger, store=rides.ledger.store, identity=identity("create", name), name=name
    )


def merge(rides: Rides, name: str = "dev-x") -> tuple[Version, ...]:
    return merge_branch(
        ledger=rides.ledger, store=rides.ledger.store, identity=identity("merge", name), name=name
    )


def schemas(rides: Rides) -> list[str]:
    rows = rides.ledger.connection.rows("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'branch%'")
    return [row["nspname"] for row in rows]


def test_a_branch_shows_what_is_current_and_copies_nothing(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    branch = create(rides)
    assert branch.schema == "branch_dev_x"
    assert rides.view("branch_dev_x.rides") == rides.view()
    assert len(rides.ledger.retention.sizes("rides")) == 1


def test_what_is_written_on_a_branch_is_seen_there_alone(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    rides.write([(2, "bus", 2.0)], branch="dev-x")
    assert rides.view() == [(1, "bike", 1.0)]
    assert rides.view("branch_dev_x.rides") == [(1, "bike", 1.0), (2, "bus", 2.0)]
    assert rides.ledger.versions.find("rides").number == 1
    assert rides.ledger.versions.find("rides", branch="dev-x").number == 2
    assert rides.ledger.versions.find("rides@dev-x").number == 2


def test_a_branch_does_not_move_with_the_others(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    rides.write([(2, "bus", 2.0)])
    assert rides.view("branch_dev_x.rides") == [(1, "bike", 1.0)]
    assert rides.ledger.versions.find("rides", branch="dev-x").number == 1


def test_a_merge_publishes_several_datasets_at_once(rides: Rides) -> None:
    features = Rides(rides.ledger, "features")
    rides.write([(1, "bike", 1.0)])
    features.write([(1, "bike", 1.0)])
    create(rides)
    rides.write([(2, "bus", 2.0)], branch="dev-x")
    features.write([(7, "tram", 7.0)], branch="dev-x", mode="replace")
    versions = merge(rides)
    assert sorted(v.ref for v in versions) == ["features@3", "rides@3"]
    assert rides.view() == [(1, "bike", 1.0), (2, "bus", 2.0)]
    assert features.view() == [(7, "tram", 7.0)]
    assert schemas(rides) == []


def test_a_merge_of_two_datasets_fails_as_one(rides: Rides) -> None:
    features = Rides(rides.ledger, "features")
    rides.write([(1, "bike", 1.0)])
    features.write([(1, "bike", 1.0)])
    create(rides)
    features.write([(2, "bus", 2.0)], branch="dev-x")
    rides.write([(9, "bus", 2.0)], branch="dev-x", mode="replace")
    rides.write([(3, "car", 3.0)])
    with pytest.raises(StaleVersionError, match="changed the same rows of 'rides' since version 1"):
        merge(rides)
    assert features.view() == [(1, "bike", 1.0)]
    assert rides.ledger.branches.get("dev-x").changed


def test_both_sides_may_append(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    rides.write([(2, "bus", 2.0)], branch="dev-x")
    rides.write([(3, "car", 3.0)])
    merge(rides)
    assert [row[0] for row in rides.view()] == [1, 2, 3]


def test_a_dataset_made_on_a_branch_joins_it_and_is_published_by_the_merge(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    fresh = Rides(rides.ledger, "fresh")
    fresh.write([(1, "bike", 1.0)], branch="dev-x")
    assert rides.ledger.connection.scalar("SELECT to_regclass('public.fresh')") is None
    merge(rides)
    assert fresh.view() == [(1, "bike", 1.0)]


def test_dropping_leaves_the_others_as_they_were(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    rides.write([(2, "bus", 2.0)], branch="dev-x")
    drop_branch(ledger=rides.ledger, store=rides.ledger.store, identity=identity("drop"), name="dev-x")
    assert (schemas(rides), rides.view()) == ([], [(1, "bike", 1.0)])
    with pytest.raises(BranchNotFoundError, match="dev-x"):
        rides.ledger.branches.get("dev-x")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("current", "an alias with a meaning"),
        ("Dev", "not usable"),
        ("dev_x", "schema 'branch_dev_x' is there already"),
    ],
    ids=["reserved", "unusable", "taken"],
)
def test_a_bad_name_is_refused(rides: Rides, name: str, message: str) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    with pytest.raises(SpecError, match=message):
        create(rides, name)


def test_a_branch_that_is_open_cannot_be_opened_again(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    with pytest.raises(SpecError, match="'dev-x' is open already"):
        create_branch(ledger=rides.ledger, store=rides.ledger.store, identity=identity("other"), name="dev-x")


def test_nothing_changed_is_nothing_to_merge(rides: Rides) -> None:
    rides.write([(1, "bike", 1.0)])
    create(rides)
    with pytest.raises(SpecError, match="changed no dataset"):
        merge(rides)


def test_retention_keeps_what_a_branch_shows(rides: Rides) -> None:
    from airflow_dataml.core.retention import RetentionPolicy
    from airflow_dataml.steps.retain import retention_of

    rides.write([(1, "bike", 1.0)])
    create(rides)
    rides.write([(2, "bus", 2.0)], branch="dev-x", mode="replace")
    rides.write([(3, "car", 3.0)], mode="replace")
    plan = retention_of(ledger=rides.ledger, asset="rides", policy=RetentionPolicy(keep_last=1))
    assert plan.kept == {
        1: ("base of branch dev-x",),
        2: ("alias dev-x",),
        3: ("alias current", "one of the newest 1"),
    }


class TestSides:
    def test_a_column_of_the_other_side_stays(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        rides.write([(2, "bus", 2.0, 7)], branch="dev-x", columns=[*COLUMNS, Column("ours", "integer")])
        rides.write([(3, "car", 3.0, "x")], columns=[*COLUMNS, Column("theirs", "text")])
        merge(rides)
        assert [row[3:] for row in rides.view()] == [(None, None), (None, 7), ("x", None)]

    def test_a_column_either_side_took_away_is_gone(self, rides: Rides) -> None:
        wide = [*COLUMNS, Column("a", "text"), Column("b", "text")]
        rides.write([(1, "bike", 1.0, "a", "b")], columns=wide)
        create(rides)
        rides.write([(2, "bus", 2.0, "a")], branch="dev-x", columns=wide[:4], allow_breaking=True)
        rides.write([(3, "car", 3.0, "b")], columns=[*COLUMNS, wide[4]], allow_breaking=True)
        merge(rides)
        assert [len(row) for row in rides.view()] == [3, 3, 3]

    def test_both_may_not_insert_by_key(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        rides.write([(2, "bus", 2.0)], branch="dev-x", mode="merge", keys=["id"])
        rides.write([(2, "car", 3.0)], mode="merge", keys=["id"])
        with pytest.raises(StaleVersionError, match="changed the same rows"):
            merge(rides)


class Other(threading.Thread):
    """Somebody else, who begins and is made to wait for a lock."""

    def __init__(self, dsn: str, act: Callable[[Rides], object]) -> None:
        super().__init__()
        self.dsn, self.act = dsn, act
        self.error: Exception | None = None

    def run(self) -> None:
        """Do it, and keep what went wrong."""
        with PostgresLedger.connect(self.dsn) as ledger:
            rides = Rides.__new__(Rides)
            rides.ledger = ledger
            try:
                self.act(rides)
            except Exception as err:  # noqa: BLE001 - the test looks at it
                self.error = err

    def begin(self) -> None:
        """Return once he waits."""
        self.start()
        query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        with psycopg.connect(self.dsn, autocommit=True) as beside:
            while self.is_alive() and not beside.execute(query).rowcount:
                self.join(0.01)

    def end(self) -> None:
        """Wait for him; he must have come through."""
        self.join()
        assert self.error is None


class TestAtOnce:
    def test_what_is_published_on_a_branch_that_is_being_merged_is_merged(
        self, rides: Rides, ledger_dsn: str
    ) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        rides.write([(2, "bus", 2.0)], branch="dev-x")
        staged = rides.stage([(3, "car", 3.0)], branch="dev-x")
        other = Other(ledger_dsn, merge)
        with rides.ledger.transaction():
            rides.ledger.assets.lock("rides")
            other.begin()
            rides.publish(staged)
        other.end()
        assert [row[0] for row in rides.view()] == [1, 2, 3]

    def test_a_merge_and_a_publisher_of_an_unchanged_dataset_do_not_stop_each_other(
        self, rides: Rides, ledger_dsn: str
    ) -> None:
        features = Rides(rides.ledger, "features")
        rides.write([(1, "bike", 1.0)])
        features.write([(1, "bike", 1.0)])
        create(rides)
        rides.write([(2, "bus", 2.0)], branch="dev-x")
        staged = features.stage([(3, "car", 3.0)])
        other = Other(ledger_dsn, merge)
        with rides.ledger.transaction():
            rides.ledger.assets.lock("features")
            other.begin()
            features.publish(staged)
        other.end()
        assert (len(rides.view()), len(features.view())) == (2, 2)

    def test_a_drop_and_a_dataset_that_joins_do_not_stop_each_other(
        self, rides: Rides, ledger_dsn: str
    ) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        Rides(rides.ledger, "fresh")
        other = Other(
            ledger_dsn, lambda his: Rides(his.ledger, "fresh").write([(7, "a", 1.0)], branch="dev-x")
        )
        with rides.ledger.transaction():
            rides.ledger.branches.lock("dev-x")
            other.begin()
            drop_branch(
                ledger=rides.ledger, store=rides.ledger.store, identity=identity("drop"), name="dev-x"
            )
        other.join()
        assert isinstance(other.error, BranchNotFoundError)
        assert schemas(rides) == []

    def test_a_dataset_that_joined_while_the_branch_was_being_dropped_is_dropped_too(
        self, rides: Rides, ledger_dsn: str
    ) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        fresh = Rides(rides.ledger, "fresh")
        staged = fresh.stage([(7, "a", 1.0)], branch="dev-x")
        other = Other(ledger_dsn, lambda his: drop_branch(ledger=his.ledger, store=his.ledger.store, identity=identity("drop"), name="dev-x"))  # fmt: skip
        with rides.ledger.transaction():
            fresh.publish(staged)
            other.begin()
        other.end()
        assert schemas(rides) == []
        assert rides.ledger.versions.alias("fresh", "dev-x") is None

    def test_two_branches_made_at_once_can_both_be_written(self, rides: Rides, ledger_dsn: str) -> None:
        rides.write([(1, "bike", 1.0)])
        other = Other(ledger_dsn, lambda his: create(his, "dev-y"))
        with rides.ledger.transaction():
            create(rides)
            other.begin()
        other.end()
        for branch in ("dev-x", "dev-y"):
            rides.write([(2, "bus", 2.0)], branch=branch)
            assert len(rides.view(f"branch_{branch.replace('-', '_')}.rides")) == 2

    def test_a_branch_that_was_dropped_meanwhile_is_not_made_anew(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        staged, place = rides.stage([(2, "bus", 2.0)], branch="dev-x"), rides.place("dev-x")
        drop_branch(ledger=rides.ledger, store=rides.ledger.store, identity=identity("drop"), name="dev-x")
        with pytest.raises(BranchNotFoundError, match="dev-x"):
            publish_part(
                ledger=rides.ledger,
                store=rides.ledger.store,
                identity=identity("publish"),
                staged=staged,
                place=place,
                require_check=False,
            )
        assert schemas(rides) == []
        create(rides)


class TestRetry:
    def test_a_branch_that_an_earlier_try_made_is_kept(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        assert create(rides) == create(rides)

    def test_a_merge_that_an_earlier_try_finished_is_kept(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        rides.write([(2, "bus", 2.0)], branch="dev-x")
        assert merge(rides) == merge(rides)
        assert rides.ledger.versions.find("rides").number == 3


class TestDiff:
    def test_rows_schema_and_verdicts_are_compared_with_what_is_current(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        rides.write([(2, "bus", 2.0)], branch="dev-x")
        found = diff_branch(
            ledger=rides.ledger, store=rides.ledger.store, name="dev-x", mask=["kind", "other"]
        )
        [change] = found.changes
        assert change.diff is not None
        assert change.diff.rows is not None
        assert (change.diff.rows.inserted, change.diff.rows.deleted) == (1, 0)
        assert found.mergeable
        assert "Branch `dev-x` can be merged" in found.to_markdown()
        assert "bus" not in found.to_text()

    def test_a_conflict_is_said_before_it_happens(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        rides.write([(2, "bus", 2.0)], branch="dev-x", mode="replace")
        rides.write([(3, "car", 3.0)])
        found = diff_branch(ledger=rides.ledger, store=rides.ledger.store, name="dev-x")
        assert not found.mergeable
        assert "### rides@2: conflict, not checked" in found.to_markdown()

    def test_a_dataset_of_the_branch_alone_is_new(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        Rides(rides.ledger, "fresh").write([(1, "bike", 1.0)], branch="dev-x")
        found = diff_branch(ledger=rides.ledger, store=rides.ledger.store, name="dev-x")
        assert "A new dataset." in found.to_text()

    def test_an_unchanged_branch_says_so(self, rides: Rides) -> None:
        rides.write([(1, "bike", 1.0)])
        create(rides)
        found = diff_branch(ledger=rides.ledger, store=rides.ledger.store, name="dev-x")
        assert "changes nothing" in found.to_markdown()

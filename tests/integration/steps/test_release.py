"""Releases in a real ledger: all of it or nothing, whoever looks."""

from __future__ import annotations

import os
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from airflow_dataml.adapters.postgres.holding import hold_views
from airflow_dataml.adapters.postgres.ledger import PostgresLedger
from airflow_dataml.core.errors import (
    AliasMovedError,
    QualityGateError,
    SpecError,
    StaleVersionError,
    VersionNotFoundError,
)
from airflow_dataml.core.release import DatasetTarget, ReleaseRequest
from airflow_dataml.steps.release import Released, release
from tests.integration.steps.rides import Rides
from tests.killing import killed_after
from tests.releasing import register_versions
from tests.support import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_dataml.core.stores import Place

BIKE, BUS, CAR = (1, "bike", 1.0), (2, "bus", 2.0), (3, "car", 3.0)


class World:
    """Two datasets of two versions and a model of two; readers see the second of each."""

    def __init__(self, ledger: PostgresLedger) -> None:
        self.ledger = ledger
        self.rides, self.hires = Rides(ledger, "rides"), Rides(ledger, "hires")
        for one in (self.rides, self.hires):
            one.write([BIKE], run=f"{one.name}1")
            one.write([BUS], run=f"{one.name}2")
        register_versions(ledger, "demand", 2)

    def request(
        self, rides: Any = "rides@1", hires: Any = "hires@1", demand: str = "demand@1", **said: Any
    ) -> ReleaseRequest:
        targets = (DatasetTarget(self.rides.place(), rides), DatasetTarget(self.hires.place(), hires))
        given = {"reason": "they belong together", "require_check": False} | said
        return ReleaseRequest(datasets=targets, models={"demand": demand}, **given)

    def release(
        self,
        run: str = "r1",
        *,
        wanted: ReleaseRequest | None = None,
        hold: Callable[[Sequence[Place]], None] | None = None,
        **said: Any,
    ) -> Released:
        return release(
            ledger=self.ledger,
            store=self.ledger.store,
            identity=identity("release", run),
            wanted=wanted or self.request(**said),
            hold=hold or (lambda places: hold_views(self.ledger.connection, places)),
        )

    def standing(self) -> tuple[int, int, int]:
        found = [
            self.ledger.versions.head("rides"),
            self.ledger.versions.head("hires"),
            self.ledger.versions.alias("demand", "champion"),
        ]
        return tuple(version.number if version else 0 for version in found)  # type: ignore[return-value]


@pytest.fixture
def world(ledger: PostgresLedger) -> World:
    return World(ledger)


def test_everything_moves_together(world: World) -> None:
    found = world.release()
    assert world.standing() == (1, 1, 1)
    assert world.rides.view() == world.hires.view() == [BIKE]
    assert [version.ref for version in found.moved] == ["demand@1", "hires@1", "rides@1"]
    previous = world.ledger.versions.alias("demand", "previous")
    assert previous is not None
    assert previous.ref == "demand@2"


def test_each_asset_has_a_decision_with_the_hash_of_all(world: World) -> None:
    found = world.release()
    bodies = [world.ledger.reports.get(number).body for number in found.reports.values()]
    assert [body["version"] for body in bodies] == ["demand@1", "hires@1", "rides@1"]
    assert {body["facts"]["release_hash"] for body in bodies} == {found.release.release_hash}
    assert {tuple(body["reasons"]) for body in bodies} == {("they belong together",)}
    entries = world.ledger.connection.rows("SELECT subject FROM dataml.audit WHERE action = 'release'")
    assert sorted(entry["subject"] for entry in entries) == ["demand@1", "hires@1", "rides@1"]
    assert world.ledger.audit.verify()[1] is None


def test_the_registry_is_told(world: World) -> None:
    world.release()
    rows = world.ledger.connection.rows("SELECT payload FROM dataml.outbox ORDER BY outbox_id")
    told = [(row["payload"]["alias"], row["payload"]["version"]) for row in rows]
    assert told[-2:] == [("champion", 10), ("previous", 20)]


def test_a_retry_finds_what_was_released(world: World) -> None:
    first = world.release()
    assert world.release() == first
    assert world.ledger.connection.scalar("SELECT count(*) FROM dataml.audit WHERE action = 'release'") == 3


def test_equal_content_has_an_equal_hash(world: World) -> None:
    first = world.release("r1").release.release_hash
    other = world.release("r2", rides="rides@2", hires="hires@2", demand="demand@2").release.release_hash
    assert other != first
    assert world.release("r3").release.release_hash == first


def test_what_readers_see_already_does_not_move(world: World) -> None:
    found = world.release(hires="hires@2")
    assert [version.ref for version in found.moved] == ["demand@1", "rides@1"]
    assert world.standing() == (1, 2, 1)
    again = world.release("r2", hires="hires@2")
    assert (again.moved, again.reports) == ((), {})


def test_a_staged_batch_is_published_with_the_rest(world: World) -> None:
    staged = world.rides.stage([CAR], mode="replace", run="new")
    found = world.release(rides=staged)
    assert world.standing() == (3, 1, 1)
    assert world.rides.view() == [CAR]
    assert [version.ref for version in found.moved] == ["demand@1", "hires@1", "rides@3"]
    assert world.release(rides=staged) == found
    # The number it got is not part of the content.
    assert world.release("r2", rides="rides@3").release.release_hash == found.release.release_hash


def test_a_batch_nobody_checked_holds_everything_back(world: World) -> None:
    staged = world.rides.stage([CAR], mode="replace", run="new")
    with pytest.raises(QualityGateError, match="never checked"):
        world.release(rides=staged, require_check=True)
    assert world.standing() == (2, 2, 2)
    assert world.hires.view() == [BIKE, BUS]


def test_approval_is_of_content(world: World) -> None:
    with pytest.raises(StaleVersionError, match="release abc was approved"):
        world.release(approved="abc")
    approved = world.release("r1").release.release_hash
    world.release("r2", rides="rides@2", hires="hires@2", demand="demand@2")
    assert world.release("r3", approved=approved).release.release_hash == approved


@pytest.mark.parametrize(
    ("said", "error", "message"),
    [
        ({"expected": {"rides": "rides@1"}}, StaleVersionError, "see rides@2 and rides@1 was expected"),
        ({"expected": {"demand": "demand@1"}}, AliasMovedError, "is demand@2 and demand@1 was expected"),
        ({"reason": " "}, SpecError, "needs a reason"),
        ({"rides": "hires@1"}, SpecError, "'rides' cannot be released as 'hires@1'"),
        ({"rides": "rides@9"}, VersionNotFoundError, "rides@9"),
        ({"demand": "demand@9"}, VersionNotFoundError, "demand@9"),
    ],
    ids=["stale", "alias moved", "reason", "another", "no version", "no model version"],
)
def test_what_cannot_be_moves_nothing(
    world: World, said: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        world.release(**said)
    assert world.standing() == (2, 2, 2)


def test_whoever_publishes_in_between_wins(world: World, postgres_dsn: str) -> None:
    class Overtaken(PostgresLedger):
        """A ledger whose caller pauses between looking and locking, while somebody publishes."""

        def transaction(self) -> Any:
            if publish:
                publish.pop()()
            return super().transaction()

    publish = [lambda: world.rides.write([CAR], run="between")]
    with Overtaken.connect(postgres_dsn) as ledger, pytest.raises(StaleVersionError, match="see rides@3"):
        release(
            ledger=ledger,
            store=ledger.store,
            identity=identity("release", "r1"),
            wanted=world.request(),
            hold=lambda places: hold_views(ledger.connection, places),
        )
    assert world.standing() == (3, 2, 2)


def test_a_dataset_of_another_store_is_refused(world: World) -> None:
    world.ledger.assets.set_location("rides", {"store": "delta"})
    with pytest.raises(SpecError, match="'rides' is a dataset kept in delta"):
        world.release()


def test_a_version_no_reader_saw_is_refused(world: World) -> None:
    from airflow_dataml.steps.branches import create_branch

    create_branch(
        ledger=world.ledger,
        store=world.ledger.store,
        identity=identity("branch", "b"),
        name="dev",
        assets=["rides"],
    )
    world.rides.write([CAR], branch="dev", run="dev")
    with pytest.raises(SpecError, match=r"rides@3 was never what readers of public\.rides saw"):
        world.release(rides="rides@3")


def test_an_asset_twice_is_refused(world: World) -> None:
    request = world.request()
    with pytest.raises(SpecError, match=r"\['rides'\] more than once"):
        world.release(wanted=replace(request, datasets=(*request.datasets, request.datasets[0])))


def test_an_error_before_the_end_leaves_nothing_and_the_retry_releases_once(world: World) -> None:
    wanted = world.request()
    broken = replace(wanted.datasets[0], place=replace(wanted.datasets[0].place, location="public.rid.es"))
    with pytest.raises(SpecError, match="not usable"):
        world.release(wanted=replace(wanted, datasets=(broken, wanted.datasets[1])))
    assert world.standing() == (2, 2, 2)
    assert world.hires.view() == [BIKE, BUS]
    world.release()
    assert world.standing() == (1, 1, 1)


def test_killed_before_commit_leaves_nothing_and_the_retry_releases_once(
    world: World, postgres_dsn: str
) -> None:
    wanted = world.request()
    child = os.fork()
    if child == 0:
        _release_until_the_commit(wanted, postgres_dsn)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
    assert world.standing() == (2, 2, 2)
    assert world.rides.view() == [BIKE, BUS]
    world.release()
    assert world.standing() == (1, 1, 1)
    assert world.ledger.connection.scalar("SELECT count(*) FROM dataml.audit WHERE action = 'release'") == 3


def test_killed_anywhere_no_asset_moves_without_the_others(world: World, postgres_dsn: str) -> None:
    wanted = world.request()

    def work() -> None:
        with PostgresLedger.connect(postgres_dsn) as ledger:
            release(
                ledger=ledger,
                store=ledger.store,
                identity=identity("release", "r1"),
                wanted=wanted,
                hold=lambda places: hold_views(ledger.connection, places),
            )

    killed = 0
    while killed_after(2 + 9 * killed, work):
        killed += 1
        assert world.standing() == (2, 2, 2)
        assert world.rides.view() == world.hires.view() == [BIKE, BUS]
    assert killed > 5
    assert world.standing() == (1, 1, 1)
    assert world.rides.view() == world.hires.view() == [BIKE]
    assert world.ledger.connection.scalar("SELECT count(*) FROM dataml.audit WHERE action = 'release'") == 3


def _release_until_the_commit(wanted: ReleaseRequest, dsn: str) -> None:
    try:
        ledger = PostgresLedger.connect(dsn)
        # As release does it, and everything written is there; nothing is committed.
        with ledger.transaction():
            release(
                ledger=ledger,
                store=ledger.store,
                identity=identity("release", "r1"),
                wanted=wanted,
                hold=lambda places: hold_views(ledger.connection, places),
            )
            os._exit(7)
    finally:
        os._exit(1)


ONE_STATEMENT = """
SELECT (SELECT count(*) FROM public.rides), (SELECT count(*) FROM public.hires),
       (SELECT v.number FROM dataml.alias l JOIN dataml.asset a USING (asset_id) JOIN dataml.version v USING (version_id)
        WHERE a.name = 'demand' AND l.name = 'champion')
"""
EACH = (
    "SELECT v.number FROM dataml.alias l JOIN dataml.asset a USING (asset_id) JOIN dataml.version v USING (version_id) "
    "WHERE a.name = 'demand' AND l.name = 'champion'",
    "SELECT count(*) FROM public.rides",
    "SELECT count(*) FROM public.hires",
)


class Reader(threading.Thread):
    """Looks at all three until told to stop, and keeps what it saw."""

    def __init__(self, dsn: str, look: Callable[[psycopg.Connection[Any]], tuple[Any, ...]]) -> None:
        super().__init__(daemon=True)
        self.dsn, self.look, self.seen = dsn, look, []
        self.stop, self.error = threading.Event(), None

    def run(self) -> None:
        try:
            with psycopg.connect(self.dsn, autocommit=True) as connection:
                while not self.stop.is_set():
                    self.one(connection)
        except psycopg.Error as err:
            self.error = err

    def one(self, connection: psycopg.Connection[Any]) -> None:
        try:
            self.seen.append(self.look(connection))
        except psycopg.errors.SerializationFailure:
            # Its snapshot is older than what it asks for; PostgreSQL's word for "repeat it".
            return


def in_one_statement(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    return connection.execute(ONE_STATEMENT).fetchone() or ()


def in_one_snapshot(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        champion, rides, hires = (connection.execute(sql).fetchone() or (None,) for sql in EACH)
    return rides[0], hires[0], champion[0]


def the_other_way_round(connection: psycopg.Connection[Any]) -> tuple[Any, ...]:
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        hires, rides, champion = (
            (connection.execute(sql).fetchone() or (None,))[0] for sql in reversed(EACH)
        )
    return rides, hires, champion


def test_readers_never_see_a_mix(world: World, postgres_dsn: str) -> None:
    readers = [
        Reader(postgres_dsn, look) for look in (in_one_statement, in_one_snapshot, the_other_way_round)
    ]
    for reader in readers:
        reader.start()
    for turn in range(20):
        number = 1 + turn % 2
        world.release(
            f"turn{turn}", rides=f"rides@{number}", hires=f"hires@{number}", demand=f"demand@{number}"
        )
    for reader in readers:
        reader.stop.set()
        reader.join()
    assert [reader.error for reader in readers] == [None, None, None]
    for reader in readers:
        assert set(reader.seen) == {(1, 1, 1), (2, 2, 2)}
